"""How far the archive reaches back: the first day of which it tells anything."""

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from archiver import schema
from reports.columns import INSTANT
from reports.reading import Reading

_EPOCH = date(1970, 1, 1)


def load_first_day(archive: Reading, zone: ZoneInfo) -> date | None:
    """Return the day of the first night or of the first attempt, whichever is earlier; None for an empty archive.

    An attempt that claims to be older than 1970 counts as of then.
    """
    attempts, plans = schema.job_attempts, schema.plans
    inferred = func.coalesce(plans.c.executed_at, attempts.c.first_seen_at)
    query: Any
    starts = []
    for started_at, condition in (
        (attempts.c.started_at, attempts.c.started_at.is_not(None)),
        (inferred, (attempts.c.started_at.is_(None)) & (attempts.c.outcome == "failed")),
    ):
        query = (
            select(func.min(started_at).label("started_at"))
            .join(plans, plans.c.plan_key == attempts.c.plan_key)
            .where(condition, archive.of_projects(attempts))
        )
        found = archive.facts(query, attempts.c.plan_key, {"started_at": INSTANT})["started_at"]
        starts += [instant.to_pydatetime() for instant in found.dropna()]
    night = archive.book_scalar(select(func.min(schema.nights.c.night_date)).where(archive.of_projects(schema.nights)))
    days = [max(instant.astimezone(zone).date(), _EPOCH) for instant in starts]
    return min([*days, *([night] if night is not None else [])], default=None)
