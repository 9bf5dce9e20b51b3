"""The nights: when each fell due by the schedule, and how a run or its absence settles it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
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
    named = ",".join(_named_weekdays(part) for part in weekday.split(","))
    try:
        return CronTrigger(minute=minute, hour=hour, day=day, month=month, day_of_week=named, timezone=zone)
    except ValueError as error:
        raise ValueError(f"{expression!r} is no cron expression: {error}") from None


def _named_weekdays(part: str) -> str:
    span, _, step = part.partition("/")
    first, dash, last = span.partition("-")
    names = [_WEEKDAYS[int(end)] if end.isdigit() and int(end) < len(_WEEKDAYS) else end for end in (first, last)]
    if dash and names[0] == "sun":
        # APScheduler's week ends on Sunday: a span from Sunday wraps there.
        tail = f"mon-{names[1]}{'/' + step if step else ''}" if names[1] != "sun" else ""
        return ",".join(filter(None, ("sun", tail)))
    return f"{names[0]}{dash}{names[1] if dash else ''}{'/' + step if step else ''}"


def due_between(expression: str, zone: "ZoneInfo", after: datetime, until: datetime) -> Iterator[tuple[date, datetime]]:
    """Yield (night_date, planned_at) of every night due in `after` < planned_at <= `until`, the first time of each date.

    A date is named in `zone`. A local time that a DST change skips or doubles is one night all the same.
    """
    trigger = cron_trigger(expression, zone)
    previous: date | None = None
    moment = after + timedelta(milliseconds=1)
    while True:
        fire = _next_fire(trigger, moment)
        if fire is None or fire > until:
            return
        night = fire.astimezone(zone).date()
        if night != previous and not _fired_before(trigger, fire, night, zone):
            yield night, fire
        previous = night
        moment = fire + timedelta(seconds=1)


def _next_fire(trigger: CronTrigger, moment: datetime) -> datetime | None:
    """Return the next fire time in UTC, not before `moment`: in a hour that DST skips the trigger answers earlier ones."""
    probe = moment
    while (fire := trigger.get_next_fire_time(None, probe)) is not None:
        instant: datetime = fire.astimezone(UTC)
        if instant >= moment:
            return instant
        probe += timedelta(minutes=15)
    return None


def _fired_before(trigger: CronTrigger, fire: datetime, night: date, zone: "ZoneInfo") -> bool:
    """Whether the schedule had already fired on that date (an hourly schedule, or a doubled hour)."""
    midnight = datetime(night.year, night.month, night.day, tzinfo=zone)
    first = _next_fire(trigger, midnight.astimezone(UTC))
    return first is not None and first < fire


def last_due(expression: str, zone: "ZoneInfo", now: datetime) -> tuple[date, datetime] | None:
    """Return the latest night due at `now`, looking back 400 days; None if there was none."""
    for days in (2, 8, 40, 400):
        nights = list(due_between(expression, zone, now - timedelta(days=days), now))
        if nights:
            return nights[-1]
    return None
