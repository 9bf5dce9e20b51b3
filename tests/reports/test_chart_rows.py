"""What the charts show: nothing, not collected and too few never look alike, and what is left out is said."""

from zoneinfo import ZoneInfo

import pytest
from report_builders import UTC_ZONE, at, attempt, frames, night, rollback, week_47

from reports.batch_timing import batch_timing
from reports.chart_rows import HEAT_ROWS, TIMELINE_PLANS, heat_rows, rate_rows, short, timeline_rows, timing_rows
from reports.clustered import release_rates
from reports.columns import FAILURES, empty
from reports.composition import weekly_tables
from reports.failure_rates import failure_rates
from reports.groups import Selection
from reports.rollbacks import rollback_rates

MONDAYS = {"W44": "2026-10-26", "W45": "2026-11-02", "W46": "2026-11-09", "W47": "2026-11-16"}
NIGHTS = [night(monday) for monday in MONDAYS.values()]


def releases(week, finished, failed=0, **other):
    return [
        attempt(
            "failed" if number < failed else "succeeded", f"{MONDAYS[week]} 10:00", plan_id=f"{week}-{number}", **other
        )
        for number in range(finished)
    ]


def rates_of(*attempts, nights=NIGHTS, rollbacks=(), as_of="2026-11-29 00:00"):
    return release_rates(frames(attempts, rollbacks, nights=nights), Selection(week_47(4)), as_of=at(as_of))


def states(rows):
    return {row["week"]: row["state"] for row in rows.rows}


def test_a_week_has_the_state_that_its_count_and_its_nights_give_it():
    table = rates_of(
        *releases("W45", 9),
        *releases("W46", 10, 1),
        nights=[night(MONDAYS["W45"]), night(MONDAYS["W46"]), night(MONDAYS["W47"])],
    )

    rows = rate_rows(table, "failed")

    assert states(rows) == {"W44": "uncollected", "W45": "few", "W46": "value", "W47": "nothing"}
    assert rows.rows[2]["rate"] == pytest.approx(0.1)
    assert [row["text"] for row in rows.rows if row["state"] in {"uncollected", "nothing"}] == [
        "2026-W44: not collected",
        "2026-W47: no release finished",
    ]


def test_a_week_that_was_seen_only_later_is_shown_and_said_to_be_so():
    rows = rate_rows(rates_of(*releases("W46", 12), nights=[]), "failed")

    assert states(rows)["W46"] == "value"
    assert rows.rows[2]["text"].endswith("not every night was archived")


def test_a_young_week_is_provisional_in_the_rate_of_rollbacks():
    made = [*releases("W46", 10), *releases("W47", 10)]
    table = rates_of(*made, rollbacks=[rollback(plan_id="W47-0")], as_of="2026-11-29 23:59")

    rows = rate_rows(table, "rolled_back")

    assert states(rows) == {"W44": "nothing", "W45": "nothing", "W46": "value", "W47": "provisional"}
    assert states(rate_rows(table, "failed"))["W47"] == "value"
    assert rows.rows[-1]["text"].startswith("2026-W47: 1 of 10 releases rolled back within 7 days, in 10 plans: 10.0 %")


def test_the_rate_of_rollbacks_counts_every_week_at_the_age_of_the_verdict():
    """Both releases ended at 10:01; of their rollbacks one began 7 days later to the minute, the other after that."""
    made = [*releases("W45", 10), *releases("W46", 10)]
    undone = [
        rollback(start="2026-11-09 10:01", plan_id="W45-0"),
        rollback("failed", start="2026-11-16 10:02", plan_id="W46-0"),
    ]
    table = rates_of(*made, rollbacks=undone, as_of="2026-11-30 00:00")

    counts = dict(zip(table["week"], zip(table["rolled_back"], table["change_failures"], strict=True), strict=True))
    assert counts == {"2026-W44": (0, 0), "2026-W45": (1, 1), "2026-W46": (0, 0), "2026-W47": (0, 0)}
    assert set(states(rate_rows(table, "rolled_back")).values()) == {"nothing", "value"}
    known = frames(made, undone, nights=NIGHTS)
    ever = rollback_rates(known, Selection(week_47(4)), as_of=at("2026-11-30 00:00"), recheck_days=14)
    assert list(ever["rolled_back"]) == [0, 1, 1, 0]
    assert list(ever["provisional"]) == [False, False, False, True]


def test_a_line_ends_at_a_week_without_a_value_and_where_a_definition_changed():
    table = rates_of(*releases("W44", 10), *releases("W46", 10), *releases("W47", 10))

    rows = rate_rows(table, "failed", breaks={"2026-W47"})

    segments = {row["week"]: row["segment"] for row in rows.rows}
    assert len({segments["W44"], segments["W46"], segments["W47"]}) == 3
    assert [row["week"] for row in rows.rows if row["is_break"]] == ["W47"]


def test_a_mark_opens_its_failures_or_what_finished_without_any_and_nothing_where_nothing_did():
    rows = rate_rows(rates_of(*releases("W45", 10), *releases("W46", 10, 1), *releases("W47", 10, 1)), "failed")

    told = [row["open"] for row in rows.rows]
    assert told == [None, "is=finished&week=2026-W45", "is=failed&week=2026-W46", "is=failed"]


def test_a_cell_and_a_batch_without_a_release_open_nothing():
    archive = frames([*releases("W45", 2), *releases("W47", 1)])
    weeks, by_batch = (
        dict.fromkeys(["2026-W45", "2026-W46", "2026-W47"], "complete"),
        Selection(week_47(3), by=("week", "batch")),
    )
    by_component = failure_rates(archive, Selection(week_47(3), by=("week", "component")), unit="release")

    for rows in (heat_rows(by_component, weeks), timing_rows(batch_timing(archive, by_batch), weeks)):
        assert [row["open"] is not None for row in rows.rows] == [True, False, True]


