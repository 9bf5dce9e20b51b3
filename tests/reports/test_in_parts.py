"""A report of an archive read in parts is, byte for byte, that of all of it in memory."""

import json
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from played import simulated
from random_archives import random_archive
from report_builders import UTC_ZONE, at, attempt, run, save

from archiver import schema
from archiver.errors import ArchiverError
from archiver.failures import write_all_failures
from archiver.settings import Settings
from archiver.simulator import build_history
from reports.batch_timing import batch_timing, batch_trend
from reports.columns import spelt
from reports.delivery import delivery
from reports.failure_rates import failure_rates
from reports.frames import frames_of
from reports.groups import Selection
from reports.in_parts import frames_and_failures, frames_of_tables, parts_of
from reports.issuing import weekly_of
from reports.messages import load_failures
from reports.noted import PartFrames
from reports.reading import reading
from reports.render import render_weekly
from reports.rollbacks import rollback_rates
from reports.shelf import Shelf
from reports.spread import AsideInMemory, grouped, known
from reports.weekly import weekly_window

MONDAY = date(2026, 11, 16)
WINDOW = weekly_window(MONDAY, UTC_ZONE)
LONG_AGO = {"started_at": at("2026-01-05 10:00"), "executed_at": at("2026-01-05 09:00")}


@pytest.fixture(params=["sqlite_archive", "postgres_archive"])
def engine(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def _few_at_once(monkeypatch):
    """Hold so few releases, and write so few rows at once, that most are read and written again."""
    monkeypatch.setattr("reports.behind.ROWS_BEHIND", 60)
    monkeypatch.setattr("reports.in_parts.ROWS_IN_PART", 40)
    monkeypatch.setattr("reports.tables._ROWS_AT_ONCE", 7)


def fill(engine, seed, *others):
    """Save a random archive, of whose failures half have no template yet."""
    archive = random_archive(seed, plans=60)
    for number, row in enumerate(archive["attempts"]):
        row["fail_message"] = f"exit {number % 3} after {number} s" if row["outcome"] == "failed" else None
    archive["attempts"] += others
    save(engine, **archive, runs=[run("p1", run_id="r1"), run("p2", run_id="r2")])
    with engine.begin() as connection:
        write_all_failures(connection)
        half = schema.failures.c.failure_key < "attempt/a3"
        connection.execute(schema.failures.delete().where(half))
        places = schema.components
        labelled = connection.execute(places.select().where(places.c.component_id.in_(["api", "web"]))).mappings()
        rows = [{"component_key": row["component_key"], "project_id": row["project_id"]} for row in labelled]
        connection.execute(schema.component_labels.insert(), [row | {"team": "blue"} for row in rows])


def files(engine, monday=MONDAY, projects=None, as_of=None):
    """Make the report, and return its files, and whether its frames were in parts."""
    with reading(engine, projects, as_of) as now:
        told = frames_and_failures(now, weekly_window(monday, UTC_ZONE))
        report = weekly_of(Settings(), engine, now, monday, *told)
    return render_weekly(report), isinstance(told[0], PartFrames)


def both_ways(monkeypatch, *asked, **options):
    """Make the report both ways, and return its files."""
    monkeypatch.setattr("reports.in_parts.ROWS_IN_MEMORY", 10**9)
    in_memory, is_in_parts = files(*asked, **options)
    assert not is_in_parts
    monkeypatch.setattr("reports.in_parts.ROWS_IN_MEMORY", -1)
    in_parts, is_in_parts = files(*asked, **options)
    assert is_in_parts
    assert list(in_parts) == list(in_memory)
    for name, text in in_memory.items():
        assert in_parts[name] == text, name
    return in_memory


def table(files, name, week="2026-W47"):
    return json.loads(files[f"weekly-{week}.json"])["tables"][name]


def test_the_report_of_an_archive_in_parts_is_the_same_to_the_byte(engine, monkeypatch):
    fill(engine, 61, attempt(project_id="p1", plan_id="50 %", component_id="%s", component='a "quoted\x01" %d name'))
    told = both_ways(monkeypatch, engine)
    whole = told["weekly-2026-W47.json"]
    assert whole == json.dumps(json.loads(whole), ensure_ascii=False, indent=1) + "\n"
    assert "%s" in {row["component_id"] for row in table(told, "releases")}
    assert sum(name.startswith("weekly-2026-W47-releases/") for name in told) > 1
    assert len(table(told, "failures")) > 1
    assert {row["team"] for row in table(told, "delivery-by-team")} == {"blue", None}


def test_so_is_that_of_a_project_an_earlier_week_and_one_of_which_nothing_is_known(sqlite_archive, monkeypatch):
    fill(sqlite_archive, 62)
    assert both_ways(monkeypatch, sqlite_archive, MONDAY - timedelta(weeks=2), ["p2"])
    assert both_ways(monkeypatch, sqlite_archive, MONDAY, ["nobody"])
    nothing = both_ways(monkeypatch, sqlite_archive, MONDAY - timedelta(weeks=200))
    assert table(nothing, "releases", "2023-W03") == []


def test_a_failure_long_before_the_weeks_of_parts_is_remembered(engine, monkeypatch):
    before = attempt("failed", project_id="p1", plan_id="old", component_id="api", **LONG_AGO) | {
        "fail_message": "exit 1 after 9 s"
    }
    fill(engine, 63, before)
    told = {row["template"]: row for row in table(both_ways(monkeypatch, engine), "failures")}
    assert told["exit <n> after <n> s"]["first_seen_at"] == "2026-01-05T10:00:00.000Z"
    assert not told["exit <n> after <n> s"]["is_new"]


async def test_so_is_the_report_of_what_was_known_at_an_instant(archive, monkeypatch):
    history = build_history(5, ends_at=datetime(2026, 11, 23, tzinfo=UTC), weeks=1, projects=1, plans_per_week=25)
    ends = []
    async with simulated(archive, history) as (one_more_night, clock):
        for _ in range(7):
            await one_more_night()
            ends.append(clock.now())
    assert both_ways(monkeypatch, archive.engine, as_of=ends[3]) != both_ways(monkeypatch, archive.engine)


def test_each_plan_is_in_one_part_and_those_that_the_window_leaves_out_give_failures_alone(sqlite_archive):
    fill(sqlite_archive, 64, attempt("failed", project_id="p1", plan_id="old", component_id="api", **LONG_AGO))
    window = weekly_window(MONDAY, UTC_ZONE)
    with reading(sqlite_archive) as archive:
        whole, said = frames_of(archive, window), load_failures(archive, window)
        parts = [part.read() for part in parts_of(archive, window, 4)]
    frames = [frames for frames, _ in parts if frames is not None]
    assert [len(frames), len(parts)] == [4, 5]
    plans = [set(zip(one.attempts["project_id"], one.attempts["plan_id"], strict=True)) for one in frames]
    assert sum(map(len, plans)) == len(set.union(*plans))
    for name in ("attempts", "rollbacks", "components"):
        assert sum(len(getattr(one, name)) for one in frames) == len(getattr(whole, name))
    assert sum(len(failures) for _, failures in parts) == len(said)
    assert list(parts[-1][1]["plan_id"]) == ["old"]


def tables_of(engine, projects=None):
    """Make the tables that a command prints, by as many groups as it may, and say if their frames were in parts."""
    selections = [Selection(WINDOW, by) for by in ((), ("week", "batch", "team"))]
    selections += [Selection(WINDOW, ("week", "creator"), {"action": ("create",), "team": ("", "blue")})]
    every = [*selections, Selection(WINDOW, ("component", "version", "tier", "environment"))]
    as_of = at("2026-11-24 02:20")
    with reading(engine, projects) as archive:
        frames = frames_of_tables(archive, WINDOW, {column for one in every for column in one.columns} | {"action"})
        tables = known(
            frames,
            *(failure_rates(frames, one, unit=unit) for one in every for unit in ("attempt", "release")),
            *(rollback_rates(frames, one, as_of=as_of, recheck_days=14, within_days=1) for one in every),
            *(delivery(frames, one) for one in every),
            *(make(frames, one) for one in selections for make in (batch_timing, batch_trend)),
        )
    return tables, isinstance(frames, PartFrames)


@pytest.mark.parametrize("projects", [None, ["nobody"]])
def test_so_are_the_tables_of_a_command(engine, monkeypatch, projects):
    fill(engine, 65)
    monkeypatch.setattr("reports.in_parts.ROWS_OF_TABLES_IN_MEMORY", 10**9)
    in_memory, is_in_parts = tables_of(engine, projects)
    assert not is_in_parts
    monkeypatch.setattr("reports.in_parts.ROWS_OF_TABLES_IN_MEMORY", -1)
    in_parts, is_in_parts = tables_of(engine, projects)
    assert is_in_parts
    assert len(in_memory) == len(in_parts) == 22
    for one, other in zip(in_memory, in_parts, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_tables_in_parts_read_no_failures(sqlite_archive, monkeypatch):
    fill(sqlite_archive, 66)
    monkeypatch.setattr("reports.in_parts.ROWS_OF_TABLES_IN_MEMORY", -1)
    monkeypatch.delattr("reports.in_parts.load_failures")
    tables, _ = tables_of(sqlite_archive)
    assert tables[0]["finished"].item() > 40


ROWS = pd.DataFrame({"week": ["a", "b", "", "a"], "plan": ["p1", "p2", "p3", "p4"]}).astype("str")


def test_rows_put_aside_on_disk_are_those_of_memory():
    shelf = Shelf("week")
    for start in (0, 2):
        shelf.add(ROWS.iloc[start : start + 2].astype({"plan": "category"}))
    for words in (["a"], ["", "b"], ["unsaid"], []):
        found = spelt(shelf.done().of(words))
        expected = AsideInMemory(ROWS, "week").of(words).reset_index(drop=True)
        pd.testing.assert_frame_equal(found, expected)


def test_a_disk_without_room_for_rows_put_aside_is_told(monkeypatch):
    monkeypatch.setattr("reports.shelf.TemporaryFile", partial(Path("/dev/full").open, "w+b"))
    with pytest.raises(ArchiverError, match="No space left on device; name another folder with TMPDIR"):
        Shelf("week").add(ROWS)


def test_a_mean_is_the_same_in_whatever_order_its_values_come():
    rows = pd.DataFrame({"seconds": [1e16, 1.0, -1e16, None]})
    means = [
        grouped(rows.loc[order], [], {}, {"mean": ("seconds", "mean")})["mean"].item()
        for order in ([0, 1, 2, 3], [0, 2, 1, 3], [1, 3, 2, 0])
    ]
    assert means == [1 / 3] * 3
