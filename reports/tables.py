"""How one table is written: rich text, CSV, JSON, Markdown or Parquet."""

import importlib.util
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.columns import LABELS
from reports.comparisons import TOO_FEW
from reports.errors import UsageError
from reports.groups import GROUP_COLUMNS, UNLABELLED
from reports.marks import NOT_COLLECTED, TOO_FEW_TO_SAY, UNKNOWN, is_few, is_uncollected

NOTHING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"

_GROUPS = {column for columns in GROUP_COLUMNS.values() for column in columns}
# Columns of words that are no groups, and those columns of words that are never folded.
_WORDS = {
    *("counts in", "check", "plan", "outcome", "job", "rollback", "opened by", "closed by", "started (UTC)"),
    *("run", "snapshot", "sha256"),
}
_WHOLE = {"week", "nights", "counts in", "check", "outcome", "started (UTC)"}
_ROWS_AT_ONCE = 10_000
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NEEDS_QUOTES = re.compile(r'[,"\r\n]')
_MARKDOWN_SPECIAL = "\\`*_[]<>|~#"


def plain(value: Any) -> Any:
    """Return a cell as JSON knows it: missing as None, numbers as Python's own, an instant as text in UTC."""
    if pd.isna(value):
        return None
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
    return value.item() if hasattr(value, "item") else value


def plain_cells(column: "pd.Series[Any]") -> list[Any]:
    """Return a column's cells as `plain` does each, a column at a time where its dtype allows."""
    kind = column.dtype.kind
    if kind in "biu" and isinstance(column.dtype, np.dtype):
        return column.to_list()
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        instants = column.dt.tz_convert(None).to_numpy().astype("datetime64[ms]")
        texts = [f"{text}Z" for text in np.datetime_as_string(instants, unit="ms").tolist()]
        return [None if missing else text for text, missing in zip(texts, column.isna(), strict=True)]
    if kind == "f" or isinstance(column.dtype, pd.StringDtype | pd.Int64Dtype):
        return [None if missing else cell for cell, missing in zip(column.to_list(), column.isna(), strict=True)]
    return [plain(value) for value in column]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a list of row objects."""
    columns = {name: plain_cells(table[name]) for name in table.columns}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def render_json(table: pd.DataFrame) -> str:
    """Write a list of row objects, one a line."""
    rows = [json.dumps(row, ensure_ascii=False, allow_nan=False) for row in records(table)]
    return "[\n  " + ",\n  ".join(rows) + "\n]\n" if rows else "[]\n"


def render_csv(table: pd.DataFrame) -> str:
    """Write CSV; a text cell that a spreadsheet would run as a formula gets a ' before it."""
    return "".join(csv_pieces(table))


def csv_pieces(table: pd.DataFrame) -> Iterator[str]:
    """Yield the same piece by piece."""
    yield f"{','.join(_quoted(name) for name in table.columns)}\n"
    for rows in in_pieces(table):
        columns = [[_quoted(_csv_cell(value)) for value in plain_cells(rows[name])] for name in rows.columns]
        yield "".join(f"{','.join(line)}\n" for line in zip(*columns, strict=True))


