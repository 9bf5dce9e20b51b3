"""An import: saved bodies put where they belong in the past, and the plans they speak of folded anew."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from itertools import islice

import structlog
import zstandard
from sqlalchemy import Connection, Engine, delete

from archiver.clock import Clock
from archiver.errors import ApiError, GiveUpPlanError
from archiver.failures import catch_up
from archiver.lease import acquire
from archiver.ledger import RunResult, close_run, open_run, save_failures, write_weeks
from archiver.mapping import Row
from archiver.ranges import Sights, place, put_aside, snapshot_key
from archiver.replay import PlanId, load_sights, load_snapshots, load_states, rebuild
from archiver.saved import Observation, Unreadable
from archiver.schema import sights, snapshots
from archiver.states import State
from archiver.store import body_of
from archiver.writing import upsert

log = structlog.get_logger()

_BODIES_AT_ONCE = 2000


def import_saved(
    engine: Engine,
    project_id: str,
    revision: str,
    found: Iterable[Observation | Unreadable],
    now: datetime,
    clock: Clock | None = None,
    zone: str = "UTC",
) -> RunResult:
    """Archive observations of one project, in any order, as a run of kind import. Doing it twice does it once.

    It begins at `now` and ends when the clock says, at `now` without one: what it brings was known only then. The weeks
    of UTC and `zone` are written, which views need; nights are those of runs alone.
    Raises LeaseHeldError while another process is at work on the project. What was saved stays if a later file
    can't be read: those are counted as failed and named in `fetch_failures`.
    """
    with engine.begin() as connection:
        lease = acquire(connection, f"project:{project_id}")
        write_weeks(connection, ("UTC", zone), now)
        catch_up(connection, project_id)
        run_id = open_run(connection, project_id, "import", now, revision, None)
    result = RunResult(run_id, project_id, now)
    listed: set[str] = set()
    fetched: set[str] = set()
    changed: set[str] = set()
    failures: list[tuple[str | None, ApiError]] = []
    aside: set[str] = set()
    try:
        for batch in _batches(found):
            observations = [one for one in batch if isinstance(one, Observation)]
            failures += [_failure(one) for one in batch if isinstance(one, Unreadable)]
            listed |= {one.plan_id for one in observations if one.kind == "list_item"}
            fetched |= {one.plan_id for one in observations if one.kind == "deploy_info"}
            with engine.begin() as connection:
                lease.confirm(connection)
                saved, kept_aside = _save(connection, project_id, run_id, observations, now)
            changed |= saved
            aside |= kept_aside
        counts = result.counts
        counts.plans_listed, counts.plans_fetched = len(listed | fetched), len(fetched)
        counts.plans_changed = len(changed & fetched)
        counts.plans_unchanged = counts.plans_fetched - counts.plans_changed
        counts.plans_skipped = len(listed - fetched)
        counts.plans_failed = len(failures)
        is_whole = not failures and not aside
        result.outcome = "complete" if is_whole else "partial" if listed or fetched else "failed"
        result.error = _doubts(len(failures), len(aside))
    except BaseException:
        result.outcome, result.error = "interrupted", "the import was ended before it was done"
        raise
    finally:
        result.ended_at = ended_at = now if clock is None else clock.now()
        with engine.begin() as connection:
            lease.confirm(connection)
            save_failures(connection, project_id, run_id, failures, now)
            close_run(connection, run_id, result.outcome, ended_at, result.counts, result.error)
            lease.release_in(connection)
    return result


def _batches(found: Iterable[Observation | Unreadable]) -> Iterator[list[Observation | Unreadable]]:
    remaining = iter(found)
    while batch := list(islice(remaining, _BODIES_AT_ONCE)):
        yield batch


def _failure(one: Unreadable) -> tuple[str, ApiError]:
    log.warning("import.unreadable", name=one.name, reason=one.reason)
    return one.name, GiveUpPlanError(f"{one.name}: {one.reason}", stage="import", body=one.content)


def _doubts(failures: int, plans_aside: int) -> str | None:
    doubts = []
    if failures:
        doubts.append(f"{failures} files or lines are no bodies")
    if plans_aside:
        behind = "bodies of before the prune horizon are stored, but no fact could be made of them"
        doubts.append(f"{plans_aside} plans with something left aside: {behind}")
    return "; ".join(doubts) or None


def _save(
    connection: Connection, project_id: str, run_id: str, observations: list[Observation], now: datetime
) -> tuple[set[str], set[str]]:
    """Place the observations, write the ranges that changed, and fold their plans anew.

    Return the plans that changed, and those of which something stays aside: it speaks of a time whose bodies were
    pruned, so that no fact can be made of it.
    """
    by_plan: dict[PlanId, list[Observation]] = {}
    for one in observations:
        by_plan.setdefault((project_id, one.plan_id), []).append(one)
    changed: dict[PlanId, list[Row]] = {}
    earlier: dict[PlanId, list[Row]] = {}
    placed: list[Row] = []
    renamed: list[str] = []
    aside: set[str] = set()
    told: list[Row] = []
    states, sights_of = load_states(connection, list(by_plan)), load_sights(connection, list(by_plan))
    for plan_id, rows in load_snapshots(connection, list(by_plan)).items():
        before = {row["snapshot_id"]: dict(row) for row in rows}
        sights_there = sights_of[plan_id]
        known = set(sights_there)
        if _place_all(rows, by_plan[plan_id], sights_there, states.get(plan_id), project_id, run_id, now):
            aside.add(plan_id[1])
        told += [sight for key, sight in sights_there.items() if key not in known]
        after = {row["snapshot_id"]: row for row in rows}
        if after != before:
            changed[plan_id], earlier[plan_id] = list(after.values()), list(before.values())
            placed += [row for key, row in after.items() if before.get(key) != row]
            renamed += [key for key in before if key not in after]
    upsert(connection, snapshots, placed)  # all at once: a statement costs far more than a row of it
    upsert(connection, sights, told, replaces=False)
    rebuild(connection, changed, earlier=earlier)
    if renamed:
        connection.execute(delete(snapshots).where(snapshots.c.snapshot_id.in_(renamed)))
    return {plan_id for _, plan_id in changed}, aside


def _place_all(
    rows: list[Row],
    observations: list[Observation],
    known: Sights,
    state: State | None,
    project_id: str,
    run_id: str,
    now: datetime,
) -> bool:
    """Put a plan's observations among its ranges, in place; return whether one stays aside."""
    told = [row for row in rows if not row["is_aside"]]
    aside = [row for row in rows if row["is_aside"]]
    is_one_aside = False
    for one in observations:
        new = _snapshot(one, project_id, run_id, now)
        if state is None or one.captured_at > state.known_until:
            place(told, new, known)
        elif put_aside(told, aside, new):
            is_one_aside = True
    rows[:] = [*told, *aside]
    return is_one_aside


def _snapshot(one: Observation, project_id: str, run_id: str, now: datetime) -> Row:
    body = body_of(one.content, one.captured_at)
    row: Row = {
        "project_id": project_id,
        "plan_id": one.plan_id,
        "kind": one.kind,
        "captured_at": one.captured_at,
        "last_captured_at": one.captured_at,
        "recorded_at": now,
        "gone_at": None,
        "gone_run_id": None,
        "content_sha256": sha256(one.content).hexdigest(),
        "canonical_sha256": body.canonical_sha256,
        "body": zstandard.compress(one.content),
        "run_id": run_id,
        "is_aside": False,
    }
    key = snapshot_key(row)
    return {"snapshot_id": key, "snapshot_key": key} | row
