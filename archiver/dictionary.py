"""The data dictionary: every table and view with its grain and columns, as Markdown, from the models alone."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, Float, Integer, LargeBinary, Table, Text

from archiver import schema
from archiver.instants import UtcDateTime
from archiver.views import TABLES, VIEWS

_TYPES: dict[type[Any], str] = {
    UtcDateTime: "instant",
    Text: "text",
    Boolean: "boolean",
    Date: "date",
    Float: "float",
    BigInteger: "integer",
    Integer: "integer",
    LargeBinary: "bytes",
}
_INTRODUCTION = """# Data dictionary

Made by `archiver database dictionary` from the program's own models. Times are UTC to the millisecond: an *instant*
is `timestamptz` on PostgreSQL and text like `2026-11-24T02:15:00.000Z` on SQLite, where a *date* is text and a
*boolean* 0 or 1. Names carry the unit: `_seconds`, `_rate` (0 to 1), `_at` an instant, `_date` a day. Missing is NULL.
"""


def dictionary() -> Iterator[str]:
    """Yield the dictionary's lines: the views first, which analysts read, then the tables."""
    yield from _INTRODUCTION.splitlines()
    yield from ("", "## Views")
    for view in VIEWS:
        yield from _section(TABLES[view.name])
        yield from ("", f"{view.question}", "", "```sql", view.example, "```")
    yield from ("", "## Tables")
    for table in schema.metadata.sorted_tables:
        yield from _section(table)


def _section(table: Table) -> Iterator[str]:
    is_table = table.metadata is schema.metadata  # a view's column says in its meaning when it is NULL
    yield from ("", f"### {table.name}", "", table.comment or "", "")
    yield from (
        ("| column | type | may be NULL | meaning |", "|---|---|---|---|")
        if is_table
        else (
            "| column | type | meaning |",
            "|---|---|---|",
        )
    )
    for column in table.columns:
        references = "".join(f" → `{key.column.table.name}`" for key in column.foreign_keys)
        is_null = f" {'yes' if column.nullable else 'no'} |" if is_table else ""
        yield f"| `{column.name}` | {_type(column)} |{is_null} {_markdown(column.comment or '')}{references} |"


def _markdown(comment: str) -> str:
    """Escape a comment for a table's cell; what stands in backticks is shown as it is."""
    parts = comment.replace("|", "\\|").split("`")
    return "`".join(part if place % 2 else part.replace("<", "&lt;") for place, part in enumerate(parts))


def _type(column: Column[Any]) -> str:
    return next(word for kind, word in _TYPES.items() if isinstance(column.type, kind))
