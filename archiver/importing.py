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
from archiver.lease import acquire
from archiver.ledger import RunResult, close_run, open_run, save_failures
from archiver.mapping import Row
from archiver.ranges import place, put_aside, snapshot_key
from archiver.replay import PlanId, load_snapshots, load_states, rebuild
from archiver.saved import Observation, Unreadable
from archiver.schema import snapshots
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
) -> RunResult:
    """Archive observations of one project, in any order, as a run of kind import. Doing it twice does it once.

    It begins at `now` and ends when the clock says, at `now` without one: what it brings was known only then.
    Raises LeaseHeldError while another process is at work on the project. What was saved stays if a later file
    can't be read: those are counted as failed and named in `fetch_failures`.
    """
    with engine.begin() as connection:
        lease = acquire(connection, f"project:{project_id}")
        run_id = open_run(connection, project_id, "import", now, revision, None)
    result = RunResult(run_id, project_id, now)
    listed: set[str] = set()
    fetched: set[str] = set()
    changed: set[str] = set()
    failures: list[tuple[str | None, ApiError]] = []
    plans_kept = 0
    try:
        for batch in _batches(found):
            observations = [one for one in batch if isinstance(one, Observation)]
            failures += [_failure(one) for one in batch if isinstance(one, Unreadable)]
            listed |= {one.plan_id for one in observations if one.kind == "list_item"}
            fetched |= {one.plan_id for one in observations if one.kind == "deploy_info"}
            with engine.begin() as connection:
                lease.confirm(connection)
                saved, kept = _save(connection, project_id, run_id, observations, now)
            changed |= saved
            plans_kept += kept
        counts = result.counts
        counts.plans_listed, counts.plans_fetched = len(listed | fetched), len(fetched)
        counts.plans_changed = len(changed & fetched)
        counts.plans_unchanged = counts.plans_fetched - counts.plans_changed
        counts.plans_skipped = len(listed - fetched)
        counts.plans_failed = len(failures)
        is_whole = not failures and not plans_kept
        result.outcome = "complete" if is_whole else "partial" if listed or fetched else "failed"
        result.error = _doubts(len(failures), plans_kept)
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


def _doubts(failures: int, plans_kept: int) -> str | None:
    doubts = []
    if failures:
        doubts.append(f"{failures} files or lines are no bodies")
    if plans_kept:
        behind = "bodies of before the prune horizon are stored, but no fact could be made of them"
        doubts.append(f"{plans_kept} plans kept as they were: {behind}")
    return "; ".join(doubts) or None


def _save(
    connection: Connection, project_id: str, run_id: str, observations: list[Observation], now: datetime
) -> tuple[set[str], int]:
    """Place the observations, write the ranges that changed, and fold their plans anew.

    Return the plans that changed, and how many of these could not be folded: what they hold now reaches behind the
    state that pruning left of them.
    """
    by_plan: dict[PlanId, list[Observation]] = {}
    for one in observations:
        by_plan.setdefault((project_id, one.plan_id), []).append(one)
    changed: dict[PlanId, list[Row]] = {}
    placed: list[Row] = []
    renamed: list[str] = []
    states = load_states(connection, list(by_plan))
    for plan_id, rows in load_snapshots(connection, list(by_plan)).items():
        before = {row["snapshot_id"]: dict(row) for row in rows}
        state = states.get(plan_id)
        # Facts that rest on pruned bodies are not made anew, and go on pointing to the ranges they know.
        is_pruned = any(row["body"] is None for row in rows)
        for one in by_plan[plan_id]:
            new = _snapshot(one, project_id, run_id, now)
            if state is not None and one.captured_at <= state.known_until:
                put_aside(rows, new)
            else:
                place(rows, new, keeps_ids=is_pruned)
        after = {row["snapshot_id"]: row for row in rows}
        if after != before:
            changed[plan_id] = list(after.values())
            placed += [row for key, row in after.items() if before.get(key) != row]
            renamed += [key for key in before if key not in after]
    upsert(connection, snapshots, placed)  # all at once: a statement costs far more than a row of it
    found = rebuild(connection, changed)
    if renamed:
        connection.execute(delete(snapshots).where(snapshots.c.snapshot_id.in_(renamed)))
    return {plan_id for _, plan_id in changed}, found.plans_kept


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
    }
    key = snapshot_key(row)
    return {"snapshot_id": key, "snapshot_key": key} | row
