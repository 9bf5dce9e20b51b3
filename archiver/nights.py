"""The nights: when each fell due by the schedule, and how a run or its absence settles it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING

from apscheduler.triggers.cron import CronTrigger

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def cron_trigger(expression: str, zone: tzinfo) -> CronTrigger:
    """Make a trigger of a five-field cron expression. Raises ValueError.

    APScheduler counts weekdays from Monday = 0 where cron counts from Sunday, so numbers become names here.
    """
    fields = expression.split()
    if len(fields) != 5:
        raise ValueError(f"{expression!r} is no cron expression; write five fields such as '15 2 * * *'")
    minute, hour, day, month, weekday = fields
    if "*" not in (day, weekday):
        # cron would take either, the trigger below both: neither is what was meant by some.
        raise ValueError(f"{expression!r} names days of the month and weekdays: name one, and write * for the other")
    try:
        named = ",".join(_named_weekdays(part) for part in weekday.split(","))
        return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=named, timezone=zone)
    except ValueError as error:
        raise ValueError(f"{expression!r} is no cron expression: {error}") from None


def _named_weekdays(part: str) -> str:
    """Write one part of the weekday field as names; steps count from Sunday, as cron's do."""
    if part == "*":
        return part
    span, slash, step = part.partition("/")
    first, dash, last = ("0", "-", "6") if span == "*" else span.partition("-")
    start, stop = _weekday(first), _weekday(last if dash else "6" if slash else first)
    if stop == 0 < start:  # mon-sun
        stop = 7
    width = int(step) if slash and step.isdigit() else 0 if slash else 1
    if width < 1 or start > stop:
        raise ValueError(f"{part!r} is no span of weekdays")
    return ",".join(dict.fromkeys(_WEEKDAYS[day] for day in range(start, stop + 1, width)))


def _weekday(word: str) -> int:
    if word.isdecimal() and int(word) < len(_WEEKDAYS):
        return int(word)
    if word.lower() in _WEEKDAYS:
        return _WEEKDAYS.index(word.lower())
    raise ValueError(f"{word!r} is no weekday; write 0 to 7 or sun to sat")


def due_between(expression: str, zone: "ZoneInfo", after: datetime, until: datetime) -> Iterator[tuple[date, datetime]]:
    """Yield (night_date, planned_at) of every night due in `after` < planned_at <= `until`, the first time of a date.

    A date is named in `zone`. A local time that a DST change skips or doubles is one night all the same: the
    schedule is read on the wall clock, and what the wall clock skips falls due as late as it would have before.
    """
    wall_clock = cron_trigger(expression, UTC)
    day = after.astimezone(zone).date() - timedelta(days=1)
    while True:
        fire = wall_clock.get_next_fire_time(None, datetime.combine(day, time(), UTC))
        if fire is None:
            return
        planned_at = fire.replace(tzinfo=zone).astimezone(UTC)
        if planned_at > until:
            return
        if planned_at > after:
            yield fire.date(), planned_at
        day = fire.date() + timedelta(days=1)


def last_due(expression: str, zone: "ZoneInfo", now: datetime) -> tuple[date, datetime] | None:
    """Return the latest night due at `now`, looking back 400 days; None if there was none."""
    for days in (2, 8, 40, 400):
        nights = list(due_between(expression, zone, now - timedelta(days=days), now))
        if nights:
            return nights[-1]
    return None


def next_due(expression: str, zone: "ZoneInfo", now: datetime) -> datetime | None:
    """Return when the next night falls due; None if none does within 400 days."""
    for days in (2, 8, 40, 400):
        for _, planned_at in due_between(expression, zone, now, now + timedelta(days=days)):
            return planned_at
    return None
