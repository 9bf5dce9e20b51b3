"""An import: saved bodies put where they belong in the past, and the plans they speak of folded anew."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby, islice
from operator import attrgetter

import structlog
from sqlalchemy import Connection, Engine, delete

from archiver.clock import Clock
from archiver.errors import ApiError, ArchiverError, GiveUpPlanError, RowRefusedError
from archiver.failures import catch_up
from archiver.lease import Lease, acquire
from archiver.ledger import RunResult, close_run, open_run, save_failures, write_weeks
from archiver.mapping import Row
from archiver.ranges import Sights, place, put_aside
from archiver.replay import PlanId, load_sights, load_snapshots, load_states, rebuild
from archiver.saved import Observation, Unreadable
from archiver.schema import sights, snapshots
from archiver.states import State
from archiver.store import body_of, snapshot_row
from archiver.writing import in_transaction, upsert

log = structlog.get_logger()

_BODIES_AT_ONCE = 2000
_NAME_LENGTH = 500  # as much of an id or a name as any index takes


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
    Raises LeaseHeldError while another process is at work on the project. What was saved stays. Files that
    can't be read, and plans that the database refuses, are counted as failed and named in `fetch_failures`.
    """

    def begin(connection: Connection) -> tuple[Lease, str]:
        lease = acquire(connection, f"project:{project_id}")
        write_weeks(connection, ("UTC", zone), now)
        catch_up(connection, project_id, revision)
        return lease, open_run(connection, project_id, "import", now, revision, None)

    lease, run_id = in_transaction(engine, begin)
    running = _Import(engine, lease, RunResult(run_id, project_id, now))
    result = running.result
    remaining = iter(found)
    try:
        while batch := list(islice(remaining, _BODIES_AT_ONCE)):
            running.save(batch)
        running.judge()
    except ArchiverError as error:
        result.outcome = "partial" if running.has_saved else "failed"
        result.error = f"{error}; what came before it is saved, import the same again for the rest"
        if not running.has_saved:
            result.error = str(error)
            raise
    except BaseException:
        result.outcome, result.error = "interrupted", "the import was ended before it was done"
        raise
    finally:
        running.close(now if clock is None else clock.now())
    return result


@dataclass(slots=True)
class _Import:
    """The state of one import: its lease, and what came of the plans so far."""

    engine: Engine
    lease: Lease
    result: RunResult
    listed: set[str] = field(default_factory=set)
    fetched: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    aside: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unreadable: int = 0

    @property
    def has_saved(self) -> bool:
        return bool(self.listed or self.fetched)

    def save(self, batch: list[Observation | Unreadable]) -> None:
        """Save a batch in one transaction; plan by plan where the database refuses what one of them holds."""
        observations = [one for one in batch if isinstance(one, Observation)]
        unreadable = [_failure(one) for one in batch if isinstance(one, Unreadable)]
        try:
            self._write(observations, unreadable)
        except RowRefusedError:
            self._write([], unreadable)
            of = attrgetter("plan_id")
            for plan_id, theirs in groupby(sorted(observations, key=of), of):
                self._save_alone(plan_id, list(theirs))
        self.unreadable += len(unreadable)

    def _save_alone(self, plan_id: str, observations: list[Observation]) -> None:
        """One plan that the database refuses is that plan's failure, and not its neighbours'."""
        try:
            self._write(observations, [])
        except RowRefusedError as error:
            name = plan_id[:_NAME_LENGTH]
            log.warning("import.plan_refused", plan_id=name, reason=str(error))
            refusal = GiveUpPlanError(str(error), stage="mapping", body=observations[-1].content)
            self._write([], [(name, refusal)])
            self.refused.add(plan_id)

    def _write(self, observations: list[Observation], failures: Sequence[tuple[str, ApiError]]) -> None:
        result = self.result

        def write(connection: Connection) -> tuple[set[str], set[str]]:
            self.lease.confirm(connection)
            save_failures(connection, result.project_id, result.run_id, failures, result.started_at)
            return _save(connection, result.project_id, result.run_id, observations, result.started_at)

        changed, aside = in_transaction(self.engine, write)
        self.listed |= {one.plan_id for one in observations if one.kind == "list_item"}
        self.fetched |= {one.plan_id for one in observations if one.kind == "deploy_info"}
        self.changed |= changed
        self.aside |= aside

    def judge(self) -> None:
        """Say how an import ended that came to its end."""
        behind = "bodies of before the prune horizon are stored, but no fact could be made of them"
        doubts = {
            "files, lines or items are no bodies": self.unreadable,
            "plans are refused by the database": len(self.refused),
            f"plans with something left aside: {behind}": len(self.aside),
        }
        self.result.error = "; ".join(f"{count} {what}" for what, count in doubts.items() if count) or None
        self.result.outcome = "complete" if not self.result.error else "partial" if self.has_saved else "failed"

    def close(self, ended_at: datetime) -> None:
        """Write how the import ended, if the lease is still ours and the database answers."""
        result, counts = self.result, self.result.counts
        counts.plans_listed, counts.plans_fetched = len(self.listed | self.fetched | self.refused), len(self.fetched)
        counts.plans_changed = len(self.changed & self.fetched)
        counts.plans_unchanged = counts.plans_fetched - counts.plans_changed
        counts.plans_skipped = len(self.listed - self.fetched)
        counts.plans_failed = self.unreadable + len(self.refused)
        result.ended_at = ended_at

        def write(connection: Connection) -> None:
            self.lease.confirm(connection)
            close_run(connection, result.run_id, result.outcome, ended_at, counts, result.error)
            self.lease.release_in(connection)

        try:
            in_transaction(self.engine, write)
        except ArchiverError as error:
            # The next run or import finds the row still open, and marks it interrupted.
            log.warning("import.run_not_closed", run_id=result.run_id, error=str(error))
            result.outcome = "partial" if self.has_saved else "failed"
            result.error = result.error or f"how the import ended could not be written down: {error}"


def _failure(one: Unreadable) -> tuple[str, ApiError]:
    log.warning("import.unreadable", name=one.name, reason=one.reason)
    failure = GiveUpPlanError(f"{one.name}: {one.reason}", stage="import", body=one.content or None)
    return one.name[-_NAME_LENGTH:], failure  # of a long path the end tells more


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
        body = body_of(one.content, one.captured_at)
        new = snapshot_row(project_id, one.plan_id, one.kind, body, run_id, now)
        if state is None or one.captured_at > state.known_until:
            place(told, new, known)
        elif put_aside(told, aside, new):
            is_one_aside = True
    rows[:] = [*told, *aside]
    return is_one_aside
