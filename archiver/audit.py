"""Whether the archive is sound: its bodies, its facts, its references, and the database beneath."""

from collections.abc import Iterator
from hashlib import sha256

import msgspec
import zstandard
from sqlalchemy import Connection, select, text

from archiver.api.payloads import canonical
from archiver.labelling import unlike_rules
from archiver.replay import replay
from archiver.schema import job_attempts, plan_states, rollbacks, snapshots
from archiver.states import State

_BODIES_AT_ONCE = 500


def findings(connection: Connection) -> Iterator[str]:
    """Yield what is wrong, a line each: nothing means that every body, fact and reference was read and is sound."""
    yield from _database_findings(connection)
    is_readable = True
    for finding in _body_findings(connection):
        is_readable = False
        yield finding
    for finding in _state_findings(connection):
        is_readable = False
        yield finding
    yield from _reference_findings(connection)
    if is_readable:
        found = replay(connection, writes=False)
        if found.rows_written or found.rows_removed:
            yield (
                f"{found.rows_written} rows differ from what their bodies say, {found.rows_removed} have no body: "
                "run `archiver replay`"
            )
    if count := unlike_rules(connection):
        yield f"places with other labels than the rules in force give: {count}; run `archiver labels apply` again"


def _database_findings(connection: Connection) -> Iterator[str]:
    """Ask the database's own check. PostgreSQL checks references with each write and has none to ask for."""
    if connection.dialect.name != "sqlite":
        return
    for (verdict,) in connection.execute(text("PRAGMA integrity_check")):
        if verdict != "ok":
            yield f"the database itself: {verdict}"
    for table, row_id, parent, _ in connection.execute(text("PRAGMA foreign_key_check")):
        yield f"row {row_id} of {table} points to a row of {parent} that is not there"


def _body_findings(connection: Connection) -> Iterator[str]:
    columns = (snapshots.c.snapshot_id, snapshots.c.content_sha256, snapshots.c.canonical_sha256, snapshots.c.body)
    query = select(*columns).where(snapshots.c.body.is_not(None)).execution_options(yield_per=_BODIES_AT_ONCE)
    for snapshot_id, content_sha256, canonical_sha256, body in connection.execute(query):
        try:
            content = zstandard.decompress(body)
        except zstandard.ZstdError as error:
            yield f"the body of snapshot {snapshot_id} can't be read: {error}"
            continue
        if sha256(content).hexdigest() != content_sha256:
            yield f"the body of snapshot {snapshot_id} is not the one that was stored: its hash differs"
        elif sha256(canonical(content)).hexdigest() != canonical_sha256:
            yield f"the canonical hash of snapshot {snapshot_id} is not that of its body"


def _state_findings(connection: Connection) -> Iterator[str]:
    """Read the states that pruning left: a replay of their plans begins with them."""
    columns = (plan_states.c.project_id, plan_states.c.plan_id, plan_states.c.known_until, plan_states.c.recorded_at)
    for project_id, plan_id, known_until, recorded_at, content in connection.execute(
        select(*columns, plan_states.c.state).execution_options(yield_per=_BODIES_AT_ONCE)
    ):
        try:
            State(known_until, recorded_at, content).history(project_id, plan_id)
        except (zstandard.ZstdError, msgspec.DecodeError, KeyError, TypeError) as error:
            yield f"the state of plan {plan_id} when it was pruned can't be read: {error}"


def _reference_findings(connection: Connection) -> Iterator[str]:
    """A fact is proved by snapshots of its own plan."""
    for facts in (job_attempts, rollbacks):
        key = facts.primary_key.columns[0]
        for column in (facts.c.first_snapshot_id, facts.c.last_snapshot_id):
            query = (
                select(key)
                .outerjoin(snapshots, snapshots.c.snapshot_id == column)
                .where(snapshots.c.plan_id.is_distinct_from(facts.c.plan_id))
            )
            for row_key in connection.execute(query).scalars():
                yield f"{column.name} of {facts.name} {row_key} is no snapshot of its plan"
