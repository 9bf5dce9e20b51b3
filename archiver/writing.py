"""Writing that SQLite and PostgreSQL understand alike: many rows at once; transactions that outlive a passing fault.

SQLite runs a statement for each row, within its own process. To PostgreSQL all rows go as one JSON document, which
one statement joins or inserts: as fast as COPY into a temporary table, without the right to make one, and nothing
that a pooler in transaction mode could lose.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import itemgetter
from typing import Any, Self, TypeVar

import msgspec
from sqlalchemy import (
    JSON,
    Connection,
    Dialect,
    Engine,
    LargeBinary,
    Table,
    Text,
    bindparam,
    cast,
    column,
    exc,
    func,
    select,
)
from sqlalchemy.sql.dml import Insert, Update
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine

from archiver.database import first_line
from archiver.errors import DatabaseError, RowRefusedError
from archiver.instants import UtcDateTime, instant_text
from archiver.mapping import Row

_T = TypeVar("_T")
_DOCUMENT_BYTES = 2 * 2**20  # both sides hold a document several times over


def upsert(connection: Connection, table: Table, rows: Sequence[Row], *, replaces: bool = True) -> None:
    """Write whole rows by primary key, each key once; rows that are there are replaced, or left."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        types = {column.name: column.type for column in table.columns}
        _execute_documents(connection, _insert_all(table, replaces=replaces), types, rows)
    else:
        _OneByOne.into(table, replaces=replaces).execute(connection, rows)


