"""The nights behind the figures of coverage: each with its run, found from every cell that counts nights."""

from datetime import date, datetime

import pandas as pd
import pytest
from report_builders import UTC_ZONE, attempt, frames, night, run, save

from reports.columns import NIGHT_RUNS, conform
from reports.night_frames import load_night_runs
from reports.page import render_page
from reports.page_parts import ROOMS, Room, shown_table
from reports.page_tables import page_table
from reports.reading import reading
from reports.tables import records
from reports.weekly import weekly_report

MONDAY = date(2026, 11, 16)


def night_run(day, state="done", project="p"):
    told = dict.fromkeys(NIGHT_RUNS) | {"night_date": datetime.fromisoformat(day), "project_id": project}
    return told | {"state": state, "run_id": f"run of {day}" if state != "missed" else None}


def report_of(*night_runs, attempts=()):
    nights = [night(f"{row['night_date']:%Y-%m-%d}", row["state"], row["project_id"]) for row in night_runs]
    columns = {name: pd.Series([row[name] for row in night_runs], dtype="object") for name in NIGHT_RUNS}
    known = conform(pd.DataFrame(columns), NIGHT_RUNS)
    return weekly_report(frames(attempts, nights=nights), MONDAY, UTC_ZONE, recheck_days=14, night_runs=known)


@pytest.fixture(params=["sqlite_archive", "postgres_archive"])
def engine(request):
    return request.getfixturevalue(request.param)


def test_a_night_is_read_with_the_run_that_served_it_and_one_that_was_missed_without(engine):
    served = run() | {"plans_listed": 5, "plans_fetched": 3, "plans_failed": 1, "outcome": "partial"}
    nights = [night("2026-11-22", "partial") | {"run_id": "run-1"}, night("2026-11-21", "missed")]
    save(engine, runs=[served])
    save(engine, nights=nights)

    with reading(engine) as archive:
        rows = records(load_night_runs(archive).sort_values("night_date").drop(columns="night_date"))

    assert [(row["state"], row["run_id"], row["plans_listed"]) for row in rows] == [
        ("missed", None, None),
        ("partial", "run-1", 5),
    ]
    assert rows[1]["outcome"] == "partial"
    assert rows[1]["ended_at"] == "2026-11-24T02:20:00.000Z"


def test_a_week_s_nights_are_opened_by_each_cell_that_counts_them():
    report = report_of(night_run("2026-11-22"), night_run("2026-11-15", "missed"), attempts=[attempt()])

    for name in ("failure-rates", "release-failures", "rollbacks", "batch-timing", "delivery", "recovery"):
        table = page_table(report, name)
        (place,) = [place for place, head in enumerate(table.heads) if head.text == "nights"]
        told = {line.cells[0].text: line.cells[place] for line in table.lines}
        assert (told["2026-W47"].leads, told["2026-W47"].opens) == ("nights", "week=2026-W47"), name
        assert (told["2026-W46"].leads, told["2026-W46"].opens) == ("nights", "week=2026-W46"), name
        assert told["2026-W22 to 2026-W45"].opens is None  # none planned
    (line,) = page_table(report, "coverage-by-project").lines
    assert line.cells[1].opens == "project=p&week=2026-W47"
    nights = page_table(report, "nights").lines
    assert [line.about for line in nights] == [
        {"week": "2026-W47", "project": "p"},
        {"week": "2026-W46", "project": "p"},
    ]
    assert '<tr data-week="2026-W46" data-project="p">' in render_page(report, ())


def test_of_too_many_nights_those_of_this_week_and_those_missed_are_kept():
    days = [f"2026-11-{day:02}" for day in range(1, 23)]
    report = report_of(*(night_run(day, "missed" if day == "2026-11-02" else "done") for day in days))

    shown = shown_table(report, "nights", Room(rows=9))

    kept = list(shown.rows["night_date"])
    assert kept == [*reversed(days[15:]), "2026-11-15", "2026-11-02"]
    assert shown.more.startswith("9 of 22 nights")
    assert len(shown_table(report, "nights", ROOMS[0]).rows) == 22
