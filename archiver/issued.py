"""The reports that were issued: kept as they went out, to be compared with what is known later."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from archiver import __version__
from archiver.instants import instant_text
from archiver.mapping import key_of
from archiver.schema import issued_reports
from archiver.writing import upsert


@dataclass(frozen=True, slots=True)
class Issued:
    """One weekly report as it was issued; `report` is its JSON file."""

    week: str
    as_of: datetime
    issued_at: datetime
    definition_versions: Mapping[str, int]
    report: str
    report_sha256: str


def save_issued(
    connection: Connection,
    *,
    zone: str,
    week: str,
    projects: Sequence[str] | None,
    as_of: datetime,
    issued_at: datetime,
    definition_versions: Mapping[str, int],
    report: str,
) -> str:
    """Keep a report within the caller's transaction, and return its SHA-256; the same one twice is kept once."""
    digest = sha256(report.encode()).hexdigest()
    scope = _scope(projects)
    row = {
        "issued_report_key": key_of(zone, week, scope, instant_text(as_of), digest),
        "time_zone": zone,
        "week": week,
        "projects": scope,
        "as_of": as_of,
        "issued_at": issued_at,
        "archiver_version": __version__,
        "definition_versions": json.dumps(dict(definition_versions), sort_keys=True),
        "report": report,
        "report_sha256": digest,
    }
    upsert(connection, issued_reports, [row], replaces=False)
    return digest


def load_baseline(
    connection: Connection, *, zone: str, week: str, projects: Sequence[str] | None, before: datetime
) -> Issued | None:
    """Return the issued report to compare a week's with: its own last one of before, else the last of a week before.

    Only of the same projects, and only one that knew less: `as_of` before `before`.
    """
    table = issued_reports
    columns = [
        table.c[name] for name in ("week", "as_of", "issued_at", "definition_versions", "report", "report_sha256")
    ]
    query = select(*columns).where(
        table.c.time_zone == zone, table.c.week <= week, table.c.as_of < before, _is_of(projects)
    )
    newest = (table.c.week.desc(), table.c.as_of.desc(), table.c.issued_at.desc(), table.c.issued_report_key)
    row = connection.execute(query.order_by(*newest).limit(1)).first()
    return None if row is None else Issued(row[0], row[1], row[2], json.loads(row[3]), row[4], row[5])


def load_issued_versions(
    connection: Connection, *, zone: str, since: str, until: str, projects: Sequence[str] | None, before: datetime
) -> dict[str, Mapping[str, int]]:
    """Return by week, of `since` <= week < `until`, the definition versions of the newest report issued on it.

    Only of the same projects, and only those that knew less: `as_of` before `before`.
    """
    table = issued_reports
    query = select(table.c.week, table.c.definition_versions).where(
        table.c.time_zone == zone,
        table.c.week >= since,
        table.c.week < until,
        table.c.as_of < before,
        _is_of(projects),
    )
    oldest_first = (table.c.week, table.c.as_of, table.c.issued_at, table.c.issued_report_key)
    return {row[0]: json.loads(row[1]) for row in connection.execute(query.order_by(*oldest_first))}


def load_issued_weeks(
    connection: Connection, *, zone: str, projects: Sequence[str] | None, as_of: datetime | None = None
) -> dict[str, datetime]:
    """Return the weeks of which a report on these projects was issued, with when the newest of them was.

    With `as_of`, only those that knew no more than was known then.
    """
    table = issued_reports
    newest: Any = func.max(table.c.issued_at)
    query = select(table.c.week, newest).where(table.c.time_zone == zone, _is_of(projects)).group_by(table.c.week)
    if as_of is not None:
        query = query.where(table.c.as_of <= as_of)
    return {row[0]: row[1] for row in connection.execute(query)}


def _is_of(projects: Sequence[str] | None) -> ColumnElement[bool]:
    scope: Any = _scope(projects)
    return issued_reports.c.projects.is_not_distinct_from(scope)


def _scope(projects: Sequence[str] | None) -> str | None:
    return None if projects is None else json.dumps(sorted(set(projects)))
