"""Of how many weeks a report tells the releases one by one."""

from datetime import date

from report_builders import UTC_ZONE, attempt, frames

from reports.behind import releases_by_week, weeks_behind
from reports.window import Window


def test_weeks_are_told_from_the_last_one_back_while_their_releases_are_few(monkeypatch):
    monkeypatch.setattr("reports.behind.ROWS_BEHIND", 60)

    assert weeks_behind([1, 20, 30, 10]) == 3
    assert weeks_behind([0, 0, 61, 0]) == 1
    assert weeks_behind([10, 10, 10]) == 3


def test_the_last_week_is_told_however_many_its_releases(monkeypatch):
    monkeypatch.setattr("reports.behind.ROWS_BEHIND", 60)

    assert weeks_behind([1, 1000]) == 1


def test_releases_are_counted_in_the_week_they_started_in():
    window = Window.of_weeks(date(2026, 11, 16), 3, UTC_ZONE)
    starts = ["2026-11-01 23:59", "2026-11-02 00:00", "2026-11-16 10:00", "2026-11-22 23:59", None]
    rows = [attempt(start=start, component_id=f"c{number}") for number, start in enumerate(starts)]
    again = attempt(start="2026-11-17 10:00", component_id="c2", attempt=2)

    assert releases_by_week(frames([*rows, again]), window) == [1, 0, 2]
