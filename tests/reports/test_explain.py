"""Explain: as many rows as the figures say, each the right one, with the bodies that prove it."""

from collections import Counter
from datetime import date
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from oracle import Oracle, is_inside, place_of, start_of
from random_archives import random_archive
from report_builders import attempt, component, rollback, save, week_47

from reports.batch_timing import batch_timing
from reports.columns import (
    BODIES,
    COMPONENTS,
    NIGHTS,
    PROVEN_ATTEMPTS,
    PROVEN_ROLLBACKS,
    Frames,
    conform,
)
from reports.delivery import delivery
from reports.errors import UsageError
from reports.explain import TABLES, explain, for_reading, snapshot_ids, with_proofs
from reports.failure_rates import failure_rates
from reports.frames import frames_of
from reports.groups import Selection
from reports.reading import reading
from reports.rollbacks import rollback_rates
from reports.tables import records, render_text
from reports.window import Window

ZONE = ZoneInfo("Europe/Berlin")
FINISHED = ("succeeded", "failed")

# Each question to a table: its options, and the columns that count numerator and denominator.
QUESTIONS = {
    "attempts": ("failure-rates", {}, "failed", "finished"),
    "releases": ("failure-rates", {"unit": "release"}, "failed", "finished"),
    "rollbacks": ("rollbacks", {}, "rolled_back", "finished"),
    "rollbacks within a day": ("rollbacks", {"within_days": 1}, "rolled_back", "finished"),
    "batches": ("batch-timing", {}, "batches", "batches"),
    "change failures": ("delivery", {}, "change_failures", "finished"),
    "rework": ("delivery", {"unit": "attempt"}, "rework_attempts", "attempts"),
}


def with_bodies(archive):
    """Give each attempt and rollback of an archive bodies of its own, and its plan a name."""
    proven = {name: [dict(row) for row in rows] for name, rows in archive.items()}
    for name in ("attempts", "rollbacks"):
        for number, row in enumerate(proven.get(name, ())):
            bodies = {"first_snapshot_id": f"{name} {number} first", "last_snapshot_id": f"{name} {number} last"}
            proven[name][number] = {"name": None, "project_name": None, "job_status": "WORD", **bodies} | row
    return proven


def proven_frames(attempts=(), rollbacks=(), components=(), nights=()):
    def framed(rows, contract):
        columns = {name: pd.Series([row[name] for row in rows], dtype="object") for name in contract}
        return conform(pd.DataFrame(columns), contract)

    return Frames(
        attempts=framed(attempts, PROVEN_ATTEMPTS),
        rollbacks=framed(rollbacks, PROVEN_ROLLBACKS),
        components=framed(components, COMPONENTS),
        nights=framed(nights, NIGHTS),
    )


def table_of(question, frames, selection):
    table, options, _, _ = QUESTIONS[question]
    if table == "failure-rates":
        return failure_rates(frames, selection, unit=options.get("unit", "attempt"))
    if table == "rollbacks":
        return rollback_rates(frames, selection, as_of=None, recheck_days=14, **options)
    return {"batch-timing": batch_timing, "delivery": delivery}[table](frames, selection)


def explained(question, frames, selection):
    table, options, _, _ = QUESTIONS[question]
    return explain(frames, selection, table, **options)


def counted(rows, by):
    """Count rows above the line, and all rows, by group."""
    groups = [tuple(row[name] for name in by) for row in records(rows)]
    above = [group for group, row in zip(groups, records(rows), strict=True) if row["counts_in"] == "numerator"]
    return Counter(above), Counter(groups)


def assert_equal_counts(question, frames, selection, by):
    _, _, above_column, below_column = QUESTIONS[question]
    above, below = counted(explained(question, frames, selection), by)
    for row in records(table_of(question, frames, selection)):
        group = tuple(row[name] for name in by)
        assert (above.pop(group, 0), below.pop(group, 0)) == (row[above_column], row[below_column]), group
    assert not above
    assert not below


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("seed", range(2))
def test_there_are_as_many_rows_as_the_figures_say(question, seed):
    frames = proven_frames(**with_bodies(random_archive(500 + seed)))
    window = Window.between(date(2026, 10, 12), date(2026, 11, 23), ZONE)

    for by in (("week",), ("batch",), ("creator",), ("project",)):
        columns = tuple({"project": "project_id"}.get(key, key) for key in by)
        assert_equal_counts(question, frames, Selection(window, by), columns)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "where", [{"batch": ("1", "")}, {"creator": ("ana",)}, {"project": ("p2",), "action": ("create",)}, {"week": ()}]
)
def test_a_filter_keeps_the_rows_that_it_keeps_in_the_table(question, where):
    frames = proven_frames(**with_bodies(random_archive(510, plans=60)))

    for monday in (date(2026, 10, 26), date(2026, 11, 2)):
        assert_equal_counts(question, frames, Selection(Window.of_weeks(monday, 1, ZONE), where=where), ("week",))


