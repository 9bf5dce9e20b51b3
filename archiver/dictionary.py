"""The data dictionary: every table and view with its grain, columns, units and keys, as Markdown, from the models."""

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, Float, Integer, LargeBinary, Table, Text

from archiver import schema
from archiver.exported import EXPORTED, Exported
from archiver.instants import UtcDateTime
from archiver.views import TABLES, VIEWS, View

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
# By how a column's name ends.
_UNITS = {"_seconds": "seconds", "_rate": "rate, 0 to 1", "ci_low": "rate, 0 to 1", "ci_high": "rate, 0 to 1"}
_INTRODUCTION = """# Data dictionary

Made by `archiver database dictionary` from the program's own models. Times are UTC to the millisecond: an *instant*
is `timestamptz` on PostgreSQL and text like `2026-11-24T02:15:00.000Z` on SQLite, where a *date* is text and a
*boolean* 0 or 1. Names carry the unit: `_seconds`, `_rate` (0 to 1), `_at` an instant, `_date` a day. Missing is NULL.
Each table and view has one text key, `…_key`, equal on both databases and after a replay. On PostgreSQL all of this
stands in the comments of tables, views and columns too (`\\d+`).

On PostgreSQL a role of `archiver database grant-analyst` reads all of it but `snapshots` and the columns of *bytes*.

Ask the views first: they know the reports' rules. The tables below them are the facts.
"""
_DIAGRAM = """## How the tables hang together

A line is a reference; the side with the fork has many. `project_id` and `plan_id` stand in every table of facts, so
that most questions need no join.
"""
_DATA_SET = """# The data set

Made by `archiver database dictionary --export` from the program's own models. `archiver export DIR` writes the archive
as Parquet files for other engines, and needs the extra `parquet`. It may run every night: it reads one state of the
archive, and writes only files that would differ.

```console
$ archiver export /data/releases
$ duckdb -c "SELECT week, count(*) FILTER (outcome = 'failed') AS failed, count(*) AS finished
    FROM read_parquet('/data/releases/job_attempts/*/*/*.parquet', hive_partitioning = true,
      hive_types = {'project_id': VARCHAR, 'week': VARCHAR})
    WHERE outcome IN ('succeeded', 'failed') GROUP BY week ORDER BY week"
```

## Layout

```
DIR/job_attempts/project_id=0123456789abcdef0123456789abcdef/week=2026-W47/part-0.parquet
DIR/_manifest.json
```

- One file a table, project and ISO week, partitioned as Hive does. `project_id` and `week` stand in the path alone;
  what Hive escapes in a path (`/ = : %` and their like) is escaped as `%2F`.
- Weeks are those of `ARCHIVER_TIMEZONE` and of the reports. Another zone writes every file anew.
- What has no time, or one after the year 9998, is in `week=__HIVE_DEFAULT_PARTITION__`, which engines read as NULL.
- A table without rows has no directory.
- Project IDs can look like numbers. Name the type of `project_id` and `week` (text) where an engine would guess:
  `hive_types` in DuckDB, `spark.sql.sources.partitionColumnTypeInference.enabled=false` in Spark, a `partitioning` of
  strings in pandas and Arrow; Trino and Hive declare the columns of a table anyway.
- `_manifest.json` names each file with its rows, size and SHA-256; `format` is 1. Engines pass over names with `_`.
- Rows of a file are in the order of their time and key, so the same rows give the same bytes, from SQLite and from
  PostgreSQL alike, until another version of pyarrow writes them.
- Files are as open to others as DIR, which is made for its owner alone (0700): `chmod` it once.

New files are staged in `DIR/_staging`, then moved into place one by one, files of partitions that are gone are removed,
and the manifest comes last. Killed before, an export changes nothing; in that last moment, each file is whole, old or
new, and the next export completes it: until then `_unfinished.json` names the projects whose files may be of two
states, and `reports` reads none. Two at once on one machine, or one while a report reads: the later exits 75.
`--project ID` (again for more) leaves the other projects' files alone; `--full` writes every file again. A directory
that holds anything else is refused.

The bodies (`snapshots`, and `body` of `fetch_failures`) stay in the archive.

## Tables

A row lies in the week of:

| table | week of |
|---|---|
"""
_PARQUET = """An *instant* is `timestamp[ms]` in UTC, a *date* `date32`, an *integer* `int64`, a *float* `double`, a
*text* a string; each may be NULL. Compressed with Zstandard, 50,000 rows a row group."""


