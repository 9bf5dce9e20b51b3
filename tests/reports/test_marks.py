"""What people see of few and of nothing: a rate of few is marked wherever it stands, what was not collected is no 0."""

import re
from datetime import UTC, date, datetime

import pytest
from report_builders import UTC_ZONE, attempt, frames, night, rollback, week_47

from reports.columns import Frames
from reports.definitions import DEFINITIONS
from reports.failure_rates import failure_rates
from reports.groups import Selection
from reports.mail import message_text
from reports.marks import is_few, is_uncollected
from reports.page import render_page
from reports.page_parts import ROOMS, shown_table
from reports.page_tables import page_table
from reports.render import render_weekly
from reports.tables import NOTHING, for_people, render_csv, render_json, render_text
from reports.week_bars import week_bars
from reports.weekly import weekly_report

MONDAY = date(2026, 11, 16)
NIGHTS = [night(f"2026-11-{day:02}") for day in range(16, 23)]
FEW = "too few to say"


def releases(count, failed=0, start="2026-11-16 10:00", **other):
    return [
        attempt("failed" if number < failed else "succeeded", start, plan_id=f"{start} {number}", **other)
        for number in range(count)
    ]


def report_of(*attempts, nights=NIGHTS, rollbacks=(), as_of=datetime(2026, 11, 24, tzinfo=UTC)):
    known = frames(attempts, rollbacks, nights=nights, last_run_ended_at=as_of)
    return weekly_report(known, MONDAY, UTC_ZONE, recheck_days=14)


@pytest.mark.parametrize(("count", "is_marked"), [(1, True), (9, True), (10, False)])
def test_a_rate_of_fewer_than_ten_is_marked_in_every_table_for_people(count, is_marked):
    rows = releases(count, 1)
    table = failure_rates(frames(rows, nights=NIGHTS), Selection(week_47()))

    text = render_text(table, title="T", note="N", width=200, color=False)
    markdown = render_weekly(report_of(*rows))["weekly-2026-W47.md"]
    (line, *_) = page_table(report_of(*rows), "failure-rates").lines

    assert (f"{100 / count:.1f} % *" in text) == (f"* Of fewer than 10: {FEW}." in text) == is_marked
    assert (f"{100 / count:.1f} %, {FEW}" in markdown) == is_marked
    assert [cell.is_few for cell in line.cells if cell.text == f"{100 / count:.1f} %"] == [is_marked]
    assert FEW not in render_csv(table) + render_json(table)


def test_every_rate_of_the_reports_tables_is_of_a_count_that_its_table_has():
    """Else a rate would never be marked. Rates to come are caught here."""
    report = weekly_report(Frames(), MONDAY, UTC_ZONE, recheck_days=14)
    unmarked = {
        (table, column)
        for one in DEFINITIONS
        for table, columns in one.columns.items()
        for column in columns
        if (table in report.tables and column.endswith(("_rate", "rate_before"))) or column == "rate"
        if not is_few(_of_few(report.tables[table]), column).all()
    }

    assert unmarked == set()


def _of_few(table):
    numbers = {name: [3] for name in table.columns if name != "coverage"}
    return type(table)(numbers)


def test_the_cards_of_the_page_the_chat_and_the_mail_mark_a_rate_of_few():
    few, many = report_of(*releases(9, 1)), report_of(*releases(10, 1))

    cards = [re.findall('<section class="card">.*?</section>', render_page(one, ()), re.DOTALL) for one in (few, many)]

    assert [sum(FEW in card for card in of_page) for of_page in cards] == [3, 0]
    assert f"(95 % interval 2.0 % to 43.5 %), {FEW}." in message_text(few)
    assert FEW not in message_text(many)


def test_a_flagged_component_of_few_is_marked_on_the_page():
    rows = releases(4, 4)
    for day in ("2026-10-26", "2026-11-02", "2026-11-09"):
        rows += releases(40, start=f"{day} 10:00")

    table = page_table(report_of(*rows), "flagged-components")

    (line,) = table.lines
    assert [(head.text, cell.text) for head, cell in zip(table.heads, line.cells, strict=True) if cell.is_few] == [
        ("rate", "100.0 %")
    ]


def test_a_week_that_was_not_collected_shows_no_number_in_any_table_by_week():
    report = report_of(*releases(1, start="2026-11-09 10:00"))  # no night, and yet seen: later

    for name in ("failure-rates", "release-failures", "release-rollbacks", "rollbacks", "delivery", "recovery"):
        heads, rows, numbers = for_people_of(report, name)
        told = {row[0]: row for row in rows}
        (nights,) = [place for place, head in enumerate(heads) if head == "nights"]
        seen = {row: {told[row][place] for place, number in enumerate(numbers) if number} for row in told}
        assert seen["2026-W22 to 2026-W45"] == {"?"}, name  # one line for weeks of which there is nothing to say
        assert len(rows) == 3
        assert "?" not in seen["2026-W46"] | seen["2026-W47"], name
        assert [told[week][nights] for week in ("2026-W22 to 2026-W45", "2026-W46", "2026-W47")] == [
            *("not collected", "none planned", "7/7 complete")
        ]


def for_people_of(report, name):
    columns = shown_table(report, name, ROOMS[0]).columns
    rows = zip(*(column.cells for column in columns), strict=True)
    return [column.head for column in columns], list(rows), [column.is_number for column in columns]


def test_nothing_that_happened_and_nothing_that_was_collected_differ_on_the_screen():
    nights = [night("2026-11-09", "missed"), *NIGHTS]
    table = failure_rates(frames(nights=nights), Selection(week_47(2)))

    (_, rows, _) = for_people(table)

    assert rows[0][1:3] == ["?", "?"]
    assert rows[0][-1] == "0/1 not collected"
    assert rows[1][1:3] == ["0", "0"]
    assert list(is_uncollected(table)) == [True, False]


@pytest.mark.parametrize(
    ("attempts", "nights", "now", "before"),
    [
        ([], [], {"?"}, {"?"}),
        ([], NIGHTS, {"0", NOTHING}, {"?"}),
        (releases(2, start="2026-11-09 10:00"), [], {"?"}, {"0", "2", "0.0 %"}),
    ],
)
def test_the_verdicts_table_shows_no_number_of_weeks_that_were_not_collected(attempts, nights, now, before):
    heads, rows, numbers = for_people_of(report_of(*attempts, nights=nights), "verdict")

    seen = {"now": set(), "before": set()}
    for head, *cells in zip(heads, *rows, strict=True):
        if numbers[heads.index(head)] and head not in ("95 % interval", "p value"):
            seen["before" if head.endswith("before") else "now"] |= set(cells)
    assert (seen["now"], seen["before"]) == (now, before)


def test_an_archive_without_a_run_says_so_and_compares_with_no_zeros():
    report = report_of(nights=[], as_of=None)

    heads, rows, _ = for_people_of(report, "verdict")

    assert report.verdict.sentence == "Too little data: no run has ended yet, so there is nothing to judge by."
    told = dict(zip(heads, rows[0], strict=True))
    assert (told["finished"], told["finished before"]) == ("?", NOTHING)


def test_a_components_week_that_was_not_collected_is_no_week_without_a_release():
    table = failure_rates(frames(releases(3, 1), rollbacks=[rollback()]), Selection(week_47(3)))

    bars = week_bars(table, week_47(3).weeks, {"2026-W45"}).bars

    assert [(bar.text.split(": ")[1], bar.is_collected) for bar in bars] == [
        ("not collected", False),
        ("nothing finished", True),
        ("1 of 3 failed, 33.3 % (6.1\N{EN DASH}79.2 %), too few to say", True),
    ]
