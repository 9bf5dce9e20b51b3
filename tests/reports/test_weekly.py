"""The weekly report: what its first lines say, and that its files are whole, safe and the same every time."""

import json
import re
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from report_builders import UTC_ZONE, at, attempt, frames, night, rollback

from reports.columns import KNOWN_FAILURES, conform
from reports.definitions import DEFINITION_VERSIONS
from reports.render import render_weekly
from reports.weekly import weekly_report

MONDAY = date(2026, 11, 16)
WEEK_OF_NIGHTS = [night(str(MONDAY + timedelta(days=day))) for day in range(7)]


def report_of(*attempts, nights=(), rollbacks=()):
    archive = frames(attempts, rollbacks, nights=nights, last_run_ended_at=datetime(2026, 11, 24, tzinfo=UTC))
    return weekly_report(archive, MONDAY, UTC_ZONE, recheck_days=14)


def many(outcome, count, start):
    return [attempt(outcome, start, plan_id=f"{outcome}{start}{number}") for number in range(count)]


@pytest.mark.parametrize(
    ("attempts", "nights", "result", "known"),
    [
        ([], [], "not collected", "Not collected: no night was planned in this week."),
        ([], [night("2026-11-16", "missed")], "not collected", "Not collected: none of 1 night was archived."),
        ([], WEEK_OF_NIGHTS, "no releases", "Complete: all 7 nights archived."),
        ([attempt()], WEEK_OF_NIGHTS, "no failures", "Complete: all 7 nights archived."),
        ([attempt("running")], WEEK_OF_NIGHTS, "nothing finished", "Complete: all 7 nights archived."),
        ([attempt("failed")], WEEK_OF_NIGHTS[:6], "failures", "Complete: all 6 nights archived."),
        (
            [attempt("failed")],
            [*WEEK_OF_NIGHTS[:6], night("2026-11-22", "missed")],
            "failures",
            "Collected in part: 6 of 7 nights archived in full.",
        ),
    ],
)
def test_nothing_happened_and_nothing_was_collected_never_read_alike(attempts, nights, result, known):
    report = report_of(*attempts, nights=nights)

    assert (report.result, report.sentences["known"]) == (result, known)


def test_the_sentences_of_all_results_differ():
    archives = [
        ([], []),
        ([], WEEK_OF_NIGHTS),
        ([attempt()], WEEK_OF_NIGHTS),
        ([attempt("running")], WEEK_OF_NIGHTS),
        ([attempt("failed")], WEEK_OF_NIGHTS),
    ]

    sentences = {report_of(*attempts, nights=nights).sentences["failures"] for attempts, nights in archives}

    assert len(sentences) == len(archives)


def test_a_small_change_is_not_called_one():
    rows = [*many("failed", 2, "2026-11-16 10:00"), *many("succeeded", 8, "2026-11-16 10:00")]
    rows += [*many("failed", 1, "2026-11-09 10:00"), *many("succeeded", 9, "2026-11-09 10:00")]

    report = report_of(*rows)

    assert report.sentences["change"].startswith("No clear change")
    assert report.headline["failure_rate_change"] == pytest.approx(0.1)


def test_a_change_beyond_chance_is_called_worse():
    rows = [*many("failed", 20, "2026-11-16 10:00"), *many("succeeded", 20, "2026-11-16 10:00")]
    rows += [*many("failed", 1, "2026-11-09 10:00"), *many("succeeded", 39, "2026-11-09 10:00")]

    assert report_of(*rows).sentences["change"].startswith("Worse than the week before")


def test_the_worst_component_comes_first_and_few_attempts_are_marked():
    rows = [attempt("failed", component_id="few", plan_id="x")]
    rows += [row | {"component_id": "many"} for row in many("failed", 3, "2026-11-16 10:00")]
    rows += [row | {"component_id": "many"} for row in many("succeeded", 7, "2026-11-16 10:00")]

    table = report_of(*rows).tables["failure-rates-by-component"]

    assert table[["component_id", "finished", "failed", "is_too_few"]].to_numpy().tolist() == [
        ["many", 10, 3, False],
        ["few", 1, 1, True],
    ]


def test_the_files_are_the_same_every_time_and_hold_every_table():
    rows = [attempt("failed"), attempt(component_id="web", batch=2, start="2026-11-17 10:00")]

    first, second = (
        render_weekly(report_of(*order, nights=WEEK_OF_NIGHTS, rollbacks=[rollback()])) for order in (rows, rows[::-1])
    )

    assert first == second
    assert {name.removeprefix("weekly-2026-W47") for name in first} >= {
        ".html",
        ".md",
        ".json",
        "-failure-rates.csv",
        "-rollbacks.csv",
        "-batch-timing.csv",
        "-delivery.csv",
        "-failure-rate.svg",
        "-timeline.svg",
    }
    whole = json.loads(first["weekly-2026-W47.json"])
    assert whole["starts_at"] == "2026-11-16T00:00:00.000Z"
    assert [row["week"] for row in whole["tables"]["failure-rates"]][::25] == ["2026-W22", "2026-W47"]
    assert whole["tables"]["failure-rates"][-1]["failed"] == 1


