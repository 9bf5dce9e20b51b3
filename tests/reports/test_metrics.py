"""The tables, worked by hand on a few rows."""

from datetime import date

import pytest
from report_builders import UTC_ZONE, at, attempt, component, frames, night, rollback, week_47

from reports.batch_timing import batch_timing, batch_trend
from reports.delivery import delivery
from reports.failure_rates import failure_rates
from reports.groups import Selection
from reports.tables import records
from reports.window import Window

WEEK = Selection(week_47())


def only(table):
    (row,) = records(table)
    return row


# --- failure rates ------------------------------------------------------------------------------------------


def test_every_outcome_is_counted_in_its_own_column():
    outcomes = ["succeeded", "succeeded", "succeeded", "failed", "running", "pending", "aborted", "unknown"]
    archive = frames([attempt(word, component_id=f"c{number}") for number, word in enumerate(outcomes)])

    row = only(failure_rates(archive, WEEK))

    assert (row["finished"], row["failed"], row["failure_rate"]) == (4, 1, 0.25)
    assert (row["unfinished"], row["aborted"], row["unknown"]) == (2, 1, 1)
    assert (row["ci_low"], row["ci_high"]) == (pytest.approx(0.045587, abs=1e-6), pytest.approx(0.699358, abs=1e-6))


def test_a_failed_attempt_without_a_start_counts_by_its_plans_execution_or_its_first_sight():
    archive = frames(
        [
            attempt("failed", None, executed_at=at("2026-11-16 09:00"), first_seen_at=at("2026-11-24 02:15")),
            attempt("failed", None, component_id="web", first_seen_at=at("2026-11-22 02:15")),
            attempt("running", None, component_id="db", executed_at=at("2026-11-16 09:00")),
        ]
    )

    row = only(failure_rates(archive, WEEK))

    assert (row["finished"], row["failed"], row["unfinished"]) == (2, 2, 0)


def test_a_release_counts_once_by_its_last_attempt_in_the_week_of_its_first():
    archive = frames(
        [
            attempt("failed", "2026-11-15 23:00", attempt=1),
            attempt("succeeded", "2026-11-16 08:00", attempt=2),
        ],
        [rollback("succeeded")],
    )

    before, now = records(failure_rates(archive, Selection(week_47(2)), unit="release"))

    assert (before["week"], before["finished"], before["failed"]) == ("2026-W46", 1, 0)
    assert now["finished"] == 0


def test_a_component_in_a_batch_without_number_is_one_release():
    archive = frames([attempt("failed", batch=None), attempt("succeeded", batch=None, attempt=2), attempt(batch=2)])

    row = only(failure_rates(archive, WEEK, unit="release"))

    assert (row["finished"], row["failed"]) == (2, 0)


def test_every_week_of_the_window_is_a_row_with_its_nights():
    nights = [
        night("2026-11-02"),
        night("2026-11-09", "partial"),
        night("2026-11-10", "missed"),
        night("2026-11-16", "due"),
    ]
    window = Window.between(date(2026, 10, 28), date(2026, 11, 23), UTC_ZONE)

    rows = records(failure_rates(frames(nights=nights), Selection(window)))

    assert [(row["week"], row["finished"], row["failure_rate"], row["is_cut"]) for row in rows] == [
        ("2026-W44", 0, None, True),
        ("2026-W45", 0, None, False),
        ("2026-W46", 0, None, False),
        ("2026-W47", 0, None, False),
    ]
    assert [(row["nights_planned"], row["nights_done"], row["coverage"]) for row in rows] == [
        (0, 0, "none"),
        (1, 1, "complete"),
        (2, 0, "partial"),
        (1, 0, "none"),
    ]


def test_a_week_by_project_carries_the_nights_of_that_project():
    nights = [night("2026-11-16", project_id="p"), night("2026-11-16", "missed", project_id="q")]
    archive = frames([attempt(project_id="p"), attempt(project_id="q")], nights=nights)

    rows = records(failure_rates(archive, Selection(week_47(2), ("week", "project"))))

    assert [(row["week"], row["project_id"], row["nights_planned"], row["coverage"]) for row in rows] == [
        ("2026-W46", None, 0, "none"),
        ("2026-W47", "p", 1, "complete"),
        ("2026-W47", "q", 1, "none"),
    ]


def test_a_missing_value_is_a_group_of_its_own_and_stands_last():
    archive = frames(
        [
            attempt("failed", creator=None, component_id="a"),
            attempt(creator="bo", component_id="b"),
            attempt(creator="ana", component_id="c"),
        ]
    )

    rows = records(failure_rates(archive, Selection(week_47(), ("creator",))))

    assert [(row["creator"], row["failed"]) for row in rows] == [("ana", 0), ("bo", 0), (None, 1)]


def test_labels_that_no_one_gave_are_one_missing_group():
    assert only(failure_rates(frames([attempt()]), Selection(week_47(), ("team",))))["team"] is None


@pytest.mark.parametrize(
    ("where", "failed"),
    [
        ({"component": ("api",)}, 1),
        ({"component": ("The API",)}, 1),
        ({"creator": ("",)}, 1),
        ({"creator": ("", "ana")}, 2),
        ({"batch": ("2",)}, 1),
        ({"batch": ("",), "creator": ("ana",)}, 0),
        ({"week": ("2026-W46",)}, 0),
    ],
)
def test_a_filter_takes_any_of_its_values_and_every_key(where, failed):
    archive = frames(
        [
            attempt("failed", component="The API"),
            attempt("failed", component_id="web", creator=None, batch=2),
        ]
    )

    table = failure_rates(archive, Selection(week_47(2), ("project",), where))

    assert sum(row["failed"] for row in records(table)) == failed


