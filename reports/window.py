"""A span of days in one time zone, and the ISO weeks it covers."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from reports.errors import UsageError

DEFAULT_WEEKS = 13
_FIRST_DATE, _LAST_DATE = date(1970, 1, 1), date(9998, 12, 31)
_ONE_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Week:
    """One ISO week of a zone; `is_cut` when the window holds only a part of it."""

    label: str
    start_date: date
    starts_at: datetime
    ends_at: datetime
    is_cut: bool


@dataclass(frozen=True)
class Window:
    """The days from `since_date` up to, not including, `until_date`; each begins at local midnight."""

    since_date: date
    until_date: date
    zone: ZoneInfo
    weeks: tuple[Week, ...]

    @classmethod
    def between(cls, since: date, until: date, zone: ZoneInfo) -> Self:
        """Return the window of two dates; equal ones hold nothing, reversed ones are a UsageError."""
        if since > until:
            raise UsageError(f"--since {since} is after --until {until}: the first day comes first")
        weeks = []
        monday = monday_of(since)
        while since < until and monday < until:
            weeks.append(
                Week(
                    label=week_label(monday),
                    start_date=monday,
                    starts_at=midnight(monday, zone),
                    ends_at=midnight(monday + _ONE_WEEK, zone),
                    is_cut=monday < since or monday + _ONE_WEEK > until,
                )
            )
            monday += _ONE_WEEK
        return cls(since, until, zone, tuple(weeks))

    @classmethod
    def of_weeks(cls, last_monday: date, count: int, zone: ZoneInfo) -> Self:
        """Return the `count` whole weeks of which the last begins on `last_monday`."""
        return cls.between(last_monday - (count - 1) * _ONE_WEEK, last_monday + _ONE_WEEK, zone)

    def last(self, count: int) -> "Window":
        """Return the last `count` weeks of a window of whole weeks."""
        return Window.of_weeks(self.weeks[-1].start_date, min(count, len(self.weeks)), self.zone)

    @property
    def starts_at(self) -> datetime:
        """Its first instant."""
        return midnight(self.since_date, self.zone)

    @property
    def ends_at(self) -> datetime:
        """The first instant after it."""
        return midnight(self.until_date, self.zone)

    def week_of(self, instants: "pd.Series[pd.Timestamp]") -> "pd.Series[str]":
        """Name the week of each instant; missing for one outside the window, or for none.

        >>> from zoneinfo import ZoneInfo
        >>> window = Window.between(date(2026, 3, 23), date(2026, 4, 6), ZoneInfo("Europe/Berlin"))
        >>> times = pd.Series(pd.to_datetime(["2026-03-29T21:59:59Z", "2026-03-29T22:00:00Z"]))
        >>> window.week_of(times).to_list()
        ['2026-W13', '2026-W14']
        """
        starts = pd.DatetimeIndex([week.starts_at for week in self.weeks], tz=UTC).as_unit("ms").asi8
        moments = pd.DatetimeIndex(instants).as_unit("ms").asi8
        # A missing instant is the least of all integers, and so before every window.
        is_inside = (moments >= _epoch_ms(self.starts_at)) & (moments < _epoch_ms(self.ends_at))
        position = np.searchsorted(starts, moments, side="right") - 1
        labels = pd.Index([week.label for week in self.weeks], dtype="str")
        named = pd.Categorical.from_codes(np.where(is_inside, position, -1), labels)
        return pd.Series(named, index=instants.index)


def _epoch_ms(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant at which a day begins; where a clock change skips midnight, the first one after."""
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def monday_of(day: date) -> date:
    """Return the Monday on or before a day."""
    return day - timedelta(days=day.weekday())


def week_label(day: date) -> str:
    """Name the ISO week of a day, such as 2026-W47."""
    year, week, _ = day.isocalendar()
    return f"{year:04}-W{week:02}"


def parse_week(text: str) -> date:
    """Read `2026-W47` as its Monday."""
    if match := re.fullmatch(r"([0-9]{4})-W([0-9]{2})", text):
        try:
            monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
        except ValueError:
            pass
        else:
            if monday >= _FIRST_DATE and monday <= _LAST_DATE - _ONE_WEEK:
                return monday
    raise UsageError(f"{text!r} is no ISO week: write it like 2026-W47, with a week the year has (01 to 52 or 53)")


def parse_date(text: str, option: str) -> date:
    """Read `2026-11-23`."""
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            pass
        else:
            if _FIRST_DATE <= day <= _LAST_DATE:
                return day
    raise UsageError(f"{option} {text!r} is no date: write it like 2026-11-23 ({_FIRST_DATE} to {_LAST_DATE})")


def window_from(since: str | None, until: str | None, today: date, zone: ZoneInfo) -> Window:
    """Return the window of two options, either of which may be missing.

    Without both: the last 13 whole weeks. Without `until`: up to this week, or through today when `since`
    lies in this week. Without `since`: 13 weeks, the last of which holds the day before `until`.
    """
    since_date = parse_date(since, "--since") if since is not None else None
    if until is not None:
        until_date = parse_date(until, "--until")
    else:
        until_date = monday_of(today)
        if since_date is not None and since_date >= until_date:
            until_date = max(today + timedelta(days=1), since_date)
    if since_date is None:
        since_date = monday_of(until_date - timedelta(days=1)) - (DEFAULT_WEEKS - 1) * _ONE_WEEK
    return Window.between(since_date, until_date, zone)