def in_pieces(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield a table's rows, so many at once that their text is little beside the table."""
    for start in range(0, len(table), _ROWS_AT_ONCE):
        yield table.iloc[start : start + _ROWS_AT_ONCE]


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return str(value)


def _quoted(cell: str) -> str:
    # Python's own writer leaves a lone carriage return bare when lines end with a line feed.
    return '"' + cell.replace('"', '""') + '"' if _NEEDS_QUOTES.search(cell) else cell


def render_parquet(table: pd.DataFrame) -> bytes:
    """Write Parquet; a UsageError where the extra that brings it is missing."""
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("--format parquet needs the extra `parquet`: pip install 'release-archiver[parquet]'")
    return table.to_parquet(index=False, engine="pyarrow")


# --- for people ---------------------------------------------------------------------------------------------

_HEADS = {
    "project_id": "project",
    "component_id": "component id",
    "failure_rate": "rate",
    "rollback_rate": "rate",
    "change_failure_rate": "rate",
    "rework_rate": "rework rate",
    "slope_seconds_per_week": "change a week",
    "is_cut": "part of week",
    "is_new": "new",
    "first_seen_at": "first seen (UTC)",
    "last_seen_at": "last seen (UTC)",
    "is_worse": "worse",
}
_TEXTS = {"template_id", "template", "message"}
_RATES = {"rate", "rate_before"}
_SIGNED = {"slope_seconds_per_week", "gap_p50_seconds"}


@dataclass(frozen=True)
class Told:
    """A column as people see it: its head, its cells, if they are numbers, and the table's column that it tells.

    An interval is told under the name of its lower end, the nights under `nights_planned`. `is_few` says which cells
    hold a rate that is too few to say.
    """

    head: str
    cells: tuple[str, ...]
    is_number: bool
    name: str
    is_few: tuple[bool, ...]

    def marked(self, mark: str = f", {TOO_FEW_TO_SAY}") -> list[str]:
        """Return the cells, with a mark at each rate that is too few to say."""
        return [cell + mark * few for cell, few in zip(self.cells, self.is_few, strict=True)]


def for_people(table: pd.DataFrame) -> tuple[list[str], list[list[str]], list[bool]]:
    """Return heads, cells, and which columns are numbers."""
    columns = told_columns(table)
    rows = [list(row) for row in zip(*(column.marked() for column in columns), strict=True)]
    return [column.head for column in columns], rows, [column.is_number for column in columns]


def told_columns(table: pd.DataFrame, uncollected: "pd.Series[bool] | None" = None) -> list[Told]:
    """Write each column for people: rates in percent, an interval as one cell.

    The numbers of `uncollected` rows (by default told by the table itself) are no numbers.
    """
    columns: list[Told] = []
    unknown = is_uncollected(table) if uncollected is None else uncollected

    def add(head: str, values: Sequence[str], *, number: bool = True) -> None:
        hides = number and name not in _GROUPS
        cells = [UNKNOWN if hides and hidden else value for value, hidden in zip(values, unknown, strict=True)]
        columns.append(Told(head, tuple(cells), number, name, tuple(is_few(table, name))))

    for name in table.columns:
        values = plain_cells(table[name])
        if name in _GROUPS:
            add(_HEADS.get(name, name), [group_text(value, name) for value in values], number=name == "batch")
        elif name == "ci_low":
            highs = plain_cells(table["ci_high"])
            write = _seconds_interval if "slope_seconds_per_week" in table else _percent_interval
            add("95 % interval", [write(low, high) for low, high in zip(values, highs, strict=True)])
        elif name == "nights_planned":
            add("nights", _nights(table, unknown), number=False)
        elif name in {"is_cut", "provisional", "is_new", "is_worse"}:
            if any(values):
                add(_HEADS.get(name, name), ["yes" if value else "" for value in values], number=False)
        elif name in _TEXTS or name.endswith("_at"):
            add(_HEADS.get(name, _head(name)), [cell_text(value, name) for value in values], number=False)
        elif name not in {"ci_high", "nights_done", "coverage", "is_too_few"}:
            cells_of = [cell_text(value, name) for value in values]
            add(_HEADS.get(name, _head(name)), cells_of, number=name not in _WORDS and not _is_text(table[name]))
    return columns


def _is_text(column: "pd.Series[Any]") -> bool:
    return isinstance(column.dtype, pd.StringDtype)


def _head(name: str) -> str:
    return name.removesuffix("_seconds").replace("_", " ")


def _percent_interval(low: float | None, high: float | None) -> str:
    return NOTHING if low is None or high is None else f"{low * 100:.1f}{NOTHING}{high * 100:.1f} %"


def _seconds_interval(low: float | None, high: float | None) -> str:
    return NOTHING if low is None or high is None else f"{signed_seconds_text(low)} to {signed_seconds_text(high)}"


def _nights(table: pd.DataFrame, unknown: "pd.Series[bool]") -> list[str]:
    words = table["coverage"].mask(unknown, NOT_COLLECTED)
    unplanned = unknown.map({True: NOT_COLLECTED, False: "none planned"})
    rows = zip(table["nights_done"], table["nights_planned"], words, unplanned, strict=True)
    return [f"{done}/{planned} {word}" if planned else other for done, planned, word, other in rows]


def cell_text(value: Any, name: str) -> str:
    """Write one value for people, by its column's unit."""
    if value is None or isinstance(value, bool):
        return {None: NOTHING, True: "yes", False: "no"}[value]
    if name.endswith(("_rate", "_rate_before")) or name in _RATES:
        return percent_text(value)
    if name.endswith("_at"):
        return str(value)[:16].replace("T", " ")
    if "_seconds" in name:
        return signed_seconds_text(value) if name in _SIGNED else seconds_text(value)
    if isinstance(value, float):
        return f"{value:,.1f}".removesuffix(".0") if abs(value) >= 10 or value.is_integer() else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else clean(str(value))


def group_text(value: Any, name: str) -> str:
    """Write a group; a missing one is named as such."""
    if value is None:
        return UNLABELLED if name in LABELS else "(none)"
    return clean(str(value))


def percent_text(rate: float) -> str:
    """Write 0.041 as 4.1 %."""
    return f"{rate * 100:.1f} %"


def seconds_text(seconds: float) -> str:
    """Write seconds as 4.2s, 3m 05s, 2h 07m or 3d 4h.

    >>> [seconds_text(seconds) for seconds in (4.24, 59.97, 185, 7620, 273600)]
    ['4.2s', '1m 00s', '3m 05s', '2h 07m', '3d 4h']
    """
    if seconds < 0:
        return f"{MINUS}{seconds_text(-seconds)}"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f}s"
    if round(seconds) < 3600:
        return f"{round(seconds) // 60}m {round(seconds) % 60:02}s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60}h {minutes % 60:02}m"
    hours = round(seconds / 3600)
    return f"{hours // 24}d {hours % 24}h"


