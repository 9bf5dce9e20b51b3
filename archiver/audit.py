"""Whether the archive is sound: its bodies, its facts, its references, and the database beneath."""

from collections.abc import Iterator
from hashlib import sha256

import msgspec
import zstandard
from sqlalchemy import Connection, func, select, text

from archiver.api.payloads import canonical
from archiver.audit_books import book_findings
from archiver.audit_ranges import range_findings
from archiver.failures import unlike_messages
from archiver.labelling import unlike_rules
from archiver.replay import replay
from archiver.schema import job_attempts, metadata, plan_states, plans, rollbacks, snapshots
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
    yield from range_findings(connection)
    yield from book_findings(connection)
    if is_readable:
        found = replay(connection, writes=False)
        if found.rows_written or found.rows_removed:
            yield (
                f"{found.rows_written} rows differ from what their bodies say, {found.rows_removed} have no body: "
                "run `archiver replay`"
            )
        if found.facts_unlike:
            yield f"{found.facts_unlike} rows that rest on pruned bodies are not as they were kept: restore a backup"
    if count := unlike_rules(connection):
        yield f"places with other labels than the rules in force give: {count}; run `archiver labels apply` again"
    if count := unlike_messages(connection):
        yield f"failures with another template than their messages give: {count}; run `archiver replay`"


def _database_findings(connection: Connection) -> Iterator[str]:
    """Ask the database's own check; PostgreSQL, which has none to ask for, by every reference."""
    if connection.dialect.name != "sqlite":
        yield from _dangling(connection)
        return
    for (verdict,) in connection.execute(text("PRAGMA integrity_check")):
        if verdict != "ok":
            yield f"the database itself: {verdict}"
    for table, row_id, parent, _ in connection.execute(text("PRAGMA foreign_key_check")):
        yield f"row {row_id} of {table} points to a row of {parent} that is not there"


def _dangling(connection: Connection) -> Iterator[str]:
    for table in metadata.sorted_tables:
        for reference in table.foreign_keys:
            parent = reference.column.table.alias()
            points = reference.parent
            query = (
                select(func.count())
                .select_from(table.outerjoin(parent, parent.c[reference.column.name] == points))
                .where(points.is_not(None), parent.c[reference.column.name].is_(None))
            )
            if count := connection.execute(query).scalar():
                target = reference.column.table.name
                yield f"{count} rows of {table.name} point by {points.name} to rows of {target} that are not there"


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
            plan = State(known_until, recorded_at, content).history(project_id, plan_id).plan
        except (zstandard.ZstdError, msgspec.DecodeError, KeyError, TypeError) as error:
            yield f"the state of plan {plan_id} when it was pruned can't be read: {error}"
        else:
            if plan is None or (plan["project_id"], plan["plan_id"]) != (project_id, plan_id):
                yield f"the state kept of plan {plan_id} when it was pruned is not of that plan"


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
    for column, kind in ((plans.c.list_snapshot_id, "list_item"), (plans.c.deploy_snapshot_id, "deploy_info")):
        is_its_own = (snapshots.c.snapshot_id == column) & (snapshots.c.plan_id == plans.c.plan_id)
        query = (
            select(plans.c.plan_id)
            .outerjoin(snapshots, is_its_own & (snapshots.c.kind == kind))
            .where(column.is_not(None), snapshots.c.snapshot_id.is_(None))
        )
        for plan_id in connection.execute(query).scalars():
            yield f"{column.name} of plan {plan_id} is no snapshot of it"
