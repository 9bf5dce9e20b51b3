"""The troubles of a project: when each began and ended, and what of it was told, so that it is told once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, or_, select, update

from archiver.mapping import key_of
from archiver.schema import fetch_failures, nights, troubles
from archiver.writing import upsert

FAILED, INCOMPLETE, PLAN, GAP = "failed", "incomplete", "plan", "gap"
_NIGHTS_BACK = 400
_NOT_TRIED = "not_tried"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One trouble of a project. `subject` is the plan, or the first missed night."""

    trouble_key: str
    project_id: str
    kind: str
    subject: str
    message: str
    began_at: datetime
    ended_at: datetime | None
    told_at: datetime | None


def note_troubles(
    connection: Connection,
    project_id: str,
    *,
    run_id: str,
    outcome: str,
    error: str | None,
    has_only_failed_plans: bool,
    at: datetime,
) -> None:
    """Note which troubles a run that has ended shows, and which are over, within the transaction that closes it.

    A run that failed tells nothing of plans and ends nothing, and one that broke off nothing of those it did not try;
    a gap is over once a night is archived again.
    """
    found, untried = dict(_gap(connection, project_id)), set[str]()
    if outcome == FAILED:
        found[FAILED, ""] = error or "nothing was archived"
    elif outcome == "partial":
        failed, untried = _failures(connection, run_id)
        found |= failed
        if not has_only_failed_plans:
            found[INCOMPLETE, ""] = error or "not all was archived"
    elif outcome != "complete":
        return
    of_project = troubles.c.project_id == project_id
    is_open = or_(troubles.c.ended_at.is_(None), troubles.c.kind == GAP)
    columns = (troubles.c.kind, troubles.c.subject, troubles.c.trouble_key, troubles.c.ended_at)
    known = {
        (row[0], row[1]): (row[2], row[3]) for row in connection.execute(select(*columns).where(of_project, is_open))
    }
    ended_at = None if outcome == FAILED else at
    new = [
        {
            "trouble_key": key_of(project_id, kind, subject, run_id),
            "project_id": project_id,
            "kind": kind,
            "subject": subject,
            "message": message.replace("\x00", "\N{REPLACEMENT CHARACTER}"),
            "run_id": run_id,
            "began_at": at,
            "ended_at": ended_at if kind == GAP else None,
            "told_at": None,
            "end_told_at": None,
        }
        for (kind, subject), message in found.items()
        if (kind, subject) not in known
    ]
    upsert(connection, troubles, new, replaces=False)
    if outcome == FAILED:
        return
    over = [
        key
        for (kind, subject), (key, was) in known.items()
        if was is None and (kind == GAP or ((kind, subject) not in found and not (kind == PLAN and subject in untried)))
    ]
    for start in range(0, len(over), 500):
        is_over = troubles.c.trouble_key.in_(over[start : start + 500])
        connection.execute(update(troubles).where(is_over).values(ended_at=at))


def _failures(connection: Connection, run_id: str) -> tuple[Mapping[tuple[str, str], str], set[str]]:
    """Return what failed in a run, and the plans that it did not come to."""
    columns = [fetch_failures.c[name] for name in ("plan_id", "stage", "message")]
    found, untried = {}, set()
    for plan_id, stage, message in connection.execute(select(*columns).where(fetch_failures.c.run_id == run_id)):
        if plan_id is None or stage == _NOT_TRIED:
            found[INCOMPLETE, ""] = message
            untried.add(plan_id)
        else:
            found[PLAN, plan_id] = message
    return found, untried


def load_failing_plans(connection: Connection, project_id: str) -> set[str]:
    """Load the ids of the plans of a project that could not be archived when they were last tried."""
    is_failing = (troubles.c.project_id == project_id, troubles.c.kind == PLAN, troubles.c.ended_at.is_(None))
    return set(connection.scalars(select(troubles.c.subject).where(*is_failing)))


def _gap(connection: Connection, project_id: str) -> list[tuple[tuple[str, str], str]]:
    """Return the nights that were missed right before the newest, if any, under the first of them."""
    query = select(nights.c.night_date, nights.c.state).where(nights.c.project_id == project_id)
    newest = connection.execute(query.order_by(nights.c.night_date.desc()).limit(_NIGHTS_BACK)).all()
    missed: list[date] = []
    for night_date, state in newest[1:]:
        if state != "missed":
            break
        missed.append(night_date)
    if not missed:
        return []
    first, last = missed[-1].isoformat(), missed[0].isoformat()
    told = (
        f"the night of {first} was missed"
        if len(missed) == 1
        else (f"{len(missed)} nights were missed, from {first} to {last}")
    )
    return [((GAP, first), told)]


def load_untold(connection: Connection, project_ids: Sequence[str]) -> tuple[list[Trouble], list[Trouble]]:
    """Load what is to be told of some projects: what began, and what was told and is over.

    What was over before anyone could be told is not told any more, save for gaps, which stay.
    """
    columns = [troubles.c[name] for name in Trouble.__slots__]
    of_projects = troubles.c.project_id.in_(project_ids)
    order = (troubles.c.project_id, troubles.c.kind, troubles.c.subject)
    is_news = (troubles.c.told_at.is_(None), or_(troubles.c.ended_at.is_(None), troubles.c.kind == GAP))
    is_over = (troubles.c.told_at.is_not(None), troubles.c.ended_at.is_not(None), troubles.c.end_told_at.is_(None))
    began, ended = (
        [Trouble(*row) for row in connection.execute(select(*columns).where(of_projects, *which).order_by(*order))]
        for which in (is_news, is_over)
    )
    return began, ended


def mark_told(connection: Connection, began: Sequence[Trouble], ended: Sequence[Trouble], at: datetime) -> None:
    """Note what was told. A gap that was over when it was told has no end to tell."""
    for told, values in ((began, {"told_at": at}), (ended, {"end_told_at": at})):
        keys = [trouble.trouble_key for trouble in told]
        for start in range(0, len(keys), 500):
            chosen = troubles.c.trouble_key.in_(keys[start : start + 500])
            connection.execute(update(troubles).where(chosen).values(**values))
    over = [trouble.trouble_key for trouble in began if trouble.ended_at is not None]
    for start in range(0, len(over), 500):
        chosen = troubles.c.trouble_key.in_(over[start : start + 500])
        connection.execute(update(troubles).where(chosen).values(end_told_at=at))
