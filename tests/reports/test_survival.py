"""Where failures surface first: by hand, and once more plan by plan in plain Python."""

import doctest
from collections import defaultdict
from statistics import mean, median

import pytest
from oracle import interval, is_inside, place_of, start_of
from random_archives import random_archive
from report_builders import UTC_ZONE, attempt, component, frames, week_47

from reports import survival
from reports.survival import batch_survival
from reports.tables import records


def test_the_first_failure_of_a_plan_counts_in_its_batch_with_what_had_shipped():
    rows = [
        attempt(component_id="a", batch=10, start="2026-11-16 10:00"),
        attempt(component_id="b", batch=10, start="2026-11-16 10:00"),
        attempt(component_id="c", batch=20, start="2026-11-16 11:00", seconds=120),  # ends as d does
        attempt("failed", component_id="d", batch=20, start="2026-11-16 11:01"),
        attempt("failed", component_id="e", batch=30, start="2026-11-16 12:00"),
        attempt(component_id="d", batch=20, attempt=2, job_id="again", start="2026-11-16 13:00"),
    ]
    waiting = component(component_id="f", batch=40)

    first, second, third = records(batch_survival(frames(rows, components=[waiting]), week_47()))

    assert [(row["batch_rank"], row["reached"], row["at_risk"], row["surfaced"]) for row in (first, second, third)] == [
        (1, 1, 1, 0),
        (2, 1, 1, 1),
        (3, 1, 0, 0),
    ]
    # Of six places: a and b had shipped before, c beside, and a to d had started.
    assert [second[name] for name in ("shipped_before_mean_rate", "shipped_beside_mean_rate", "started_mean_rate")] == (
        pytest.approx([2 / 6, 1 / 6, 4 / 6])
    )
    assert (first["shipped_before_p50_rate"], third["surfaced_rate"]) == (None, None)


def test_the_survival_rate_is_the_product_over_those_at_risk():
    rows = []
    # Ten plans of two batches; two fail in the first (and go on), four of the other eight in the second.
    for plan in range(10):
        rows.append(attempt("failed" if plan < 2 else "succeeded", plan_id=f"p{plan}", start="2026-11-16 10:00"))
        outcome = "failed" if 2 <= plan < 6 else "succeeded"
        rows.append(attempt(outcome, plan_id=f"p{plan}", batch=2, component_id="web", start="2026-11-16 11:00"))

    first, second = records(batch_survival(frames(rows), week_47()))

    assert (first["surfaced_rate"], first["survival_rate"]) == (0.2, 0.8)
    assert (second["reached"], second["at_risk"], second["surfaced_rate"]) == (10, 8, 0.5)
    assert second["survival_rate"] == pytest.approx(0.4)
    assert (second["shipped_before_p50_rate"], second["ci_low"]) == (0.5, pytest.approx(interval(4, 8)[0]))


def test_a_later_batch_that_failed_earlier_is_where_it_surfaced():
    rows = [
        attempt("failed", batch=1, start="2026-11-16 12:00"),
        attempt("failed", batch=2, component_id="web", start="2026-11-16 10:00"),
    ]

    assert [row["surfaced"] for row in records(batch_survival(frames(rows), week_47()))] == [0, 1]


def test_plans_of_other_weeks_and_batches_without_a_number_are_left_out():
    rows = [attempt("failed", start="2026-11-15 10:00", plan_id="before"), attempt("failed", batch=None)]

    assert batch_survival(frames(rows), week_47()).empty


def by_plan(archive):
    """Return the attempts, and all places, of each plan that have a batch."""
    plans, places = defaultdict(list), defaultdict(set)
    for row in archive["attempts"]:
        if row["batch"] is not None:
            plans[row["project_id"], row["plan_id"]].append(row)
    for row in [*archive["attempts"], *archive["components"]]:
        if row["batch"] is not None:
            places[row["project_id"], row["plan_id"]].add(place_of(row))
    return plans, places


@pytest.mark.parametrize("seed", range(4))
def test_random_archives_give_what_plain_python_counts(seed):
    archive = random_archive(seed, plans=60)
    window = week_47(5)
    plans, places = by_plan(archive)
    expected = defaultdict(lambda: {"reached": 0, "at_risk": 0, "surfaced": 0, "shares": []})
    for plan, rows in plans.items():
        starts = [start_of(row) for row in rows if start_of(row)]
        if not starts or not is_inside(min(starts), window.since_date, window.until_date, UTC_ZONE):
            continue
        order = sorted({place[3] for place in places[plan]})
        failed = [(row["ended_at"] or start_of(row), row["batch"]) for row in rows if row["outcome"] == "failed"]
        failed_at, failed_batch = min(failed, default=(None, None))
        for batch in {row["batch"] for row in rows if start_of(row)}:
            one = expected[order.index(batch) + 1]
            one["reached"] += 1
            one["at_risk"] += failed_batch is None or batch <= failed_batch
            one["surfaced"] += batch == failed_batch
        if failed_batch is not None:
            shipped = {
                place_of(r): r["batch"]
                for r in rows
                if r["outcome"] == "succeeded" and r["ended_at"] and r["ended_at"] <= failed_at
            }
            begun = {place_of(r) for r in rows if start_of(r) and start_of(r) <= failed_at}
            total = len(places[plan])
            expected[order.index(failed_batch) + 1]["shares"].append(
                (
                    sum(batch < failed_batch for batch in shipped.values()) / total,
                    sum(batch == failed_batch for batch in shipped.values()) / total,
                    len(begun) / total,
                )
            )

    table = records(batch_survival(frames(**archive), window))

    assert [row["batch_rank"] for row in table] == sorted(expected)
    for row in table:
        one = expected[row["batch_rank"]]
        assert [row[name] for name in ("reached", "at_risk", "surfaced")] == [
            one[n] for n in ("reached", "at_risk", "surfaced")
        ]
        assert [row["ci_low"], row["ci_high"]] == pytest.approx(interval(one["surfaced"], one["at_risk"]), abs=1e-9)
        if one["shares"]:
            before, beside, begun = zip(*one["shares"], strict=True)
            found = [
                row[f"{n}_rate"]
                for n in ("shipped_before_p50", "shipped_before_mean", "shipped_beside_mean", "started_mean")
            ]
            assert found == pytest.approx([median(before), mean(before), mean(beside), mean(begun)])


def test_the_example_holds():
    assert doctest.testmod(survival).failed == 0
