"""The archive that the documents ask: the demo's, as it is on one certain day, with the cookbook's labels."""

import asyncio
import logging
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from fenced import ROOT, blocks
from sqlalchemy import Engine, text

from archiver.database import open_writer
from archiver.demo import archive_nights
from archiver.labelling import apply_rules
from archiver.labels import read_rules
from archiver.logs import configure
from archiver.migrate import upgrade
from reports.tables import markdown_text, plain

COOKBOOK = ROOT / "docs" / "cookbook.md"
SCHEMA = "release_archive"
ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)


def make_archive(url: str) -> Engine:
    """Archive the demo's nights into an empty place, and label them."""
    configure("text", logging.WARNING)
    engine = open_writer(url, SCHEMA)
    upgrade(engine, url, SCHEMA)
    asyncio.run(archive_nights(url, ENDS_AT))
    label(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE")  # which a server does by itself, some time later
    return engine


def label(engine: Engine) -> None:
    """Apply the cookbook's labels."""
    (labels,) = blocks("toml", COOKBOOK)
    with tempfile.TemporaryDirectory() as scratch, engine.begin() as connection:
        path = Path(scratch) / "labels.toml"
        path.write_text(labels.text, "utf-8")
        apply_rules(connection, read_rules(path), ENDS_AT)


def ask(engine: Engine, statement: str) -> tuple[list[str], list[list[str]]]:
    """Return what a statement gives: the columns' names and the cells, as both databases have them alike."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET jit = off")
            connection.exec_driver_sql("SET TIME ZONE 'UTC'")
        result = connection.execute(text(statement.rstrip().rstrip(";").replace(":", r"\:")))
        return list(result.keys()), [[cell(value) for value in row] for row in result]


def cell(value: Any) -> str:
    """Return a value as both databases have it alike."""
    if value is None:
        return ""
    if isinstance(value, (float, Decimal)):
        return f"{value:.4f}".rstrip("0").rstrip(".")
    return str(plain(value))


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a result as a table; one without rows as a sentence."""
    if not rows:
        return "*No rows.*\n"
    lines = [columns, ["---"] * len(columns), *([markdown_text(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
