"""The engine: who may make a file, what a reader may do, and what is said when a database does not serve."""

import os
import stat
from datetime import UTC, datetime

import pytest
from sqlalchemy import URL, literal, select, text
from sqlalchemy.exc import DBAPIError

from archiver import schema
from archiver.archive import open_reader
from archiver.database import database_name, open_writer, parse_url, sqlite_path
from archiver.errors import DatabaseError, SettingsError
from archiver.instants import UtcDateTime
from archiver.migrate import upgrade

SECRET = "hunter2-do-not-show"


def test_a_writer_makes_a_file_for_its_owner_alone(tmp_path):
    old = os.umask(0)
    try:
        engine = open_writer(f"sqlite:///{tmp_path / 'new.db'}", "")
        upgrade(engine, f"sqlite:///{tmp_path / 'new.db'}", "")
    finally:
        os.umask(old)

    assert stat.S_IMODE((tmp_path / "new.db").stat().st_mode) == 0o600


def test_a_writer_keeps_the_mode_of_a_file_that_is_there(sqlite_archive_file, tmp_path):
    (tmp_path / "archive.db").chmod(0o640)

    open_writer(sqlite_archive_file.url, "")

    assert stat.S_IMODE((tmp_path / "archive.db").stat().st_mode) == 0o640


@pytest.mark.parametrize("place", ["missing/archive.db", "."])
def test_a_place_where_no_file_can_be_is_named(tmp_path, place):
    with pytest.raises(DatabaseError, match="can't open the archive"):
        open_writer(f"sqlite:///{tmp_path / place}", "")


def test_a_reader_never_makes_a_file(tmp_path):
    with pytest.raises(DatabaseError, match="there is no archive"):
        open_reader(f"sqlite:///{tmp_path / 'none.db'}", "")

    assert list(tmp_path.iterdir()) == []


def test_a_reader_leaves_nothing_behind_and_changes_nothing(sqlite_archive_file, tmp_path):
    before = (tmp_path / "archive.db").read_bytes()
    engine = open_reader(sqlite_archive_file.url, "")
    with engine.connect() as connection:
        assert connection.execute(select(schema.runs)).all() == []
        with pytest.raises(DBAPIError, match="readonly"):
            connection.execute(text("DELETE FROM runs"))

    assert [path.name for path in tmp_path.iterdir()] == ["archive.db"]
    assert (tmp_path / "archive.db").read_bytes() == before


def test_a_reader_reads_while_a_writer_writes(sqlite_archive_file):
    with sqlite_archive_file.engine.begin() as writer:
        writer.execute(text("INSERT INTO leases VALUES ('x', 'h', 'h', 1, '', 1, 0, '', '', '')"))
        with open_reader(sqlite_archive_file.url, "").connect() as reader:
            assert reader.execute(select(schema.leases.c.lease_name)).all() == []
    with open_reader(sqlite_archive_file.url, "").connect() as reader:
        assert reader.execute(select(schema.leases.c.lease_name)).scalars().all() == ["x"]


@pytest.mark.parametrize("name", ["with space.db", "per%20cent.db", "quest?ion.db", "ha#sh.db", "ümläut.db"])
def test_a_reader_finds_files_with_odd_names(tmp_path, name):
    url = URL.create("sqlite", database=str(tmp_path / name)).render_as_string()

    upgrade(open_writer(url, ""), url, "")

    assert [path.name for path in tmp_path.iterdir()] == [name]
    open_reader(url, "").dispose()


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "archive.db").write_text("this is no database, whatever its name says; " * 100)

    for open_it in (open_reader, lambda url, place: upgrade(open_writer(url, place), url, place)):
        with pytest.raises(DatabaseError, match=r"archive\.db does not serve"):
            open_it(f"sqlite:///{tmp_path / 'archive.db'}", "")


def test_an_empty_place_is_told_from_an_archive(archive_url):
    if archive_url.startswith("sqlite"):
        open_writer(archive_url, "")

    with pytest.raises(DatabaseError, match="archiver database upgrade"):
        open_reader(archive_url, "release_archive")


def test_a_server_out_of_reach_is_named_without_its_password():
    url = f"postgresql+psycopg://u:{SECRET}@127.0.0.1:1/d?options=-csecret%3D{SECRET}"

    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1:1/d does not serve") as caught:
        open_reader(url, "release_archive")

    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite", f"{SECRET}", f"mysql://u:{SECRET}@h/d", f"postgresql://u:{SECRET}@h:port/d"])
def test_what_is_no_url_of_ours_is_refused_without_showing_it(url):
    with pytest.raises(SettingsError, match="ARCHIVER_DATABASE_URL") as caught:
        parse_url(url)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_a_database_in_memory_would_forget_everything(url):
    with pytest.raises(SettingsError, match="must name a file"):
        sqlite_path(parse_url(url))


def test_a_database_is_named_without_its_password():
    assert database_name(f"postgresql://u:{SECRET}@h/d?password={SECRET}") == "postgresql://u:***@h/d"
    assert database_name("sqlite:///x/archive.db") == "x/archive.db"


def test_the_last_instant_of_all_is_read_whatever_the_zone_of_the_session(archive, monkeypatch):
    """Upstream writes it for *never*. In Tokyo it is of the year 10000, which Python's calendar lacks."""
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    last = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
    engine = open_writer(archive.url, "release_archive")
    with engine.connect() as connection:
        read = connection.scalar(select(literal(last, UtcDateTime())))
    engine.dispose()

    assert read == last