def test_a_filter_for_no_project_at_all_takes_neither_rows_nor_nights():
    archive = frames([attempt("failed")], nights=[night("2026-11-16")])

    row = only(failure_rates(archive, Selection(week_47(), where={"project": ()})))

    assert (row["failed"], row["nights_planned"], row["nights_done"], row["coverage"]) == (0, 0, 0, "none")


# --- batch timing -------------------------------------------------------------------------------------------


def timing(attempts, components, selection=WEEK):
    return only(batch_timing(frames(attempts, components=components), selection))


def test_a_batch_runs_from_its_earliest_start_to_its_latest_end_without_redeployments():
    attempts = [
        attempt("failed", "2026-11-16 10:00", 60),
        attempt("succeeded", "2026-11-18 10:00", 60, attempt=2),
        attempt("aborted", "2026-11-16 10:00:30", 90, component_id="web"),
    ]

    row = timing(attempts, [component(), component(component_id="web")])

    assert (row["batches"], row["p50_seconds"], row["mean_seconds"], row["max_seconds"]) == (1, 120, 120, 120)


@pytest.mark.parametrize(
    "missing",
    [
        None,
        attempt("unknown", component_id="web"),
        attempt("running", seconds=None, component_id="web"),
        attempt("succeeded", component_id="web", duration_seconds=None),
    ],
)
def test_a_batch_is_not_finished_before_each_component_has_possible_times(missing):
    row = timing([attempt(), *([missing] if missing else [])], [component(), component(component_id="web")])

    assert (row["batches"], row["p50_seconds"]) == (0, None)


def test_a_component_that_was_gone_before_the_start_is_not_waited_for():
    gone = component(component_id="web", first_seen_at=at("2026-11-15 02:15"), gone_at=at("2026-11-16 02:15"))

    assert timing([attempt()], [component(), gone])["batches"] == 1


def test_a_component_that_was_missing_from_the_first_look_is_not_waited_for():
    later = component(component_id="web", first_seen_at=at("2026-11-19 02:15"))

    assert timing([attempt()], [component(), later])["batches"] == 1


def test_a_first_look_at_another_batch_shows_who_was_missing_from_this_one():
    # The body of the 17th shows batch 2; the one of the 19th, the first to show anything of batch 1, adds "web".
    attempts = [attempt(first_seen_at=at("2026-11-19 02:15"))]
    before = component(first_seen_at=at("2026-11-15 02:15"))
    elsewhere = component(component_id="db", batch=2)
    later = component(component_id="web", first_seen_at=at("2026-11-19 02:15"))

    assert timing(attempts, [before, elsewhere, later])["batches"] == 1
    assert timing(attempts, [before, elsewhere | {"plan_id": "other"}, later])["batches"] == 0


def test_the_gap_runs_from_the_nearest_lower_batch_and_may_be_negative():
    attempts = [
        attempt(start="2026-11-16 10:00", seconds=60),
        attempt(start="2026-11-16 10:00:50", seconds=60, batch=4, component_id="web"),
        attempt(start="2026-11-16 10:03:00", seconds=60, batch=5, component_id="db"),
        attempt(start="2026-11-16 10:09:00", seconds=60, batch=None, component_id="x"),
    ]
    places = [component(batch=row["batch"], component_id=row["component_id"]) for row in attempts]

    table = batch_timing(frames(attempts, components=places), Selection(week_47(), ("batch",)))

    assert [(row["batch"], row["gap_p50_seconds"]) for row in records(table)] == [
        (1, None),
        (4, -10.0),
        (5, 70.0),
        (None, None),
    ]


def test_there_is_no_gap_after_a_batch_that_is_not_finished():
    attempts = [attempt(), attempt("unknown", batch=2, component_id="web"), attempt(batch=3, component_id="db")]

    table = batch_timing(frames(attempts), Selection(week_47(), ("batch",)))

    assert [(row["batch"], row["gap_p50_seconds"]) for row in records(table)] == [(1, None), (3, None)]


def test_the_trend_is_the_slope_of_the_weekly_medians():
    starts = ["2026-11-02 10:00", "2026-11-02 11:00", "2026-11-09 10:00", "2026-11-16 10:00"]
    seconds = [100, 200, 160, 190]  # medians 150, 160, 190: slopes 10, 20, 30
    attempts = [attempt(start=s, seconds=t, plan_id=s) for s, t in zip(starts, seconds, strict=True)]
    attempts.append(attempt(start="2026-11-16 10:00", plan_id="other", batch=2))

    rows = records(batch_trend(frames(attempts), Selection(week_47(4), ("week", "batch"))))

    assert [(row["batch"], row["weeks"], row["slope_seconds_per_week"]) for row in rows] == [(1, 3, 20.0), (2, 1, None)]


# --- delivery -----------------------------------------------------------------------------------------------


def test_a_change_failure_failed_in_the_end_or_was_rolled_back():
    attempts = [
        attempt("failed", component_id="a"),
        attempt("succeeded", component_id="a", attempt=2, start="2026-11-16 12:00"),
        attempt("failed", component_id="b"),
        attempt("succeeded", component_id="api"),
        attempt("running", component_id="c"),
    ]

    row = only(delivery(frames(attempts, [rollback()]), WEEK))

    assert (row["releases"], row["finished"], row["change_failures"]) == (4, 3, 2)
    assert (row["attempts"], row["rework_attempts"], row["rework_rate"]) == (5, 1, 0.2)
    assert row["change_failure_rate"] == pytest.approx(2 / 3)
    assert row["recovery_p50_seconds"] == 3600  # 10:01 to 11:01
