"""Bulk upserts that SQLite and PostgreSQL understand alike."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from archiver.mapping import Row


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
