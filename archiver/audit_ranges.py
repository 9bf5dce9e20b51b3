"""Whether the ranges of sight of each plan agree among themselves, and with the runs and sights that told them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

from sqlalchemy import Connection, select

from archiver.instants import instant_text
from archiver.mapping import Row
from archiver.ranges import overlaps
from archiver.schema import plan_states, runs, sights, snapshots

_ROWS_AT_ONCE = 2000
_CLOCK_SET_BACK = timedelta(days=1)  # as much as a clock may have been wrong within a run: as-of reaches back as far
_COLUMNS = (
    *("snapshot_id", "project_id", "plan_id", "kind", "captured_at", "last_captured_at"),
    *("recorded_at", "gone_at", "gone_run_id", "run_id", "is_aside"),
)
_STATES = select(plan_states.c.project_id, plan_states.c.plan_id, plan_states.c.known_until)
_HAS_NO_BODY = snapshots.c.body.is_(None).label("has_no_body")


def range_findings(connection: Connection) -> Iterator[str]:
    """Yield what is wrong with the ranges, a line each."""
    known = {row["run_id"]: dict(row) for row in connection.execute(select(runs)).mappings()}
    states = {(row[0], row[1]): row[2] for row in connection.execute(_STATES)}
    columns = [snapshots.c[name] for name in _COLUMNS]
    query = select(*columns, _HAS_NO_BODY).order_by(snapshots.c.project_id, snapshots.c.plan_id)
    with connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)) as result:
        for plan_id, group in groupby(result.mappings(), key=itemgetter("project_id", "plan_id")):
            mine = [dict(row) for row in group]
            for row in mine:
                yield from _range_findings(row, known)
            yield from _lost(mine, states.get(plan_id))
            for before, row in overlaps(row for row in mine if not row["is_aside"]):
                ended = f"before that of {before['snapshot_id']} has ended"
                yield f"the range of snapshot {row['snapshot_id']} begins {ended}"
    yield from _sight_findings(connection)


def _lost(rows: list[Row], known_until: datetime | None) -> Iterator[str]:
    """A body is missing only where pruning took it: one that others had followed by then."""
    told = [row for row in rows if not row["is_aside"]]
    for row in rows:
        is_followed = any(one["kind"] == row["kind"] and one["captured_at"] > row["captured_at"] for one in told)
        was_old = known_until is not None and row["last_captured_at"] <= known_until
        if row["has_no_body"] and (row["is_aside"] or not is_followed or not was_old):
            yield f"the body of snapshot {row['snapshot_id']} is missing, and was not pruned"


def _range_findings(row: Row, known: dict[str, Row]) -> Iterator[str]:
    snapshot_id = row["snapshot_id"]
    if row["last_captured_at"] < row["captured_at"]:
        yield f"the range of snapshot {snapshot_id} ends before it begins"
    run = known.get(row["run_id"])  # one that is not there at all is found among the references
    if run is not None and not _is_within(run, row["project_id"], row["recorded_at"]):
        yield f"snapshot {snapshot_id} was recorded at {instant_text(row['recorded_at'])}, not during its run"
    if (row["gone_at"] is None) != (row["gone_run_id"] is None):
        yield f"snapshot {snapshot_id} says in part alone that its plan was gone: gone_at or gone_run_id is missing"
    elif row["gone_at"] is not None:
        run = known.get(row["gone_run_id"])
        if run is None or run["kind"] == "import" or not _is_within(run, row["project_id"], row["gone_at"]):
            yield f"snapshot {snapshot_id} names a run that can't have found its plan gone: {row['gone_run_id']}"
        if row["kind"] == "list_item" and row["gone_at"] < row["last_captured_at"]:
            yield f"the plan of snapshot {snapshot_id} was gone before its range ends"


def _is_within(run: Row, project_id: str, at: datetime) -> bool:
    """Whether the run is of that project and was under way then, by a clock that may have been set."""
    is_begun = run["started_at"] - _CLOCK_SET_BACK <= at
    is_over = run["ended_at"] is not None and run["ended_at"] + _CLOCK_SET_BACK < at
    return bool(run["project_id"] == project_id and is_begun and not is_over)


def _sight_findings(connection: Connection) -> Iterator[str]:
    """A sight that an import told lies in a range of that body, and a range that an import began is such a sight."""
    names = ("project_id", "plan_id", "kind", "canonical_sha256")
    is_same_body = [sights.c[name] == snapshots.c[name] for name in names]
    is_within = sights.c.captured_at.between(snapshots.c.captured_at, snapshots.c.last_captured_at)
    held = select(snapshots.c.snapshot_id).where(*is_same_body, is_within).exists()
    query = select(sights.c.plan_id, sights.c.captured_at).where(~held).order_by(sights.c.sight_key)
    for plan_id, at in connection.execute(query):
        yield f"plan {plan_id} was seen at {instant_text(at)}, and no range of its snapshots holds that"
    begun = sights.c.sight_key == snapshots.c.snapshot_id
    of_run = sights.c.run_id == snapshots.c.run_id
    untold = (
        select(snapshots.c.snapshot_id)
        .join(runs, runs.c.run_id == snapshots.c.run_id)
        .outerjoin(sights, begun & of_run)
        .where(runs.c.kind == "import", snapshots.c.is_aside.is_(False), sights.c.sight_key.is_(None))
    )
    for snapshot_id in connection.execute(untold).scalars():
        yield f"snapshot {snapshot_id} was imported, and no sight of that is noted"
