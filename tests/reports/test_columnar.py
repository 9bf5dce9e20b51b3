"""The same frames through ADBC as through SQLAlchemy, and of one state of the archive."""

from collections import Counter
from datetime import date
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from random_archives import random_archive
from report_builders import attempt, component, save, week_47
from sqlalchemy import select

from archiver import schema
from reports.columnar import Columnar, columnar
from reports.columns import INSTANT
from reports.frames import frames_of, load_frames
from reports.reading import Reading, reading
from reports.window import Window

WINDOW = Window.between(date(2026, 10, 19), date(2026, 11, 12), ZoneInfo("Asia/Kolkata"))
FACTS = ("attempts", "rollbacks", "components")


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request):
    """Return the engine of an empty archive, where there is a driver for its database."""
    pytest.importorskip(f"adbc_driver_{request.param}.dbapi")
    engine = request.getfixturevalue({"sqlite": "sqlite_archive", "postgresql": "postgres_archive"}[request.param])
    if request.param == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # as `archiver` makes it
    return engine


@pytest.fixture
def read_by(monkeypatch):
    """Return a count of what was read by the driver, and by SQLAlchemy in its place."""
    count, read = Counter(), Columnar.read

    def counted(self, query, contract):
        frame = read(self, query, contract)
        count["sqlalchemy" if frame is None else "driver"] += 1
        return frame

    monkeypatch.setattr(Columnar, "read", counted)
    return count


def assert_same(ours, theirs):
    for name in FACTS:
        left, right = (getattr(frames, name) for frames in (ours, theirs))
        order = list(left.columns)
        pd.testing.assert_frame_equal(
            left.sort_values(order, ignore_index=True), right.sort_values(order, ignore_index=True)
        )


@pytest.mark.parametrize("seed", [500, 501])
def test_frames_read_through_adbc_equal_those_read_through_sqlalchemy(engine, seed, read_by):
    save(engine, **random_archive(seed))
    with reading(engine) as archive:
        assert archive.columnar is not None
        ours = frames_of(archive, WINDOW)
        theirs = frames_of(Reading(archive.stored), WINDOW)

    assert len(ours.attempts) > 40
    assert read_by == {"driver": 5}  # plans, attempts, labels, rollbacks and components
    assert_same(ours, theirs)


def test_a_column_that_is_missing_in_all_its_first_rows_is_read(engine, monkeypatch):
    monkeypatch.setattr("reports.columnar._ROWS_AT_ONCE", "2")
    rows = [attempt(component_id=f"c{n}", start=None, outcome="failed", executed_at=None) for n in range(4)]
    rows += [attempt(component_id="c9", start="2026-11-09 10:00", seconds=90.5, batch=None)]
    places = [component(component_id=row["component_id"], batch=row["batch"]) for row in rows]
    save(engine, attempts=rows, components=places)

    window = Window.between(date(2026, 11, 2), date(2026, 11, 30), ZoneInfo("UTC"))
    with reading(engine) as archive:
        query = select(schema.job_attempts.c.ended_at, schema.job_attempts.c.duration_seconds)
        assert len(archive.columnar.read(query, {"ended_at": INSTANT, "duration_seconds": "float64"})) == 5
        ours, theirs = frames_of(archive, window), frames_of(Reading(archive.stored), window)

    assert len(ours.attempts) == 5
    assert_same(ours, theirs)


def fail_all(engine):
    """Let every attempt have failed."""
    with engine.begin() as connection:
        connection.execute(schema.job_attempts.update().values(outcome="failed"))


def test_nothing_is_read_by_the_driver_too(engine, read_by):
    frames = load_frames(engine, week_47())

    assert [len(getattr(frames, name)) for name in FACTS] == [0, 0, 0]
    assert read_by == {"driver": 5}


def test_what_is_saved_while_a_report_is_read_is_not_in_it(engine):
    save(engine, attempts=[attempt()], components=[component()])
    with reading(engine) as archive:
        assert archive.columnar is not None
        fail_all(engine)
        outcomes = frames_of(archive, week_47()).attempts["outcome"].to_list()

    assert outcomes == ["succeeded"]
    assert load_frames(engine, week_47()).attempts["outcome"].to_list() == ["failed"]


def test_a_state_that_is_not_the_same_is_not_joined(sqlite_archive):
    pytest.importorskip("adbc_driver_sqlite.dbapi")
    save(sqlite_archive, attempts=[attempt()])
    with columnar(sqlite_archive) as beside:
        fail_all(sqlite_archive)
        with sqlite_archive.connect() as connection:
            assert not beside.join(connection)


def test_without_a_driver_there_is_nothing_beside(sqlite_archive, monkeypatch):
    monkeypatch.setattr("reports.columnar.import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    with columnar(sqlite_archive) as beside:
        assert beside is None