@pytest.mark.parametrize("question", ["attempts", "releases", "rollbacks", "change failures", "rework"])
@pytest.mark.parametrize("where", [{"component": ("api",)}, {"version": ("2", "")}])
def test_components_and_versions_filter_too(question, where):
    frames = proven_frames(**with_bodies(random_archive(511, plans=60)))

    selection = Selection(Window.of_weeks(date(2026, 11, 2), 1, ZONE), where=where)

    assert len(explained(question, frames, selection)) > 0
    assert_equal_counts(question, frames, selection, ("week",))


def key_of(row):
    return (row["project_id"], row["plan_id"], row["component_id"], row["batch"])


@pytest.mark.parametrize("seed", range(2))
def test_the_rows_are_those_that_plain_python_finds(seed):
    archive = with_bodies(random_archive(520 + seed, plans=40))
    since, until = date(2026, 11, 2), date(2026, 11, 9)
    oracle = Oracle(
        archive["attempts"], archive["rollbacks"], archive["components"], since=since, until=until, zone=ZONE
    )
    frames, selection = proven_frames(**archive), Selection(Window.between(since, until, ZONE))

    found = {name: records(explained(name, frames, selection)) for name in ("attempts", "rollbacks", "batches")}

    expected = {
        (*place_of(row), row["attempt"], row["last_snapshot_id"], row["outcome"] == "failed")
        for row in archive["attempts"]
        if row["outcome"] in FINISHED and is_inside(start_of(row), since, until, ZONE)
    }
    told = {
        (*key_of(row), row["attempt"], row["last_snapshot_id"], row["counts_in"] == "numerator")
        for row in found["attempts"]
    }
    assert told == expected
    last = {}
    for row in sorted(archive["attempts"], key=lambda row: row["attempt"]):
        last[place_of(row)] = row["last_snapshot_id"]
    releases = {
        (*place_of(row), last[place_of(row)], len(row["held"]), deciding(row["held"]))
        for row in oracle.releases()
        if row["outcome"] in FINISHED and is_inside(row["start"], since, until, ZONE)
    }
    assert {
        (*key_of(row), row["last_snapshot_id"], row["rollbacks"], row["rollback_last_snapshot_id"])
        for row in found["rollbacks"]
    } == releases
    assert {(row["project_id"], row["plan_id"], row["batch"]) for row in found["batches"]} == {
        batch
        for batch, one in oracle.passes().items()
        if one["is_finished"] and is_inside(one["start"], since, until, ZONE)
    }


def deciding(held):
    """Return the last body of the first success, else of the first rollback."""
    far = pd.Timestamp.max.tz_localize("UTC")

    def order(row):
        begun = row["started_at"] or row["ended_at"]
        return (row["outcome"] != "succeeded", begun or far, row["first_seen_at"], row["rollback_job_id"])

    return min(held, key=order)["last_snapshot_id"] if held else None


@pytest.mark.parametrize("seed", range(2))
def test_a_batch_names_the_attempts_that_opened_and_closed_it(seed):
    archive = with_bodies(random_archive(530 + seed, plans=40))
    window = Window.between(date(2026, 10, 12), date(2026, 11, 23), ZONE)
    times = {
        (*place_of(row), row["attempt"]): (row["started_at"], row["ended_at"], row["last_snapshot_id"])
        for row in archive["attempts"]
    }

    rows = explain(proven_frames(**archive), Selection(window), "batch-timing")

    assert len(rows) > 5
    for row in records(rows.drop(columns=["started_at", "ended_at"]).assign(start=rows.started_at, end=rows.ended_at)):
        place = (row["project_id"], row["plan_id"])
        opening = times[(*place, row["opening_component_id"], row["batch"], row["opening_attempt"])]
        closing = times[(*place, row["closing_component_id"], row["batch"], row["closing_attempt"])]
        assert (opening[2], closing[2]) == (row["opening_last_snapshot_id"], row["closing_last_snapshot_id"])
        assert (closing[1] - opening[0]).total_seconds() == pytest.approx(row["duration_seconds"])


def test_both_databases_list_the_same_rows_in_the_same_order(sqlite_archive, postgres_archive):
    archive = with_bodies(random_archive(540))
    window = Window.between(date(2026, 10, 19), date(2026, 11, 16), ZONE)
    read = []
    for engine in (sqlite_archive, postgres_archive):
        save(engine, **archive)
        with reading(engine) as state:
            read.append(frames_of(state, window, attempt_columns=PROVEN_ATTEMPTS, rollback_columns=PROVEN_ROLLBACKS))

    for question in QUESTIONS:
        ours, theirs = (explained(question, frames, Selection(window)) for frames in read)
        assert len(ours) > 0
        pd.testing.assert_frame_equal(ours, theirs)
        assert_equal_counts(question, read[0], Selection(window), ("week",))


def test_a_failed_attempt_counts_in_both_parts_and_a_running_one_in_none():
    archive = {
        "attempts": [
            attempt("succeeded", component_id="a"),
            attempt("failed", component_id="b"),
            attempt("running", component_id="c"),
            attempt("failed", component_id="d", start="2026-11-09 10:00"),
        ]
    }

    rows = explain(proven_frames(**with_bodies(archive)), Selection(week_47()), "failure-rates")

    assert [(row["counts_in"], row["component_id"]) for row in records(rows)] == [
        ("numerator", "b"),
        ("denominator", "a"),
    ]