def dictionary() -> Iterator[str]:
    """Yield the dictionary's lines: the views first, which analysts read, then the tables."""
    yield from _INTRODUCTION.splitlines()
    yield from ("", "| view | |", "|---|---|")
    for view in VIEWS:
        yield f"| [{view.name}](#{view.name}) | {_markdown(view.grain)} |"
    yield from ("", "| table | |", "|---|---|")
    for table in schema.metadata.tables.values():
        yield f"| [{table.name}](#{table.name}) | {_markdown(table.comment or '')} |"
    yield from ("", "## Views")
    for view in VIEWS:
        yield from _section(TABLES[view.name])
        yield from ("", f"{view.question}", "", "```sql", *_statement(view), "```")
    yield from ("", *_DIAGRAM.splitlines(), "", *_diagram())
    yield from ("", "## Tables")
    for table in schema.metadata.tables.values():
        yield from _section(table)
        yield from ("", *_keys(table))


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
        yield f"| `{column.name}` | {_typed(column)} |{is_null} {_markdown(column.comment or '')}{references} |"


def _keys(table: Table) -> Iterator[str]:
    """Yield what a table is found by."""
    yield f"- Primary key: {_names(table.primary_key.columns)}"
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        yield f"- {'Unique' if index.unique else 'Index'}: {_names(index.columns)}"


def _names(columns: Any) -> str:
    return ", ".join(f"`{column.name}`" for column in columns)


def _diagram() -> Iterator[str]:
    """Yield the tables and their references as an entity-relationship diagram, which GitHub and others draw."""
    tables = list(schema.metadata.tables.values())
    yield from ("```mermaid", "erDiagram")
    for table in tables:
        for column in table.columns:
            for key in column.foreign_keys:
                many = "o|" if column.primary_key else "o{"  # a key that is a reference is there at most once
                one = "|o" if column.nullable else "||"
                yield f"  {key.column.table.name} {one}--{many} {table.name} : {column.name}"
    for table in tables:
        yield f"  {table.name} {{"
        for column in table.columns:
            if column.primary_key or column.foreign_keys:
                marks = [mark for mark, holds in (("PK", column.primary_key), ("FK", column.foreign_keys)) if holds]
                yield f"    {_type(column)} {column.name} {', '.join(marks)}"
        yield "  }"
    yield "```"


def _statement(view: View) -> list[str]:
    """Return a view's example, each clause on a line of its own."""
    return re.sub(r" (FROM|JOIN|WHERE|GROUP BY|ORDER BY) ", r"\n\1 ", f"{view.example};").splitlines()


def export_dictionary() -> Iterator[str]:
    """Yield the lines of `docs/export.md`: the data set's layout, and each table's columns."""
    yield from _DATA_SET.splitlines()
    for exported in EXPORTED:
        yield f"| [`{exported.table.name}`](#{exported.table.name}) | {exported.said} |"
    yield from ("", "## Columns", "", *_PARQUET.splitlines())
    for exported in EXPORTED:
        yield from _exported_section(exported)


def _exported_section(exported: Exported) -> Iterator[str]:
    yield from ("", f"### {exported.table.name}", "", exported.table.comment or "", "")
    yield from ("| column | type | meaning |", "|---|---|---|", "| `project_id` | text | In the path: the project |")
    yield f"| `week` | text | In the path: the ISO week of {exported.said} |"
    for column in exported.columns:
        yield f"| `{column.name}` | {_type(column)} | {_markdown(column.comment or '')} |"


def _markdown(comment: str) -> str:
    """Escape a comment for a table's cell; what stands in backticks is shown as it is."""
    parts = comment.replace("|", "\\|").split("`")
    return "`".join(part if place % 2 else part.replace("<", "&lt;") for place, part in enumerate(parts))


def _typed(column: Column[Any]) -> str:
    """Return a column's type, with its unit where it has one."""
    unit = next((unit for end, unit in _UNITS.items() if column.name.endswith(end)), None)
    return _type(column) if unit is None else f"{_type(column)} ({unit})"


def _type(column: Column[Any]) -> str:
    return next(word for kind, word in _TYPES.items() if isinstance(column.type, kind))
