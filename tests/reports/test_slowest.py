"""The slowest component of each batch: by hand, and once more run by run in plain Python."""

from collections import defaultdict
from statistics import median

import pytest
from oracle import Oracle, is_inside
from random_archives import random_archive
from report_builders import UTC_ZONE, attempt, frames, week_47

from reports.batch_timing import slowest_components
from reports.groups import Selection
from reports.tables import records


def test_the_component_that_was_slowest_most_often_is_shown_with_its_median():
    rows = []
    for plan, (api, web) in enumerate([(60, 50), (70, 90), (80, 120), (30, 20), (10, 100)]):
        rows += [attempt(seconds=api, plan_id=f"p{plan}"), attempt(seconds=web, plan_id=f"p{plan}", component_id="web")]
    rows.append(attempt(seconds=5, plan_id="p0", batch=2, component_id="db"))

    first, second = records(slowest_components(frames(rows), Selection(week_47(), ("batch",))))

    assert (first["batches"], first["component_id"], first["times_slowest"], first["p50_seconds"]) == (5, "web", 3, 100)
    assert (second["batch"], second["component_id"], second["times_slowest"], second["p50_seconds"]) == (2, "db", 1, 5)


def test_of_two_as_slow_both_count_and_the_first_by_name_is_shown():
    rows = [attempt(component_id="web"), attempt(component_id="api")]

    (row,) = records(slowest_components(frames(rows), Selection(week_47(), ())))

    assert (row["batches"], row["component_id"], row["times_slowest"]) == (1, "api", 1)


def test_a_redeployment_is_not_compared_and_an_unfinished_batch_has_no_slowest():
    rows = [attempt(seconds=10), attempt(seconds=500, attempt=2, job_id="j2"), attempt(component_id="web", seconds=20)]
    rows.append(attempt("running", batch=2, seconds=None))

    (row,) = records(slowest_components(frames(rows), Selection(week_47(), ("batch",))))

    assert (row["component_id"], row["p50_seconds"]) == ("web", 20)


def test_no_batch_is_no_row_by_batch_and_one_row_by_week():
    nothing = slowest_components(frames(), Selection(week_47(), ("batch",)))
    (week,) = records(slowest_components(frames(), Selection(week_47(), ("week", "batch"))))

    assert nothing.empty
    assert (week["week"], week["batches"], week["component_id"], week["times_slowest"]) == ("2026-W47", 0, None, 0)


@pytest.mark.parametrize("seed", range(3))
def test_random_archives_give_what_plain_python_counts(seed):
    archive, window = random_archive(seed, plans=80), week_47(5)
    oracle = Oracle(
        archive["attempts"],
        archive["rollbacks"],
        archive["components"],
        since=window.since_date,
        until=window.until_date,
        zone=UTC_ZONE,
    )
    times = defaultdict(lambda: defaultdict(list))
    for (project, plan, batch), one in oracle.passes().items():
        if not one["is_finished"] or not is_inside(one["start"], window.since_date, window.until_date, UTC_ZONE):
            continue
        own = [a for a in archive["attempts"] if (a["project_id"], a["plan_id"], a["batch"]) == (project, plan, batch)]
        firsts = {a["component_id"]: a["duration_seconds"] for a in own if a["attempt"] == 1}
        longest = max(seconds for seconds in firsts.values() if seconds is not None)
        for name, seconds in firsts.items():
            if seconds == longest:
                times[batch][project, name].append(seconds)

    table = records(slowest_components(frames(**archive), Selection(window, ("batch",))))

    assert {row["batch"] for row in table} == set(times)
    for row in table:
        (_, name), seconds = min(
            times[row["batch"]].items(), key=lambda item: (-len(item[1]), -median(item[1]), item[0])
        )
        assert (row["component_id"], row["times_slowest"]) == (name, len(seconds))
        assert row["p50_seconds"] == pytest.approx(median(seconds))
