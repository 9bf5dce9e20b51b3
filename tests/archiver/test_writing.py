"""Many rows at once: the same rows on both databases, whatever they hold."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from sqlalchemy import Boolean, Column, Date, Float, Integer, LargeBinary, MetaData, Table, Text, update
from sqlalchemy.engine import make_url

from archiver import writing
from archiver.errors import RowRefusedError
from archiver.instants import UtcDateTime
from archiver.writing import ForEach, in_transaction, upsert

THINGS = Table(
    "things",
    MetaData(),
    Column("key", Text, primary_key=True),
    Column("word", Text),
    Column("at", UtcDateTime),
    Column("day", Date),
    Column("number", Integer),
    Column("size", Float),
    Column("is_so", Boolean),
    Column("body", LargeBinary),
)
AT = datetime(2026, 11, 24, 2, 15, 0, 123_000, UTC)
FULL = {
    "key": "full",
    "word": "quotes \" and ' and \\, lines\r\n, \x01, {NULL}, %s, :document, 😀 and \u2028",
    "at": AT,
    "day": date(2026, 11, 24),
    "number": -(2**31),
    "size": 0.1 + 0.2,
    "is_so": True,
    "body": bytes(range(256)) * 9,
}
EMPTY = dict.fromkeys(FULL) | {"key": "none"}
HOLLOW = FULL | {"key": "hollow", "word": "", "number": 0, "size": -0.0, "is_so": False, "body": b""}
EDGES = FULL | {
    "key": "edges",
    "word": "NULL",
    "at": datetime(1, 1, 1, tzinfo=UTC),
    "size": 5e-324,
    "number": 2**31 - 1,
}


POSTGRESQL = pytest.mark.parametrize("archive", ["postgresql"], indirect=True)


@pytest.fixture
def things(archive):
    with archive.engine.begin() as connection:
        THINGS.create(connection)
    return archive


def save(archive, rows, **options):
    in_transaction(archive.engine, lambda connection: upsert(connection, THINGS, rows, **options))


def by_key(archive):
    return {row["key"]: row for row in archive.rows(THINGS)}


def test_rows_come_back_as_they_were_written(things):
    rows = [FULL, EMPTY, HOLLOW, EDGES]

    save(things, rows)

    assert by_key(things) == {row["key"]: row for row in rows}


def test_an_instant_of_another_zone_is_the_same_instant(things):
    shanghai = AT.astimezone(timezone(timedelta(hours=8)))

    save(things, [FULL | {"at": shanghai}])

    assert by_key(things)["full"]["at"] == AT


def test_a_naive_instant_is_refused(things):
    with pytest.raises(Exception, match="say its zone"):
        save(things, [FULL | {"at": AT.replace(tzinfo=None)}])

    assert by_key(things) == {}


def test_a_row_that_is_there_is_replaced_whole_or_left(things):
    save(things, [FULL, HOLLOW])
    save(things, [EMPTY | {"key": "full"}])
    save(things, [EMPTY | {"key": "hollow"}, EMPTY], replaces=False)

    assert by_key(things) == {"full": EMPTY | {"key": "full"}, "hollow": HOLLOW, "none": EMPTY}


def test_rows_that_are_too_many_for_one_document_go_in_several(things, monkeypatch):
    monkeypatch.setattr(writing, "_DOCUMENT_BYTES", 10_000)  # two rows are longer than this
    rows = [FULL | {"key": f"{number:02}"} for number in range(15)]

    save(things, rows)

    assert list(by_key(things).values()) == rows


@POSTGRESQL
def test_what_no_text_holds_is_refused_and_nothing_is_written(things):
    with pytest.raises(RowRefusedError):
        save(things, [HOLLOW, FULL | {"word": "a\x00b"}])

    assert by_key(things) == {}


def test_an_update_for_each_row_moves_those_alone_that_it_means(things):
    rows = [FULL | {"key": key, "number": number} for key, number in (("a", 1), ("b", 5), ("c", 1))]
    save(things, rows)
    raised = ForEach(
        {"id": Text(), "to": Integer(), "then": UtcDateTime()},
        lambda row: (
            update(THINGS)
            .where(THINGS.c.key == row["id"], THINGS.c.number < row["to"])
            .values(number=row["to"], at=row["then"])
        ),
    )
    later = AT + timedelta(days=1)
    given = [{"id": key, "to": 3, "then": later} for key in ("a", "b", "nothing")]

    with things.engine.begin() as connection:
        raised.execute(connection, [])
        raised.execute(connection, given)

    assert [(row["number"], row["at"]) for row in by_key(things).values()] == [(3, later), (5, AT), (1, AT)]


@POSTGRESQL
def test_a_writer_needs_no_right_to_make_temporary_tables(things):
    database = make_url(things.url).database
    with things.engine.connect() as connection:
        for statement in (
            "CREATE ROLE plain_writer_of_tests NOLOGIN",
            "GRANT USAGE ON SCHEMA release_archive TO plain_writer_of_tests",
            "GRANT SELECT, INSERT, UPDATE ON things TO plain_writer_of_tests",
            f"REVOKE TEMP ON DATABASE {database} FROM PUBLIC",
            "SET LOCAL ROLE plain_writer_of_tests",
        ):
            connection.exec_driver_sql(statement)
        upsert(connection, THINGS, [FULL])

        assert connection.execute(THINGS.select()).mappings().all() == [FULL]
        connection.rollback()
