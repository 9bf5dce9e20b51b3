"""What is kept: loads a project's state and the history of its plans, and saves what a run saw of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from threading import local
from typing import Any

import msgspec
import zstandard
from sqlalchemy import Connection, Select, Table, bindparam, select

from archiver.api.payloads import DeployInfo, PlanItem, canonical
from archiver.attempts import Sighting
from archiver.failures import write_failures
from archiver.history import PlanHistory
from archiver.labelling import label_plans
from archiver.mapping import Row, key_of
from archiver.ranges import snapshot_key
from archiver.schema import components, job_attempts, plans, rollbacks, snapshots, status_changes
from archiver.sight_times import CLOSE, EXTEND, MOVES
from archiver.writing import upsert

_of_thread = local()
_TICK = timedelta(milliseconds=1)
_PLANS_AT_ONCE = 1000


class KnownPlan(msgspec.Struct, frozen=True, gc=False):
    """What decides whether that which came of a plan is new."""

    plan_id: str
    list_snapshot_id: str | None
    list_item_sha256: str | None
    deploy_snapshot_id: str | None
    deploy_info_sha256: str | None
    gone_at: datetime | None
    last_seen_at: datetime


class Body(msgspec.Struct, frozen=True, gc=False):
    """One raw body as it came, and when."""

    content: bytes
    canonical_sha256: str
    captured_at: datetime


class Seen(msgspec.Struct):
    """What a run saw of one plan: its list item, and its deployment information, its absence, or neither."""

    plan_id: str
    item: PlanItem
    item_body: Body
    info: DeployInfo | None = None
    info_body: Body | None = None
    gone_at: datetime | None = None


def body_of(content: bytes, captured_at: datetime) -> Body:
    """Hash a body that decodes."""
    return Body(content, sha256(canonical(content)).hexdigest(), captured_at)


def snapshot_row(project_id: str, plan_id: str, kind: str, body: Body, run_id: str, recorded_at: datetime) -> Row:
    """Return the row of a body seen once: a range of sight of no length."""
    row: Row = {
        "project_id": project_id,
        "plan_id": plan_id,
        "kind": kind,
        "captured_at": body.captured_at,
        "last_captured_at": body.captured_at,
        "recorded_at": recorded_at,
        "gone_at": None,
        "gone_run_id": None,
        "content_sha256": sha256(body.content).hexdigest(),
        "canonical_sha256": body.canonical_sha256,
        "body": _compress(body.content),
        "run_id": run_id,
        "is_aside": False,
    }
    key = snapshot_key(row)
    return {"snapshot_id": key, "snapshot_key": key} | row


def _compress(content: bytes) -> bytes:
    """Compress a body with what this thread made for the one before: a new one costs more than most bodies do."""
    if not hasattr(_of_thread, "compressor"):
        _of_thread.compressor = zstandard.ZstdCompressor()
    compressed: bytes = _of_thread.compressor.compress(content)
    return compressed


def load_known(connection: Connection, project_id: str, plan_ids: Sequence[str]) -> dict[str, KnownPlan]:
    """Load the state of some plans of a project, by plan id; an unknown plan has none."""
    columns = [plans.c[name] for name in KnownPlan.__struct_fields__]
    query = select(*columns).where(plans.c.project_id == project_id)
    known = {}
    for start in range(0, len(plan_ids), _PLANS_AT_ONCE):
        some = plan_ids[start : start + _PLANS_AT_ONCE]
        known.update({row[0]: KnownPlan(*row) for row in connection.execute(query.where(plans.c.plan_id.in_(some)))})
    return known


def load_histories(connection: Connection, project_id: str, plan_ids: Sequence[str]) -> dict[str, PlanHistory]:
    """Load all that is known of some plans of a project; of an unknown plan, nothing."""
    histories = {plan_id: PlanHistory(project_id, plan_id) for plan_id in plan_ids}
    if not plan_ids:
        return histories
    for table in (plans, components, job_attempts, rollbacks):
        rows = connection.execute(_rows_of_plans(table), {"project_id": project_id, "plan_ids": plan_ids})
        names = list(rows.keys())
        for found in rows:
            row = dict(zip(names, found, strict=True))
            history = histories[row["plan_id"]]
            if table is plans:
                history.plan = row
            elif table is components:
                history.components[row["component_id"], row["batch"]] = row
            else:
                (history.attempts if table is job_attempts else history.rollbacks).add(row)
    return histories


@lru_cache
def _rows_of_plans(table: Table) -> Select[Any]:
    order = [table.c[name] for name in ("first_seen_at", table.primary_key.columns.keys()[0])]
    is_of_plan = table.c.plan_id.in_(bindparam("plan_ids", expanding=True))
    return select(table).where(table.c.project_id == bindparam("project_id"), is_of_plan).order_by(*order)


def save_seen(
    connection: Connection,
    project_id: str,
    run_id: str,
    seen: Sequence[Seen],
    known: dict[str, KnownPlan],
    now: datetime,
) -> None:
    """Save what was seen of some plans, each plan whole, within the caller's transaction.

    A plan that shows nothing new only has its times of sight moved.
    """
    quiet = [one for one in seen if _is_quiet(one, known.get(one.plan_id))]
    quiet_ids = {one.plan_id for one in quiet}
    _move_times_of_sight(connection, project_id, quiet, known)
    news = [one for one in seen if one.plan_id not in quiet_ids]
    histories = load_histories(connection, project_id, [one.plan_id for one in news if one.plan_id in known])
    with_failures = {plan_id for plan_id, history in histories.items() if history.has_failed()}
    new_snapshots: list[Row] = []
    seen_again: list[Row] = []
    gone: list[str] = []
    for one in news:
        history = histories.setdefault(one.plan_id, PlanHistory(project_id, one.plan_id))
        fold = _Fold(history, run_id, now, new_snapshots, seen_again)
        fold.take_in(one)
        if one.gone_at is not None and history.see_gone(one.gone_at, run_id):
            gone.append(one.plan_id)
    upsert(connection, snapshots, new_snapshots, replaces=False)  # first, since facts point to them
    _write(connection, [history for plan_id, history in histories.items() if plan_id in known])
    # Of a plan that is new no row is there to be replaced; without that clause SQLite writes them in half the time.
    _write(connection, [history for plan_id, history in histories.items() if plan_id not in known], replaces=False)
    EXTEND.execute(connection, seen_again)
    _close_ranges(connection, histories, gone, run_id)
    label_plans(connection, [key_of(project_id, one.plan_id) for one in news])  # new places, and new names
    with_failures |= {plan_id for plan_id, history in histories.items() if history.has_failed()}
    write_failures(connection, [(project_id, plan_id) for plan_id in sorted(with_failures)])


def save_gone(connection: Connection, project_id: str, run_id: str, plan_ids: Sequence[str], at: datetime) -> int:
    """Tombstone the plans that a complete list no longer held; return how many were not gone before."""
    histories = load_histories(connection, project_id, plan_ids)
    gone = [plan_id for plan_id, history in histories.items() if history.see_gone(at, run_id)]
    _write(connection, [histories[plan_id] for plan_id in gone])
    _close_ranges(connection, histories, gone, run_id)
    return len(gone)


def is_item_news(one: Seen, known: KnownPlan | None) -> bool:
    """Whether the list item is new, changed, or back after the plan had gone.

    A plan that is gone and still answers 404, or not at all, is not back.
    """
    if known is None or known.list_item_sha256 != one.item_body.canonical_sha256:
        return True
    return known.gone_at is not None and one.info is not None


def is_body_news(one: Seen, known: KnownPlan | None) -> bool:
    """Whether the deployment information is new."""
    return one.info_body is not None and (known is None or known.deploy_info_sha256 != one.info_body.canonical_sha256)


def _is_quiet(one: Seen, known: KnownPlan | None) -> bool:
    becomes_gone = one.gone_at is not None and (known is None or known.gone_at is None)
    return not (is_item_news(one, known) or is_body_news(one, known) or becomes_gone)


@dataclass(slots=True)
class _Fold:
    """One plan taking in what was seen, and the snapshots that come of it."""

    history: PlanHistory
    run_id: str
    recorded_at: datetime
    new_snapshots: list[Row]
    seen_again: list[Row]

    def take_in(self, one: Seen) -> None:
        row = self.history.plan
        was_gone = row is not None and row["gone_at"] is not None
        is_same_item = row is not None and row["list_item_sha256"] == one.item_body.canonical_sha256
        if not is_same_item or (was_gone and one.info is not None):
            self.history.see_item(one.item, self._snapshot("list_item", one.item_body))
        elif row is not None and one.info_body is not None:
            self.seen_again.append({"id": row["list_snapshot_id"], "at": one.item_body.captured_at})
        if one.info is None or one.info_body is None:
            return
        row = self.history.plan
        if row is not None and row["deploy_info_sha256"] == one.info_body.canonical_sha256:
            self.history.see_again(one.info_body.captured_at)
            self._touch_shown()
            self.seen_again.append({"id": row["deploy_snapshot_id"], "at": one.info_body.captured_at})
        else:
            self.history.see_deploy_info(one.info, self._snapshot("deploy_info", one.info_body))

    def _touch_shown(self) -> None:
        history, row = self.history, self.history.plan or {}
        history.touched_components.update(
            {component["component_key"]: component for component in history.components.values()}
        )
        for jobs in (history.attempts, history.rollbacks):
            shown = jobs.shown_by(row["deploy_snapshot_id"])
            jobs.touched.update({job[jobs.key_column]: job for job in shown})

    def _snapshot(self, kind: str, body: Body) -> Sighting:
        history = self.history
        at = max([body.captured_at, *self._ends_before(kind)])
        seen = msgspec.structs.replace(body, captured_at=at)
        row = snapshot_row(history.project_id, history.plan_id, kind, seen, self.run_id, self.recorded_at)
        self.new_snapshots.append(row)
        return Sighting(row["snapshot_id"], body.canonical_sha256, at, self.run_id)

    def _ends_before(self, kind: str) -> Iterator[datetime]:
        """Yield from when on the next range of sight may begin, should the clock have been set back or stand still."""
        row = self.history.plan
        if row is not None:
            # A run sees the list item first: the deployment information may be of the same millisecond.
            yield row["last_seen_at"] + (_TICK if kind == "list_item" else timedelta())
            for ended_at in (row["gone_at"], row["fetched_at"]):
                if ended_at is not None:
                    yield ended_at + _TICK


def _write(connection: Connection, histories: Sequence[PlanHistory], *, replaces: bool = True) -> None:
    """Write the rows that were touched."""
    touched: dict[Table, Iterable[Row]] = {
        plans: (history.plan for history in histories if history.plan is not None),
        components: (row for history in histories for row in history.touched_components.values()),
        job_attempts: (row for history in histories for row in history.attempts.touched.values()),
        rollbacks: (row for history in histories for row in history.rollbacks.touched.values()),
    }
    for table, rows in touched.items():
        upsert(connection, table, list(rows), replaces=replaces)
    changes = {row["status_change_key"]: row for history in histories for row in history.changes}
    upsert(connection, status_changes, list(changes.values()), replaces=False)


def _close_ranges(connection: Connection, histories: dict[str, PlanHistory], gone: list[str], run_id: str) -> None:
    """Mark the list items of plans that are gone: a replay learns of the tombstone from them.

    A plan that was never listed, as one known from an import alone, has only its deployment information to mark.
    """
    rows = [row for plan_id in gone if (row := histories[plan_id].plan) is not None]
    closed = [
        {"id": row["list_snapshot_id"] or row["deploy_snapshot_id"], "at": row["gone_at"], "run": run_id}
        for row in rows
    ]
    CLOSE.execute(connection, closed)


def _move_times_of_sight(
    connection: Connection, project_id: str, quiet: Sequence[Seen], known: dict[str, KnownPlan]
) -> None:
    """Move the times of sight of plans that were fetched and show nothing new."""
    moved: list[Row] = []
    extended: list[Row] = []
    for one in quiet:
        if one.info_body is None:
            continue
        state = known[one.plan_id]
        at = max(one.info_body.captured_at, state.last_seen_at)
        plan = {"plan": key_of(project_id, one.plan_id), "of_project": project_id, "of_plan": one.plan_id}
        moved.append(plan | {"at": at, "id": state.deploy_snapshot_id})
        extended.append({"id": state.deploy_snapshot_id, "at": at})
        extended.append({"id": state.list_snapshot_id, "at": one.item_body.captured_at})
    for statement in MOVES:
        statement.execute(connection, moved)
    EXTEND.execute(connection, extended)
