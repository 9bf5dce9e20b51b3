"""The archive again from its bodies: snapshots folded anew by the rules of today, in one transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import zstandard
from sqlalchemy import Connection, Table, select

from archiver.api.payloads import DeployInfo, PlanItem, decode
from archiver.attempts import Sighting
from archiver.database import of_plans
from archiver.failures import write_failures
from archiver.history import PlanHistory
from archiver.labelling import drop_labels, label_plans
from archiver.mapping import Row, key_of
from archiver.ranges import Sights
from archiver.schema import components, job_attempts, plan_states, plans, rollbacks, sights, snapshots, status_changes
from archiver.states import State
from archiver.writing import upsert

FACTS = (plans, components, job_attempts, rollbacks, status_changes)
_PLANS_AT_ONCE = 500

PlanId = tuple[str, str]


@dataclass(slots=True)
class Replayed:
    """What a replay found: plans rebuilt, rows that differed, and what it kept since the bodies were pruned.

    `facts_kept` are the rows that rest on pruned bodies, `facts_unlike` those of them that are not what was kept of
    them when their bodies were; `plans_kept` the plans it could not fold at all: a body is
    missing, and there is no state to go on from.
    """

    plans_rebuilt: int = 0
    plans_kept: int = 0
    facts_kept: int = 0
    facts_unlike: int = 0
    rows_written: int = 0
    rows_removed: int = 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """A plan folded anew, and what of it rests on pruned bodies."""

    history: PlanHistory
    state: State | None
    pruned: frozenset[str]
    earlier: PlanHistory | None = None

    def keeps(self, table: Table, row: Row, wanted: Row | None) -> bool:
        """Whether a stored row rests on a body that was pruned: it is kept as it is, unless something new was told."""
        if self.state is None or table is plans or (wanted is not None and self._is_told_anew(table, wanted)):
            return False
        if table in (job_attempts, rollbacks):
            return row["first_snapshot_id"] in self.pruned or row["last_snapshot_id"] in self.pruned
        seen_at: datetime = row["observed_at" if table is status_changes else "last_seen_at"]
        return seen_at <= self.state.known_until

    def _is_told_anew(self, table: Table, wanted: Row) -> bool:
        return self.earlier is not None and wanted not in rows_of(self.earlier, table)


def replay(connection: Connection, *, writes: bool = True) -> Replayed:
    """Fold every plan's snapshots and make its rows equal to what comes of it, within the caller's transaction.

    Of a plan with pruned bodies, the rows that rest on them are left as they are, and counted. Without `writes` it
    only counts what differs.
    Raises zstandard.ZstdError or ValueError where a stored body can't be read; nothing is written then.
    """
    found = Replayed()
    plan_ids = _plan_ids(connection)
    for start in range(0, len(plan_ids), _PLANS_AT_ONCE):
        rows = load_snapshots(connection, plan_ids[start : start + _PLANS_AT_ONCE])
        rebuild(connection, rows, found, writes=writes)
    return found


def rebuild(
    connection: Connection,
    snapshots_of: dict[PlanId, list[Row]],
    found: Replayed | None = None,
    *,
    writes: bool = True,
    earlier: dict[PlanId, list[Row]] | None = None,
) -> Replayed:
    """Do for some plans, given all their snapshots, what `replay` does for all.

    `earlier` are the snapshots they had before: what the new ones tell otherwise is written, whatever it rests on.
    """
    found = found or Replayed()
    states = load_states(connection, list(snapshots_of))
    folded: dict[PlanId, _Plan] = {}
    for plan_id, rows in snapshots_of.items():
        state = states.get(plan_id)
        if not is_foldable(rows, state):
            found.plans_kept += 1
            continue
        pruned = frozenset(row["snapshot_id"] for row in rows if row["body"] is None)
        told = None if state is None or earlier is None else fold(*plan_id, earlier[plan_id], state)
        folded[plan_id] = _Plan(fold(*plan_id, rows, state), state, pruned, told)
    found.plans_rebuilt += len(folded)
    if folded:
        _reconcile(connection, folded, found, writes=writes)
    if writes:
        label_plans(connection, [key_of(*plan_id) for plan_id in folded])
        write_failures(connection, snapshots_of)
    return found


def is_foldable(rows: Iterable[Row], state: State | None) -> bool:
    """Whether a fold of these snapshots tells the plan's whole past: what is missing lies before the state."""
    return all(
        row["body"] is not None or (state is not None and row["captured_at"] <= state.known_until) for row in rows
    )


