"""What a figure of the page opens: as many releases, plans or batches as it says, of any week."""

from datetime import UTC, date, datetime
from urllib.parse import parse_qs

import pytest
from random_archives import random_archive
from report_builders import UTC_ZONE, at, attempt, failure, failures, frames, night, rollback

from reports.behind import COUNTS
from reports.page_opens import key_of
from reports.page_tables import about_release, page_table
from reports.releases import PLACE
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
# Of attempts: what each column counts.
WORDS = {
    "finished": ("succeeded", "failed"),
    "failed": ("failed",),
    "unfinished": ("running", "pending"),
    "aborted": ("aborted",),
    "unknown": ("unknown",),
}
ABOUT = {"component": "component_id", "project": "project_id"}


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
    weeks = [one.label for one in report.window.weeks] if week == "all" else week.split(",")
    count = found.pop("is", None)
    template = found.pop("template", None)

    def stands(row):
        counts = {row["week"]: row["counts"]}
        if row["week"] == "" and (template or "rank" in found):
            counts[weeks[0]] = row["counts"]
        counts |= (
            {} if count is None else {name: int(bits) for name, bits in (one.split("=") for one in row["also"].split())}
        )
        return any(
            name in weeks and (count is None or bits >> list(COUNTS).index(count) & 1) for name, bits in counts.items()
        )

    return [
        row
        for row in records(report.behind)
        if stands(row)
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


def test_a_figure_of_messages_opens_releases_that_hold_them(report):
    told = [
        (name, number, len(opened(report, asked))) for name, number, asked in figures(report, {"failures": ("count",)})
    ]

    assert [one for one in told if not 0 < one[2] <= one[1]] == []
    assert told


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_attempts_and_rework_open_the_releases_that_hold_them_whenever_those_began(seed):
    report, attempts = report_of(seed), random_archive(seed, plans=60)["attempts"]
    teams = {"front": ("api",), "data": ("db",), "-": ("web", "cron", "mail")}
    checked = 0

    tables = dict.fromkeys(("delivery", "delivery-by-team"), ("attempts", "rework attempts"))
    for name, number, asked in figures(report, tables):
        found = parse_qs(asked)
        week, components = found.get("week", ["2026-W47"])[0], teams.get(found.get("team", [""])[0])
        held = [
            tuple(row[key] for key in PLACE)
            for row in attempts
            if week_of(row) == week
            and (row["attempt"] > 1 or "rework" not in name)
            and (components is None or row["component_id"] in components)
        ]
        shown = [tuple(row[key] for key in PLACE) for row in opened(report, asked)]
        assert (len(held), sorted(shown, key=str)) == (number, sorted(set(held), key=str)), name
        checked += 1
    assert checked > 12


def test_what_was_only_tried_again_this_week_is_opened_by_its_name_and_its_rates():
    tries = [
        attempt("failed", "2026-11-06 10:00", job_id="a", team="front"),
        attempt(start="2026-11-17 10:00", job_id="b", attempt=2, team="front"),
    ]
    report = weekly_report(frames(tries), MONDAY, UTC_ZONE, recheck_days=14)

    for name, heads in (
        ("failure-rates-by-component", {"component", "rate"}),
        ("delivery-by-team", {"team", "rework rate"}),
    ):
        table = page_table(report, name)
        (line,) = table.lines
        told = {
            head.text: opened(report, cell.opens)
            for head, cell in zip(table.heads, line.cells, strict=True)
            if head.text in heads
        }
        assert {head: len(found) for head, found in told.items()} == dict.fromkeys(heads, 1)


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_a_figure_of_attempts_opens_the_releases_that_hold_them_and_no_other(seed):
    """Also one that was tried again in another week than it began in: told by the attempts themselves."""
    report, attempts = report_of(seed), random_archive(seed, plans=60)["attempts"]
    checked = 0

    for table in ("failure-rates", "failure-rates-by-component"):
        for name, number, asked in figures(report, {table: tuple(WORDS)}):
            found = parse_qs(asked)
            week = found.get("week", ["2026-W47"])[0]
            about = {key: found[word][0] for word, key in ABOUT.items() if word in found}
            words = WORDS[name.split(", ")[1].split(":")[0]]
            held = [
                tuple(row[key] for key in PLACE)
                for row in attempts
                if row["outcome"] in words
                and week_of(row) == week
                and all(row[key] == value for key, value in about.items())
            ]
            shown = [tuple(row[key] for key in PLACE) for row in opened(report, asked)]
            assert (len(held), sorted(shown, key=str)) == (number, sorted(set(held), key=str)), name
            checked += 1
    assert checked > 40


def week_of(row):
    """Return the week of an attempt, that of UTC; a failed one without a start has one that is inferred."""
    inferred = (row["executed_at"] or row["first_seen_at"]) if row["outcome"] == "failed" else None
    start = row["started_at"] or inferred
    return None if start is None else f"{start:%G-W%V}"


def test_a_release_that_was_tried_again_a_week_later_stands_in_both_weeks():
    tries = [
        attempt("failed", "2026-11-13 10:00", job_id="a"),
        attempt(start="2026-11-17 10:00", job_id="b", attempt=2),
    ]
    report = weekly_report(frames(tries), MONDAY, UTC_ZONE, recheck_days=14)

    (row,) = records(report.behind)
    assert row["week"] == "2026-W46"
    told = {
        (week, is_): len(opened(report, f"week=2026-{week}&is=tried-{is_}")) for week in ("W46", "W47") for is_ in WORDS
    }
    assert {one for one, count in told.items() if count} == {
        ("W46", "finished"),
        ("W46", "failed"),
        ("W47", "finished"),
    }


def test_a_batch_that_went_on_after_midnight_opens_all_of_its_releases():
    starts = ["2026-11-15 23:50", "2026-11-16 00:10"]
    known = frames([attempt(start=start, component_id=f"c{number}") for number, start in enumerate(starts)])
    report = weekly_report(known, MONDAY, UTC_ZONE, recheck_days=14)

    ((_, number, asked),) = figures(report, {"batch-timing": ("batches",)})

    assert (number, parse_qs(asked)["week"]) == (1, ["2026-W46"])
    assert [row["component_id"] for row in opened(report, asked)] == ["c0", "c1"]


def test_a_component_that_is_compared_opens_the_plans_it_is_compared_by():
    """A plan counts in the week of the component's first release there, also if a later batch of it failed."""
    this_week = [
        attempt("failed", "2026-11-17 10:00", plan_id=f"new{number}", component_id="svc") for number in range(12)
    ]
    before = [attempt(start="2026-11-03 10:00", plan_id=f"old{number}", component_id="svc") for number in range(60)]
    later = [
        attempt("failed", "2026-11-17 11:00", plan_id="old0", component_id="svc", batch=2),
        attempt(start="2026-11-24 11:00", plan_id="new0", component_id="svc", batch=2),
    ]
    report = weekly_report(frames([*this_week, *before, *later]), MONDAY, UTC_ZONE, recheck_days=14)

    columns = {"flagged-components": ("finished", "failed", "finished before", "failed before")}
    told = {
        name.split(": ")[0].split(", ")[1]: (number, opened(report, asked))
        for name, number, asked in figures(report, columns)
    }

    assert {head: number for head, (number, _) in told.items()} == {
        "finished": 12,
        "failed": 12,
        "finished before": 60,
        "failed before": 1,
    }
    assert all(len({row["plan_id"] for row in rows}) == number for number, rows in told.values())


def test_a_message_opens_its_release_however_old_that_is():
    again = attempt("failed", "2026-11-17 10:00", job_id="b", attempt=2)
    said = failure("no room", start="2026-11-17 10:00", job_id="b")
    known = frames([attempt("failed", "2026-01-05 10:00", job_id="a"), again])
    report = weekly_report(known, MONDAY, UTC_ZONE, recheck_days=14, failures=failures(said))

    told = [*figures(report, {"failures": ("count",)}), *figures(report, {"failure-rates": ("finished", "failed")})]

    assert [(number, len(opened(report, asked))) for _, number, asked in told] == [(1, 1)] * 3
    assert list(report.behind["week"]) == [""]
    assert len(report.tables["releases"]) == 0


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


def test_a_failed_rollback_s_row_opens_its_release_of_another_week_and_batch():
    """One that came after the component had moved names the batch that it had moved to."""
    undone = rollback("failed", start="2026-11-17 10:00", rollback_job_id="rb", job_id="J", batch=3)
    known = frames([attempt(start="2026-11-13 10:00", job_id="J", batch=2)], [undone])
    said = failure("no way back", start="2026-11-17 10:00", kind="rollback", job_id="rb", batch=3)
    report = weekly_report(known, MONDAY, UTC_ZONE, recheck_days=14, failures=failures(said))

    (line,) = page_table(report, "rollback-failures").lines

    asked = [cell.opens for cell in line.cells if cell.opens is not None]
    assert [[row["batch"] for row in opened(report, one)] for one in asked] == [[2], [2]]


def test_only_finished_releases_stand_among_those_whose_rollback_failed_as_they_are_counted():
    tries = [attempt(outcome, component_id=outcome) for outcome in ("succeeded", "failed", "unknown", "running")]
    undone = [rollback("failed", component_id=one["component_id"]) for one in tries]
    report = weekly_report(frames(tries, undone), MONDAY, UTC_ZONE, recheck_days=14)

    told = [*figures(report, {"rollbacks": ("rollbacks failed",)})]

    assert [(number, len(opened(report, asked))) for _, number, asked in told] == [(2, 2)]


@pytest.mark.parametrize("name", ["-", ""])
def test_what_is_called_like_nothing_is_told_from_what_has_no_name(name):
    tries = [attempt(component_id="a", team=name), attempt(component_id="b"), attempt(component_id="c")]
    report = weekly_report(frames(tries), MONDAY, UTC_ZONE, recheck_days=14)

    told = [*figures(report, {"delivery-by-team": ("releases",)})]

    assert sorted((number, len(opened(report, asked))) for _, number, asked in told) == [(1, 1), (2, 2)]


def test_long_identifiers_that_begin_alike_are_told_apart():
    assert key_of("x" * 10_000) != key_of("x" * 9_999 + "y")
    assert len(key_of("x" * 10_000)) <= 64
