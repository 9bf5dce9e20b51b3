"""Windows and weeks: borders, clock changes, and what is no week."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from reports.errors import UsageError
from reports.window import Window, parse_date, parse_week, week_label, window_from

BERLIN, NEW_YORK, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("UTC")


def test_the_week_of_the_spring_change_in_berlin_has_167_hours():
    week = Window.of_weeks(date(2026, 3, 23), 1, BERLIN).weeks[0]

    assert week.starts_at == datetime(2026, 3, 22, 23, tzinfo=UTC)
    assert week.ends_at == datetime(2026, 3, 29, 22, tzinfo=UTC)


def test_the_week_of_the_autumn_change_in_new_york_has_169_hours():
    week = Window.of_weeks(date(2026, 10, 26), 1, NEW_YORK).weeks[0]

    assert week.starts_at == datetime(2026, 10, 26, 4, tzinfo=UTC)
    assert week.ends_at == datetime(2026, 11, 2, 5, tzinfo=UTC)


def test_weeks_across_a_year_with_53_weeks_follow_each_other():
    window = Window.between(date(2026, 12, 21), date(2027, 1, 11), BERLIN)

    assert [week.label for week in window.weeks] == ["2026-W52", "2026-W53", "2027-W01"]
    assert week_label(date(2027, 1, 3)) == "2026-W53"


def test_instants_go_to_their_local_week_and_outside_ones_to_none():
    window = Window.between(date(2026, 12, 30), date(2027, 1, 5), BERLIN)
    times = ["2026-12-29T22:59:59.999Z", "2026-12-29T23:00Z", "2027-01-03T23:00Z", "2027-01-04T23:00Z", None]

    weeks = window.week_of(pd.Series(pd.to_datetime(times, utc=True, format="ISO8601")))

    assert [None if pd.isna(week) else week for week in weeks] == [None, "2026-W53", "2027-W01", None, None]


def test_a_week_that_the_window_cuts_is_marked():
    window = Window.between(date(2026, 11, 4), date(2026, 11, 17), UTC_ZONE)

    assert [(week.label, week.is_cut) for week in window.weeks] == [
        ("2026-W45", True),
        ("2026-W46", False),
        ("2026-W47", True),
    ]


def test_the_default_window_is_the_last_thirteen_whole_weeks():
    window = window_from(None, None, date(2026, 11, 24), UTC_ZONE)

    assert (window.since_date, window.until_date, len(window.weeks)) == (date(2026, 8, 24), date(2026, 11, 23), 13)
    assert not any(week.is_cut for week in window.weeks)


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2026-11-02", None, (date(2026, 11, 2), date(2026, 11, 23))),
        ("2026-11-24", None, (date(2026, 11, 24), date(2026, 11, 25))),
        (None, "2026-11-18", (date(2026, 8, 24), date(2026, 11, 18))),
        (None, "2026-11-16", (date(2026, 8, 17), date(2026, 11, 16))),
    ],
)
def test_one_date_alone_finds_its_other_end(since, until, expected):
    window = window_from(since, until, date(2026, 11, 24), UTC_ZONE)

    assert (window.since_date, window.until_date) == expected


def test_equal_dates_hold_no_week_and_reversed_ones_are_refused():
    assert Window.between(date(2026, 11, 3), date(2026, 11, 3), UTC_ZONE).weeks == ()
    with pytest.raises(UsageError, match="2026-11-04 is after --until 2026-11-03"):
        Window.between(date(2026, 11, 4), date(2026, 11, 3), UTC_ZONE)


@pytest.mark.parametrize(
    "text", ["2026-W60", "2026-W00", "2025-W53", "2026W47", "2026-47", "9999-W52", "", "\N{FULLWIDTH DIGIT TWO}026-W47"]
)
def test_what_is_no_iso_week_is_refused(text):
    with pytest.raises(UsageError, match="is no ISO week"):
        parse_week(text)


@pytest.mark.parametrize("text", ["2026-02-30", "20261123", "2026-W47-1", "yesterday", "", "0001-01-01", "9999-12-31"])
def test_what_is_no_date_is_refused(text):
    with pytest.raises(UsageError, match="--since"):
        parse_date(text, "--since")


def test_week_53_is_read_where_the_year_has_one():
    assert parse_week("2026-W53") == date(2026, 12, 28)
