"""Writing that SQLite and PostgreSQL understand alike: bulk upserts, and transactions that outlive a passing fault."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import stamina
from sqlalchemy import Connection, Engine, Table, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from archiver.database import first_line
from archiver.errors import DatabaseError, RowRefusedError
from archiver.mapping import Row

_T = TypeVar("_T")


@lru_cache
def _upsert(table: Table, dialect: str, *, replaces: bool) -> Insert:
    insert: Any = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    key = list(table.primary_key.columns)
    if not replaces:
        statement: Insert = insert.on_conflict_do_nothing(index_elements=key)
    else:
        others = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
        statement = insert.on_conflict_do_update(index_elements=key, set_=others)
    return statement


def upsert(connection: Connection, table: Table, rows: Sequence[Row], *, replaces: bool = True) -> None:
    """Write whole rows by primary key, each key once; rows that are there are replaced, or left."""
    if rows:
        connection.execute(_upsert(table, connection.dialect.name, replaces=replaces), rows)


def in_transaction(engine: Engine, work: Callable[[Connection], _T]) -> _T:
    """Run a transaction; one that a passing fault of the database broke is run again (its writes are idempotent)."""
    try:
        for attempt in stamina.retry_context(on=_is_passing, attempts=10, timeout=60):
            with attempt, engine.begin() as connection:
                return work(connection)
    except exc.DBAPIError as error:
        kind = RowRefusedError if _is_refusal(error) else DatabaseError
        raise kind(f"the database failed: {first_line(error)}") from error
    raise AssertionError("unreachable: the last attempt raises")


def _is_passing(error: Exception) -> bool:
    if not isinstance(error, exc.OperationalError):
        return False
    # A server that is starting again refuses connections, or says so (57P03, PostgreSQL, "Error Codes").
    is_away = "connection failed" in str(error.orig) or getattr(error.orig, "sqlstate", None) == "57P03"
    return is_away or error.connection_invalidated or "locked" in str(error.orig)


def _is_refusal(error: exc.DBAPIError) -> bool:
    # 22: data exception, 54: program limit exceeded (PostgreSQL, "Error Codes"); SQLite has sizes alone.
    code = getattr(error.orig, "sqlstate", None) or ""
    return code[:2] in ("22", "54") or "too big" in str(error.orig) or isinstance(error, exc.DataError)