def test_a_batch_has_a_row_every_week_and_its_times_in_minutes():
    archive = frames([attempt(seconds=90), attempt(batch=2, seconds=30)], nights=NIGHTS[1:])
    table = batch_timing(archive, Selection(week_47(4), by=("week", "batch")))

    rows = timing_rows(table, {f"2026-{week}": "none" if week == "W44" else "complete" for week in MONDAYS})

    first = [row for row in rows.rows if row["batch"] == "batch 1"]
    assert [(row["week"], row["state"]) for row in first] == [
        ("W44", "uncollected"),
        ("W45", "nothing"),
        ("W46", "nothing"),
        ("W47", "value"),
    ]
    assert (first[-1]["p50"], first[-1]["p90"], first[-1]["is_few"]) == (1.5, 1.5, True)


def heat_of(*attempts, coverage=None):
    table = failure_rates(
        frames(attempts, nights=NIGHTS), Selection(week_47(4), by=("week", "component")), unit="release"
    )
    return heat_rows(table, coverage or dict.fromkeys([f"2026-{week}" for week in MONDAYS], "complete"))


def test_a_cell_tells_its_count_and_the_span_of_its_rate():
    rows = heat_of(*releases("W45", 20, 1), *releases("W46", 20, 3), *releases("W47", 9, 9))

    told = {row["week"]: (row["level"], row["count"]) for row in rows.rows}
    assert told == {
        "W44": ("nothing", ""),
        "W45": ("up to 5 %", "1/20"),
        "W46": ("up to 20 %", "3/20"),
        "W47": ("too few", "9/9"),
    }


def test_a_cell_that_was_not_collected_is_no_empty_one():
    coverage = {"2026-W44": "none", "2026-W45": "complete", "2026-W46": "complete", "2026-W47": "complete"}

    rows = heat_of(*releases("W47", 10), coverage=coverage)

    assert [(row["level"], row["count"]) for row in rows.rows][:2] == [("not collected", "?"), ("nothing", "")]


def test_of_two_hundred_components_those_with_most_failures_are_shown():
    rows = heat_of(
        *(row for number in range(200) for row in releases("W47", 3, number % 4, component_id=f"c{number:03}"))
    )

    shown = {row["component"] for row in rows.rows}
    assert len(shown) == HEAT_ROWS
    assert all(int(name[1:]) % 4 == 3 for name in shown)
    assert rows.left_out == "The 25 of 200 components with most failures."


def test_components_of_one_name_stay_apart():
    rows = heat_of(*releases("W47", 2), *releases("W47", 2, project_id="q"))

    assert {row["component"] for row in rows.rows} == {"api", "api (2)"}


def timeline_of(*attempts, rollbacks=(), zone=UTC_ZONE):
    archive = frames(attempts, rollbacks, nights=NIGHTS)
    window = week_47(4)
    tables = weekly_tables(archive, empty(FAILURES), window, as_of=None, recheck_days=14)
    return timeline_rows(tables["releases"], zone)


def test_a_plan_shows_the_worst_that_happened_to_it_and_each_batch_its_own():
    rows = timeline_of(
        attempt("failed", component_id="a"),
        attempt(component_id="b", start="2026-11-16 11:00", batch=2),
        attempt(component_id="c", start="2026-11-16 11:10", batch=2, seconds=600),
    )

    assert [(row["outcome"], row["plan_outcome"], row["label"]) for row in rows.rows] == [
        ("failed", "failed", "1 of 3 failed"),
        ("succeeded", None, "1 of 3 failed"),
    ]
    assert rows.rows[1]["start"] == at("2026-11-16 11:00").timestamp() * 1000
    assert rows.rows[1]["end"] == at("2026-11-16 11:20").timestamp() * 1000


def test_a_failed_rollback_is_worse_than_a_failure():
    rows = timeline_of(attempt("failed"), rollbacks=[rollback("failed")])

    assert rows.rows[0]["plan_outcome"] == "rollback failed"


def test_a_release_that_claims_to_end_with_the_calendar_is_drawn_east_of_greenwich_too():
    seconds = (at("9999-12-31 23:59") - at("2026-11-16 10:00")).total_seconds()
    rows = timeline_of(attempt(seconds=seconds), zone=ZoneInfo("Asia/Shanghai"))

    assert rows.rows[0]["end"] == at("9999-12-31 23:59").timestamp() * 1000


def test_a_release_without_a_known_end_ends_where_it_starts():
    rows = timeline_of(attempt("running", seconds=None))

    assert rows.rows[0]["outcome"] == "unfinished"
    assert rows.rows[0]["start"] == rows.rows[0]["end"]


def test_of_many_plans_those_with_failures_are_shown_in_the_order_of_their_start():
    good = [attempt(plan_id=f"good{number:02}", start=f"2026-11-16 {number % 24:02}:00") for number in range(60)]

    rows = timeline_of(*good, attempt("failed", plan_id="bad", start="2026-11-22 23:00"))

    assert len({row["place"] for row in rows.rows}) == TIMELINE_PLANS
    assert rows.rows[-1]["plan"] == "bad"
    assert rows.left_out == "40 of 61 plans, those with failures first."


@pytest.mark.parametrize(
    ("name", "shown"),
    [("api", "api"), ("", "(none)"), ("x" * 25, f"{'x' * 23}…"), ("a\u202eb", "a\N{REPLACEMENT CHARACTER}b")],
)
def test_a_name_fits_beside_a_chart_and_turns_nothing_around(name, shown):
    assert short(name) == shown