def signed_seconds_text(seconds: float) -> str:
    """Write a difference of seconds with its sign."""
    return f"+{seconds_text(seconds)}" if seconds > 0 else seconds_text(seconds)


def clean(text: str) -> str:
    """Replace what would steer a terminal, or turn the line around, by a visible sign."""
    if text.isprintable():
        return text
    return "".join(" " if char in "\n\r\t" else _visible(char) for char in text)


def _visible(char: str) -> str:
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in {"Cc", "Cf", "Cs"} else char


def markdown_text(text: str) -> str:
    """Escape text for a Markdown table cell."""
    escaped = "".join(f"\\{char}" if char in _MARKDOWN_SPECIAL else char for char in clean(text))
    return escaped.replace("&", "&amp;")


def render_markdown(columns: Sequence[Told], link_of: Callable[[str], str | None] = lambda _: None) -> str:
    """Write a Markdown table for people; `link_of` says where the head of a column leads, if anywhere."""
    links = [link_of(column.name) for column in columns]
    heads = [
        column.head if link is None else f"[{column.head}]({link})" for column, link in zip(columns, links, strict=True)
    ]
    rule = ["---:" if column.is_number else "---" for column in columns]
    rows = zip(*(column.marked() for column in columns), strict=True)
    lines = [heads, rule, *([markdown_text(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def render_text(table: pd.DataFrame, *, title: str, note: str, width: int, color: bool) -> str:
    """Write a table for a terminal of so many columns; wider where numbers would be cut."""
    columns = told_columns(table)
    heads, is_number = [column.head for column in columns], [column.is_number for column in columns]
    rows = list(zip(*(column.marked(" *") for column in columns), strict=True))
    if any(any(column.is_few) for column in columns):
        note = f"* Of fewer than {TOO_FEW}: {TOO_FEW_TO_SAY}.\n{note}"
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    least = 1  # what is drawn around a column: its padding and one line, and a line at the left
    for place, (head, number) in enumerate(zip(heads, is_number, strict=True)):
        # Numbers stay on one line, so their heads are broken by hand; names fold.
        is_name = not number and head not in _WHOLE
        text = Text(head if is_name else head.replace(" ", "\n").replace("95\n%\n", "95 %\n"))
        widest = max([*(cell_len(row[place]) for row in rows), *map(cell_len, text.plain.splitlines())])
        drawn.add_column(
            text,
            justify="right" if number else "left",
            no_wrap=not is_name,
            overflow="fold",
            min_width=min(widest, 9) if is_name else widest,
            vertical="bottom",
        )
        least += (min(widest, 9) if is_name else widest) + 2
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    text_file = io.StringIO()
    console = Console(file=text_file, width=width, force_terminal=color, no_color=not color, highlight=False)
    console.width = max(width, least)
    console.print(Text(title, style="bold"))
    console.print(drawn if rows else Text("\nNo rows.\n"))
    console.print(Text(note), soft_wrap=False)
    return text_file.getvalue()