def fold(
    project_id: str, plan_id: str, rows: Iterable[Row], state: State | None = None, until: datetime | None = None
) -> PlanHistory:
    """Fold one plan's snapshots in the order of what they tell; of equal times a list item comes first.

    It goes on from a state, where there is one, and tells nothing of what came later than `until`. What was imported
    into the time before the state stays aside.
    """
    history = PlanHistory(project_id, plan_id) if state is None else state.history(project_id, plan_id)
    ranked = sorted(rows, key=lambda row: (row["captured_at"], row["kind"] != "list_item", row["snapshot_id"]))
    told: list[tuple[datetime, int, str]] = []
    for rank, row in enumerate(ranked):
        told.append((row["captured_at"], rank, "first"))
        if row["gone_at"] is not None:
            told.append((row["gone_at"], rank, "gone"))
        if row["kind"] == "deploy_info" and row["last_captured_at"] > row["captured_at"]:
            told.append((row["last_captured_at"], rank, "last"))
    for at, rank, what in sorted(told):
        if (state is not None and at <= state.known_until) or (until is not None and at > until):
            continue
        row = ranked[rank]
        if what == "gone":
            history.see_gone(at, row["gone_run_id"])
        elif what == "last":
            history.see_again(at)
        else:
            _see_first(history, row)
    return history


def _see_first(history: PlanHistory, row: Row) -> None:
    content = zstandard.decompress(row["body"])
    sighting = Sighting(row["snapshot_id"], row["canonical_sha256"], row["captured_at"], row["run_id"])
    if row["kind"] == "list_item":
        history.see_item(decode(content, PlanItem), sighting)
    else:
        history.see_deploy_info(decode(content, DeployInfo), sighting)


def _plan_ids(connection: Connection) -> list[PlanId]:
    known = select(snapshots.c.project_id, snapshots.c.plan_id).distinct().order_by("project_id", "plan_id")
    return [(row[0], row[1]) for row in connection.execute(known)]


def load_snapshots(connection: Connection, plan_ids: Sequence[PlanId]) -> dict[PlanId, list[Row]]:
    """Load all snapshots of some plans, bodies included."""
    found: dict[PlanId, list[Row]] = {plan_id: [] for plan_id in plan_ids}
    for row in connection.execute(select(snapshots).where(of_plans(snapshots, plan_ids))).mappings():
        found[row["project_id"], row["plan_id"]].append(dict(row))
    return found


def load_sights(connection: Connection, plan_ids: Sequence[PlanId]) -> dict[PlanId, Sights]:
    """Load what imports told of when the bodies of some plans were seen."""
    found: dict[PlanId, Sights] = {plan_id: {} for plan_id in plan_ids}
    for row in connection.execute(select(sights).where(of_plans(sights, plan_ids))).mappings():
        found[row["project_id"], row["plan_id"]][row["sight_key"]] = dict(row)
    return found


def load_states(connection: Connection, plan_ids: Sequence[PlanId]) -> dict[PlanId, State]:
    """Load the states of those plans of which bodies were pruned."""
    columns = [plan_states.c[name] for name in ("project_id", "plan_id", "known_until", "recorded_at", "state")]
    found = connection.execute(select(*columns).where(of_plans(plan_states, plan_ids)))
    return {(row[0], row[1]): State(*row[2:]) for row in found}


def _reconcile(connection: Connection, folded: dict[PlanId, _Plan], found: Replayed, *, writes: bool) -> None:
    """Make the rows of these plans equal to their histories; what comes first in FACTS is pointed to by the rest."""
    stale: list[tuple[Table, list[str]]] = []
    for table in FACTS:
        key = table.primary_key.columns.keys()[0]
        wanted = {row[key]: row for plan in folded.values() for row in rows_of(plan.history, table)}
        stored = connection.execute(select(table).where(of_plans(table, folded))).mappings()
        there = {row[key]: dict(row) for row in stored}
        kept = {
            row_key
            for row_key, row in there.items()
            if folded[row["project_id"], row["plan_id"]].keeps(table, row, wanted.get(row_key))
        }
        changed = [row for row_key, row in wanted.items() if row_key not in kept and there.get(row_key) != row]
        found.facts_kept += len(kept)
        # The first states kept no status changes: one that a state does not tell is no finding.
        told = kept & wanted.keys() if table is status_changes else kept
        found.facts_unlike += sum(there[row_key] != wanted.get(row_key) for row_key in told)
        found.rows_written += len(changed)
        stale.append((table, [row_key for row_key in there if row_key not in wanted and row_key not in kept]))
        if writes:
            upsert(connection, table, changed)
    for table, keys in reversed(stale):
        found.rows_removed += len(keys)
        if writes and keys:
            if table is components:
                drop_labels(connection, keys)
            connection.execute(table.delete().where(table.primary_key.columns[0].in_(keys)))


def rows_of(history: PlanHistory, table: Table) -> Iterable[Row]:
    """Return the rows of one table of FACTS that a history comes to."""
    if table is plans:
        return [] if history.plan is None else [history.plan]
    if table is components:
        return history.components.values()
    if table is status_changes:
        return history.changes
    return history.attempts.rows() if table is job_attempts else history.rollbacks.rows()