class ForEach:
    """An UPDATE that is run for each of many rows of named, typed values; no two rows may match the same row."""

    def __init__(self, types: Mapping[str, Any], update: Callable[[Mapping[str, Any]], Update]) -> None:
        """Keep what the values are, and how the statement is made of the expressions that stand for them."""
        self._types, self._update = types, update

    def execute(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Run it for the rows, within the caller's transaction."""
        if not rows:
            return
        if connection.dialect.name == "postgresql":
            _execute_documents(connection, self._of_all, self._types, rows)
        else:
            connection.execute(self._of_one, rows)

    @cached_property
    def _of_one(self) -> Update:
        return self._update({name: bindparam(name, type_=type_) for name, type_ in self._types.items()})

    @cached_property
    def _of_all(self) -> Update:
        return self._update(dict(_given_rows(self._types).c.items()))


@dataclass(frozen=True)
class _OneByOne:
    """An upsert as SQLite's driver takes it: SQLAlchemy takes longer to hand a row over than SQLite to store it."""

    statement: str
    values_of: Callable[[Row], tuple[Any, ...]]
    processors: Sequence[tuple[int, Callable[[Any], Any]]]

    @classmethod
    @lru_cache
    def into(cls, table: Table, *, replaces: bool) -> Self:
        """Compile it for a table, and the types of its columns."""
        from sqlalchemy.dialects import sqlite  # as late as PostgreSQL's, below

        dialect = sqlite.dialect()
        compiled: Any = _on_conflict(sqlite.insert(table), table, replaces=replaces).compile(dialect=dialect)
        names: list[str] = compiled.positiontup
        found = [_processor(table.c[name].type, dialect) for name in names]
        return cls(str(compiled), itemgetter(*names), [(place, one) for place, one in enumerate(found) if one])

    def execute(self, connection: Connection, rows: Sequence[Row]) -> None:
        connection.exec_driver_sql(self.statement, [self._values(row) for row in rows])

    def _values(self, row: Row) -> tuple[Any, ...]:
        values = list(self.values_of(row))
        for place, process in self.processors:
            value = values[place]
            if value is not None:
                values[place] = process(value)
        return tuple(values)


def _processor(type_: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    """Return what makes a value of the type ready for the driver: of instants, the most by far, without a detour."""
    is_instant = isinstance(type_, UtcDateTime)
    return instant_text if is_instant else type_.dialect_impl(dialect).bind_processor(dialect)


@lru_cache
def _insert_all(table: Table, *, replaces: bool) -> Insert:
    from sqlalchemy.dialects import postgresql  # slow to import, and not needed to read SQLite

    given = _given_rows({column.name: column.type for column in table.columns})
    insert = postgresql.insert(table).from_select(table.columns.keys(), select(given))
    return _on_conflict(insert, table, replaces=replaces)


def _on_conflict(insert: Any, table: Table, *, replaces: bool) -> Insert:
    key = list(table.primary_key.columns)
    if not replaces:
        statement: Insert = insert.on_conflict_do_nothing(index_elements=key)
    else:
        others = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
        statement = insert.on_conflict_do_update(index_elements=key, set_=others)
    return statement


def _given_rows(types: Mapping[str, Any]) -> TableValuedAlias:
    document = cast(bindparam("document", type_=Text), JSON)
    values = func.json_to_recordset(document).table_valued(*(column(name, type_) for name, type_ in types.items()))
    return values.render_derived(name="given", with_types=True)


def _execute_documents(
    connection: Connection, statement: Insert | Update, types: Mapping[str, Any], rows: Sequence[Row]
) -> None:
    for document in _documents(types, rows):
        connection.execute(statement, {"document": document})


def _documents(types: Mapping[str, Any], rows: Sequence[Row]) -> Iterator[str]:
    """Yield JSON arrays of rows, each of about so many bytes at most, that `json_to_recordset` reads back."""
    instants = [name for name, type_ in types.items() if isinstance(type_, UtcDateTime)]
    binaries = [name for name, type_ in types.items() if isinstance(type_, LargeBinary)]
    written: list[bytes] = []
    size_bytes = 0
    for row in rows:
        for name in instants:
            UtcDateTime.refuse_naive(row[name])  # JSON would let it pass, and the server read it in a zone of its own
        hexed = {name: None if row[name] is None else "\\x" + row[name].hex() for name in binaries}
        written.append(msgspec.json.encode(row | hexed if hexed else row))
        size_bytes += len(written[-1])
        if size_bytes >= _DOCUMENT_BYTES:
            yield _array(written)
            written, size_bytes = [], 0
    if written:
        yield _array(written)


def _array(rows: list[bytes]) -> str:
    return "[" + b",".join(rows).decode() + "]"


def in_transaction(engine: Engine, work: Callable[[Connection], _T]) -> _T:
    """Run a transaction; one that a passing fault of the database broke is run again (its writes are idempotent)."""
    try:
        try:
            with engine.begin() as connection:
                return work(connection)
        except exc.DBAPIError as error:
            if not _is_passing(error):
                raise
        import stamina  # slow to import, and nearly always the first attempt succeeds

        for attempt in stamina.retry_context(on=_is_passing, attempts=10, timeout=60):
            with attempt, engine.begin() as connection:
                return work(connection)
    except exc.DBAPIError as error:
        kind = RowRefusedError if _is_refusal(error) else DatabaseError
        raise kind(f"the database failed: {first_line(error)}") from error
    raise AssertionError("unreachable: the last attempt raises")


def _is_passing(error: Exception) -> bool:
    if not isinstance(error, exc.OperationalError):
        # What was silent for too long in its transaction was sent away, by an internal error (25P03).
        return isinstance(error, exc.DBAPIError) and error.connection_invalidated
    # A server that is starting again refuses connections, or says so (57P03, PostgreSQL, "Error Codes").
    is_away = "connection failed" in str(error.orig) or getattr(error.orig, "sqlstate", None) == "57P03"
    return is_away or error.connection_invalidated or "locked" in str(error.orig)


def _is_refusal(error: exc.DBAPIError) -> bool:
    # 22: data exception, 54: program limit exceeded (PostgreSQL, "Error Codes"); SQLite has sizes alone.
    code = getattr(error.orig, "sqlstate", None) or ""
    return code[:2] in ("22", "54") or "too big" in str(error.orig) or isinstance(error, exc.DataError)