def test_an_inferred_start_is_told_as_one():
    archive = {"attempts": [attempt("failed", start=None)]}

    (row,) = records(explain(proven_frames(**with_bodies(archive)), Selection(week_47()), "failure-rates"))

    assert (row["started_at"], row["is_start_inferred"]) == ("2026-11-17T02:15:00.000Z", True)


def test_a_release_shows_its_last_attempt_and_its_first_successful_rollback():
    archive = {
        "attempts": [attempt("failed", job_id="J1"), attempt(job_id="J2", attempt=2, start="2026-11-16 10:30")],
        "rollbacks": [
            rollback("failed", rollback_job_id="R1", start="2026-11-16 11:00", job_id="J2"),
            rollback(rollback_job_id="R2", start="2026-11-16 12:00", seconds=30, job_id="J2"),
        ],
    }

    (row,) = records(explain(proven_frames(**with_bodies(archive)), Selection(week_47()), "rollbacks"))

    assert (row["counts_in"], row["attempts"], row["job_id"], row["outcome"]) == ("numerator", 2, "J2", "succeeded")
    assert row["last_snapshot_id"] == "attempts 1 last"
    assert (row["rollbacks"], row["rollbacks_failed"], row["rollback_job_id"]) == (2, 1, "R2")
    assert row["rollback_first_snapshot_id"] == "rollbacks 1 first"
    assert row["recovery_seconds"] == 89 * 60 + 30  # from 10:31:00 to 12:00:30


def test_a_release_that_only_failed_to_roll_back_shows_its_first_try():
    archive = {
        "attempts": [attempt()],
        "rollbacks": [
            rollback("failed", rollback_job_id="late", start="2026-11-16 13:00"),
            rollback("failed", rollback_job_id="early", start="2026-11-16 11:00"),
        ],
    }

    (row,) = records(explain(proven_frames(**with_bodies(archive)), Selection(week_47()), "rollbacks"))

    assert (row["rollback_job_id"], row["rollback_outcome"], row["rollbacks_failed"]) == ("early", "failed", 2)


def test_a_week_in_which_nothing_counts_has_the_columns_and_no_rows():
    frames = proven_frames(**with_bodies({"attempts": [attempt(start="2026-11-09 10:00")]}))

    for table in TABLES:
        rows = explain(frames, Selection(week_47()), table)
        assert (len(rows), rows.columns[0]) == (0, "counts_in")
        proven = with_proofs(rows, conform(pd.DataFrame(columns=list(BODIES)), BODIES))
        assert "No rows" in render_text(for_reading(proven), title="T", note="N", width=100, color=False)


@pytest.mark.parametrize("options", [{"unit": "release"}, {"within_days": 3}])
def test_an_option_that_the_table_does_not_have_is_refused(options):
    with pytest.raises(UsageError, match="not offered for batch-timing"):
        explain(proven_frames(), Selection(week_47()), "batch-timing", **options)


def test_each_snapshot_brings_its_run_and_hash_and_says_if_it_was_pruned():
    archive = {"attempts": [attempt()], "rollbacks": [], "components": [component()]}
    rows = explain(proven_frames(**with_bodies(archive)), Selection(week_47()), "failure-rates")
    bodies = pd.DataFrame(
        {
            "snapshot_id": ["attempts 0 last"],
            "run_id": ["run 9"],
            "content_sha256": ["ab" * 32],
            "is_pruned": [True],
        }
    )

    (row,) = records(with_proofs(rows, conform(bodies, BODIES)))

    assert snapshot_ids(rows) == ["attempts 0 first", "attempts 0 last"]
    assert (row["last_run_id"], row["last_sha256"], row["is_last_pruned"]) == ("run 9", "ab" * 32, True)
    # A body that the archive doesn't have is not said to be there.
    assert (row["first_run_id"], row["first_sha256"], row["is_first_pruned"]) == (None, None, None)


def test_a_screen_of_100_columns_shows_the_row_and_its_proof():
    archive = {"attempts": [attempt("failed", plan_id="6410bbef-350f-48d6-bca9-905ab7cbe974", start=None)]}
    rows = explain(proven_frames(**with_bodies(archive)), Selection(week_47()), "failure-rates")
    bodies = pd.DataFrame(
        {
            "snapshot_id": ["attempts 0 last"],
            "run_id": ["20261117T021500000Z-00f6cf"],
            "content_sha256": ["feed" * 16],
            "is_pruned": [True],
        }
    )

    text = render_text(
        for_reading(with_proofs(rows, conform(bodies, BODIES))), title="T", note="N", width=100, color=False
    )

    assert max(map(len, text.splitlines())) <= 125
    for shown in ("numerator", "failed", "11-17 02:15 *", "feedfeed", "pruned", "20261117T"):
        assert shown in text
