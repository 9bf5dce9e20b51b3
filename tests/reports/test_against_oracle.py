"""The three tables against an independent computation over random archives, from both databases."""

import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from oracle import Oracle
from random_archives import random_archive
from report_builders import frames, save

from reports.batch_timing import batch_timing
from reports.failure_rates import failure_rates
from reports.frames import load_frames
from reports.groups import Selection
from reports.rollbacks import rollback_rates
from reports.tables import records
from reports.window import Window

AS_OF = datetime(2026, 11, 24, tzinfo=UTC)
COLUMN = {"project": "project_id"}


def assert_same(table, expected, by):
    names = [COLUMN.get(key, key) for key in by]
    found = {tuple(row[name] for name in names): row for row in records(table)}
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        for name, value in row.items():
            if value is None:
                assert found[key][name] is None, (key, name)
            else:
                assert math.isclose(found[key][name], value, rel_tol=1e-12, abs_tol=1e-9), (key, name)


def assert_all_tables(archive, loaded, since, until, zone):
    window = Window.between(since, until, zone)
    oracle = Oracle(
        archive["attempts"], archive["rollbacks"], archive["components"], since=since, until=until, zone=zone
    )
    for by in (("week",), ("week", "batch"), ("project",), ("week", "creator", "version")):
        columns = tuple(COLUMN.get(key, key) for key in by)
        for unit in ("attempt", "release"):
            table = failure_rates(loaded, Selection(window, by), unit=unit)
            assert_same(table, oracle.failure_rates(columns, unit), by)
        for days in (None, 0, 7):
            table = rollback_rates(loaded, Selection(window, by), as_of=AS_OF, recheck_days=14, within_days=days)
            assert_same(table, oracle.rollback_rates(columns, days), by)
    for by in (("week", "batch"), ("week",), ("project", "batch")):
        columns = tuple(COLUMN.get(key, key) for key in by)
        assert_same(batch_timing(loaded, Selection(window, by)), oracle.batch_timing(columns), by)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_the_tables_of_random_rows_equal_the_oracle(seed, zone):
    archive = random_archive(seed)

    loaded = frames(**archive)

    assert_all_tables(archive, loaded, date(2026, 10, 14), date(2026, 11, 18), ZoneInfo(zone))


@pytest.mark.parametrize("seed", range(2))
def test_the_tables_from_sqlite_equal_the_oracle(seed, sqlite_archive):
    archive = random_archive(100 + seed)
    save(sqlite_archive, **archive)
    since, until, zone = date(2026, 10, 19), date(2026, 11, 12), ZoneInfo("Europe/Berlin")

    loaded = load_frames(sqlite_archive, Window.between(since, until, zone))

    assert_all_tables(archive, loaded, since, until, zone)


def test_both_databases_give_the_same_frames(sqlite_archive, postgres_archive):
    archive = random_archive(200)
    window = Window.between(date(2026, 10, 19), date(2026, 11, 12), ZoneInfo("Asia/Kolkata"))
    save(sqlite_archive, **archive)
    save(postgres_archive, **archive)

    ours, theirs = load_frames(sqlite_archive, window), load_frames(postgres_archive, window)

    for name in ("attempts", "rollbacks", "components", "nights"):
        left, right = getattr(ours, name), getattr(theirs, name)
        order = list(left.columns)
        pd.testing.assert_frame_equal(
            left.sort_values(order, ignore_index=True), right.sort_values(order, ignore_index=True)
        )


def test_columns_that_nothing_is_grouped_by_may_be_left_out(sqlite_archive):
    save(sqlite_archive, **random_archive(250))
    window = Window.between(date(2026, 10, 19), date(2026, 11, 12), ZoneInfo("UTC"))
    whole = load_frames(sqlite_archive, window)

    for by, groups in ((("week",), ()), (("batch", "version"), ("version",)), (("component",), ("component",))):
        narrow, selection = load_frames(sqlite_archive, window, groups=groups), Selection(window, by)
        assert narrow.attempts["creator"].isna().all()
        pd.testing.assert_frame_equal(failure_rates(narrow, selection), failure_rates(whole, selection))
        told = [rollback_rates(one, selection, as_of=AS_OF, recheck_days=14) for one in (narrow, whole)]
        pd.testing.assert_frame_equal(*told)
    weekly = Selection(window, ("week", "batch"))
    pd.testing.assert_frame_equal(
        batch_timing(load_frames(sqlite_archive, window, groups=()), weekly), batch_timing(whole, weekly)
    )


def test_a_plan_that_reaches_out_of_the_window_is_read_whole(sqlite_archive):
    archive = random_archive(300)
    save(sqlite_archive, **archive)
    monday = date(2026, 11, 2)

    for days in (0, 6):
        since, until = monday + timedelta(days=days), monday + timedelta(days=days + 2)
        loaded = load_frames(sqlite_archive, Window.between(since, until, ZoneInfo("UTC")))
        assert_all_tables(archive, loaded, since, until, ZoneInfo("UTC"))


def test_no_project_named_is_all_of_them_but_a_list_without_names_is_none(sqlite_archive):
    archive = random_archive(400, plans=4)
    save(sqlite_archive, **archive)
    window = Window.between(date(2026, 10, 1), date(2026, 12, 31), ZoneInfo("UTC"))

    everything, nothing = load_frames(sqlite_archive, window), load_frames(sqlite_archive, window, ())

    assert len(everything.nights) == len(archive["nights"])
    assert len(everything.attempts) > 0
    assert [len(nothing.nights), len(nothing.attempts), len(nothing.components), len(nothing.rollbacks)] == [0] * 4
