"""What the views hold is of the type that the dictionary says, row by row, for any client of either database."""

import re
from datetime import UTC, datetime

import pytest
from random_archives import random_archive
from sqlalchemy import select
from test_view_parity import fill

from archiver import schema
from archiver.dictionary import _type
from archiver.views import TABLES

# By the dictionary's types: what SQLite's typeof() and PostgreSQL's pg_typeof() call a value.
TYPES = {
    "text": ("text", "text"),
    "integer": ("integer", "bigint"),
    "float": ("real", "double precision"),
    "boolean": ("integer", "boolean"),
    "date": ("text", "date"),
    "instant": ("text", "timestamp with time zone"),
}
# How SQLite holds those that it has no type for.
WRITTEN = {
    "instant": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "boolean": re.compile(r"[01]"),
}
# Labels have tests of their own.
UNFILLED = {"team", "environment", "tier"}


@pytest.fixture(params=["sqlite_archive", "postgres_archive"])
def engine(request):
    engine = request.getfixturevalue(request.param)
    archive = random_archive(3, plans=80)
    for row in [*archive["attempts"], *archive["rollbacks"]]:
        row["fail_message"] = "exit code 1"
    fill(engine, archive)
    at = datetime(2026, 11, 17, 2, 15, tzinfo=UTC)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE plans SET name = 'a release'")
        run_id = connection.execute(select(schema.runs.c.run_id).limit(1)).scalar_one()
        connection.execute(
            schema.snapshots.insert(),
            dict.fromkeys(("snapshot_id", "snapshot_key", "project_id", "plan_id"), "s")
            | dict.fromkeys(("captured_at", "last_captured_at", "recorded_at", "gone_at"), at)
            | dict.fromkeys(("content_sha256", "canonical_sha256"), "00")
            | {"kind": "list_item", "run_id": run_id, "gone_run_id": run_id, "body": b""},
        )
    return engine


def test_every_column_of_every_view_holds_what_the_dictionary_says(engine):
    is_sqlite = engine.dialect.name == "sqlite"
    typed = "typeof({0})" if is_sqlite else "CAST(pg_typeof({0}) AS text)"
    for name, table in TABLES.items():
        columns = list(table.columns)
        asked = ", ".join(f"{column.name}, {typed.format(column.name)}" for column in columns)
        with engine.connect() as connection:
            if not is_sqlite:
                connection.exec_driver_sql("SET jit = off")
            rows = connection.exec_driver_sql(f"SELECT {asked} FROM {name}").fetchall()  # noqa: S608 - names of ours
        for place, column in enumerate(columns):
            values = {(row[2 * place], row[2 * place + 1]) for row in rows if row[2 * place] is not None}
            word = _type(column)
            assert {kind for _, kind in values} <= {TYPES[word][not is_sqlite]}, (name, column.name)
            if is_sqlite and word in WRITTEN:
                assert all(WRITTEN[word].fullmatch(str(value)) for value, _ in values), (name, column.name)
            # A column that holds nothing here would pass with any type.
            assert values or column.name in UNFILLED, (name, column.name)
