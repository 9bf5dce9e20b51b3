"""What a figure of the page opens: as many releases, plans or batches as it says, of any week."""

from datetime import UTC, date, datetime
from urllib.parse import parse_qs

import pytest
from random_archives import random_archive
from report_builders import UTC_ZONE, at, attempt, failure, failures, frames, night, rollback

from reports.behind import COUNTS
from reports.page_opens import key_of
from reports.page_tables import about_release, page_table
from reports.tables import records
from reports.weekly import weekly_report

MONDAY = date(2026, 11, 16)
# Tables and figures that count releases; their own number is that of the releases that they open.
RELEASES = {
    "release-failures": ("finished", "failed"),
    "release-rollbacks": ("finished", "rolled back"),
    "rollbacks": ("finished", "rolled back"),
    "delivery": ("releases", "finished", "change failures"),
    "delivery-by-team": ("releases", "finished", "change failures"),
    "recovery": ("change failures", "recovered", "open rollbacks", "open failures"),
    "flaky-components": ("finished", "flaky"),
    "verdict": ("hits", "finished", "hits before", "finished before"),
}
PLANS = {
    "release-failures": ("plans",),
    "verdict": ("plans", "plans before"),
    "batch-survival": ("reached", "at risk", "surfaced"),
    "flagged-components": ("failed", "failed before"),
}
BATCHES = {"batch-timing": ("batches",), "batch-timing-by-batch": ("batches",), "slowest-components": ("batches",)}
# Of attempts and messages: each release holds one at least.
HOLDERS = {
    "failure-rates": ("finished", "failed", "unfinished", "aborted", "unknown"),
    "failure-rates-by-component": ("finished", "failed", "unfinished", "aborted", "unknown"),
    "failures": ("count",),
}


def report_of(seed):
    """Return the report of a random archive, all of whose failures say one of three things."""
    rows = random_archive(seed, plans=60)
    said = [
        failure(
            f"kind {index % 3}",
            start=None,
            **{name: row[name] for name in ("project_id", "plan_id", "component_id", "batch", "component")},
        )
        | {"started_at": row["started_at"] or row["executed_at"] or row["first_seen_at"]}
        for index, row in enumerate(rows["attempts"])
        if row["outcome"] == "failed"
    ]
    for row in rows["attempts"]:
        row["team"] = {"api": "front", "db": "data"}.get(row["component_id"])
    known = frames(**rows, last_run_ended_at=datetime(2026, 11, 24, tzinfo=UTC))
    return weekly_report(known, MONDAY, UTC_ZONE, recheck_days=14, failures=failures(*said))


def opened(report, asked):
    """Return the releases that a filter of the page shows, by the rules of its script once more."""
    found = {key: values[0] for key, values in parse_qs(asked).items()}
    week = found.pop("week", report.week.label)
    count = found.pop("is", None)
    template = found.pop("template", None)
    return [
        row
        for row in records(report.behind)
        if (week == "all" or row["week"] in week.split(","))
        and (count is None or row["counts"] >> list(COUNTS).index(count) & 1)
        and (template is None or template in row["template_ids"].split())
        and all(about_release(row)[key] == value for key, value in found.items())
    ]


def figures(report, tables):
    """Yield each number of these columns with what it opens."""
    for name, heads in tables.items():
        table = page_table(report, name)
        for line in table.lines:
            for head, cell in zip(table.heads, line.cells, strict=True):
                if head.text in heads and cell.text not in ("0", "?"):
                    yield f"{name}, {head.text}: {cell.opens}", int(cell.text.replace(",", "")), cell.opens


@pytest.fixture(scope="module", params=[11, 12, 13])
def report(request):
    return report_of(request.param)


def test_a_figure_of_releases_opens_as_many_in_every_week(report):
    told = [(name, number, len(opened(report, asked))) for name, number, asked in figures(report, RELEASES)]

    assert [one for one in told if one[1] != one[2]] == []
    assert len(told) > 40


def test_a_figure_of_plans_opens_the_releases_of_as_many_plans(report):
    told = [
        (name, number, len({(row["project_id"], row["plan_id"]) for row in opened(report, asked)}))
        for name, number, asked in figures(report, PLANS)
    ]

    assert [one for one in told if one[1] != one[2]] == []
    assert len(told) > 10


def test_a_figure_of_batches_opens_the_releases_of_as_many_batches(report):
    told = [
        (name, number, len({(row["project_id"], row["plan_id"], row["batch"]) for row in opened(report, asked)}))
        for name, number, asked in figures(report, BATCHES)
    ]

    assert [one for one in told if one[1] != one[2]] == []
    assert len(told) > 5


def test_a_figure_of_attempts_or_messages_opens_the_releases_that_hold_them(report):
    told = [(name, number, len(opened(report, asked))) for name, number, asked in figures(report, HOLDERS)]

    assert [one for one in told if one[2] == 0] == []
    assert len(told) > 40


def test_every_number_of_the_page_but_those_of_nights_opens_something(report):
    """Intervals and p-values are of the counts beside them, nights of no release."""
    exempt = {"95 % interval", "p value", "q value", "nights planned", "nights done"}
    silent = {
        (name, head.text)
        for name in [*report.tables, "release-failures", "release-rollbacks"]
        if name
        not in (
            "known-failures",
            "nights",
            "releases",
            "release-rates",
            "component-weeks",
            "batch-timing-by-week-batch",
        )
        for head in page_table(report, name).heads
        if head.is_number and head.opens is None and head.text not in exempt and page_table(report, name).lines
    }

    assert silent == set()


def test_a_failed_rollback_of_this_week_opens_the_release_of_a_week_before():
    undone = rollback("failed", start="2026-11-17 10:00", rollback_job_id="rb", job_id="J")
    known = frames(
        [attempt(start="2026-11-13 10:00", job_id="J")],
        [undone],
        nights=[night("2026-11-17")],
        last_run_ended_at=at("2026-11-24 02:00"),
    )
    said = failure("no way back", start="2026-11-17 10:00", kind="rollback", job_id="rb")
    report = weekly_report(known, MONDAY, UTC_ZONE, recheck_days=14, failures=failures(said))

    ((_, number, asked),) = figures(report, {"failures": ("count",)})

    assert number == 1
    assert [row["week"] for row in opened(report, asked)] == ["2026-W46"]


def test_long_identifiers_that_begin_alike_are_told_apart():
    assert key_of("x" * 10_000) != key_of("x" * 9_999 + "y")
    assert len(key_of("x" * 10_000)) <= 64