def test_an_empty_archive_makes_every_file():
    files = render_weekly(report_of())

    assert "not collected" in files["weekly-2026-W47.html"]
    assert "**[Releases](#delivery):** not known" in files["weekly-2026-W47.md"]
    assert json.loads(files["weekly-2026-W47.json"])["result"] == "not collected"


def test_plans_that_are_never_archived_are_named():
    rows = {"project_id": "p", "stage": "deploy_info", "error_code": "403", "since_night": "2026-11-02"}
    rows |= {"nights_count": 20, "message": "forbidden"}
    known = conform(pd.DataFrame([rows | {"plan_id": name} for name in "abcd"]), KNOWN_FAILURES)

    report = weekly_report(frames([attempt()]), MONDAY, UTC_ZONE, recheck_days=14, known_failures=known)

    assert "4 plans could not be archived, alike in three nights or more: a, b, c and others." in report.unknowns
    files = render_weekly(report)
    assert "a, b, c and others" in files["weekly-2026-W47.md"]
    assert "a, b, c and others" in files["weekly-2026-W47.html"]
    assert files["weekly-2026-W47-known-failures.csv"].splitlines()[1] == "p,a,deploy_info,403,2026-11-02,20,forbidden"
    assert not any("alike" in line for line in report_of(attempt()).unknowns)


def test_a_rollback_that_can_still_come_is_said():
    report = report_of(attempt(), nights=WEEK_OF_NIGHTS)
    old = weekly_report(
        frames([attempt()], last_run_ended_at=at("2026-12-24 00:00")), MONDAY, UTC_ZONE, recheck_days=14
    )

    assert any("Rollbacks can still come" in line for line in report.unknowns)
    assert not any("Rollbacks can still come" in line for line in old.unknowns)


def test_a_report_says_its_verdict_first_and_a_run_that_ended_before_the_week_did():
    archive = frames([attempt("failed")], nights=WEEK_OF_NIGHTS, last_run_ended_at=datetime(2026, 11, 20, tzinfo=UTC))

    report = weekly_report(archive, MONDAY, UTC_ZONE, recheck_days=14)

    assert report.verdict.word == "too little data"
    assert report.sentences["verdict"] == report.verdict.sentence
    assert report.unknowns[0].startswith(
        "The night that ends this week was not archived: the newest run ended at 2026-11-20"
    )
    assert not any("newest run ended at" in line for line in report_of(attempt("failed")).unknowns)


def test_the_settled_verdict_is_on_the_latest_week_that_is_old_enough():
    """Known on 24 November: the week to the 22nd is 2 days old, the one to the 15th is 9."""
    report = report_of(attempt("failed"))

    assert (report.verdict.is_provisional, report.settled.week, report.settled.is_provisional) == (
        True,
        "2026-W46",
        False,
    )


def test_release_rates_are_those_of_the_tables_with_wider_intervals_where_plans_fail_together():
    rows = [
        attempt("failed" if plan < 3 else "succeeded", component_id=f"c{number}", plan_id=f"plan{plan}")
        for plan in range(12)
        for number in range(10)
    ]

    tables = report_of(*rows).tables

    rates, plain_rates = tables["release-rates"].iloc[-1], tables["failure-rates"].iloc[-1]
    assert (rates["finished"], rates["plans"], rates["failed"], rates["failure_rate"]) == (120, 12, 30, 0.25)
    assert rates["failure_ci_low"] < plain_rates["ci_low"] < plain_rates["ci_high"] < rates["failure_ci_high"]
    assert rates["rollback_rate"] == tables["rollbacks"].iloc[-1]["rollback_rate"] == 0
    assert rates["change_failure_rate"] == tables["delivery"].iloc[-1]["change_failure_rate"] == 0.25


def test_the_markdown_begins_with_the_verdict_and_each_head_leads_to_its_definition_and_sql():
    text = render_weekly(report_of(attempt("failed")))["weekly-2026-W47.md"]

    assert text.splitlines()[4].startswith("**Too little data:")
    anchors = set(re.findall('<a id="([^"]+)"></a>', text))
    assert anchors == set(DEFINITION_VERSIONS)
    assert {"verdict", "coverage", "rollbacks"} < set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
    assert "| [failed](#failure-rates) |" in text
    assert text.count("```sql") >= len(anchors)
    assert "'2026-W47'" in text
