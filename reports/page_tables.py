"""A table of the page: its cells in words, what each row is about, and which figures open the releases behind them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.chart_rows import release_outcome
from reports.definitions import Definition
from reports.flagged import BASELINE_WEEKS
from reports.marks import NOT_COLLECTED, UNKNOWN
from reports.page_opens import Filter, cell_filter, key_of, query, row_filter
from reports.page_parts import ROOMS, Room, shown_table
from reports.tables import NOTHING, Told, clean, records
from reports.weekly import WeeklyReport

# A name is shown so far; one that is not much longer stands whole in a tip, and every one in the CSV and JSON files.
NAME_LENGTH, TIP_LENGTH = 60, 200


@dataclass(frozen=True)
class Head:
    """A column: its words, if it holds numbers, what its figures add to the row's filter, and its definition."""

    text: str
    is_number: bool
    opens: str | None
    definition: Definition | None


@dataclass(frozen=True)
class Cell:
    """One cell: its words, the whole of them where they are cut short, and what it opens (None: nothing).

    `own` is that where it isn't its row's and its head's filter put together, `leads` the place of what is opened.
    `is_few`: a rate that is too few to say.
    """

    text: str
    tip: str | None = None
    opens: str | None = None
    own: str | None = None
    is_few: bool = False
    leads: str = "releases"


@dataclass(frozen=True)
class Line:
    """A row: its cells, the filter that its figures share, if they are of this week, and what it is about.

    `is_plain` is one that says nothing went wrong, which paper leaves out.
    """

    cells: tuple[Cell, ...]
    opens: str
    is_here: bool
    about: Mapping[str, str]
    is_plain: bool


@dataclass(frozen=True)
class PageTable:
    """A table as the page shows it. `more` says what is left to the CSV file, empty where nothing is."""

    name: str
    caption: str
    definitions: tuple[Definition, ...]
    heads: tuple[Head, ...]
    lines: tuple[Line, ...]
    more: str
    nothing: str


def page_table(report: WeeklyReport, name: str, room: Room = ROOMS[0]) -> PageTable:
    """Make a table of the page from the report's table of that name, or a part of one."""
    shown = shown_table(report, name, room)
    raw = records(shown.rows)
    filters = [_filters(report, name, row, shown.columns) for row in raw]
    heads = tuple(
        Head(column.head, column.is_number, _shared(cells[place] for _, cells in filters), shown.definitions[place])
        for place, column in enumerate(shown.columns)
    )
    return PageTable(
        name=name,
        caption=shown.caption,
        definitions=_definitions(heads),
        heads=heads,
        lines=tuple(
            _line(
                name,
                row,
                [(column.cells[place], column.is_few[place]) for column in shown.columns],
                of_row,
                heads,
                room,
            )
            for place, (row, of_row) in enumerate(zip(raw, filters, strict=True))
        ),
        more=shown.more,
        nothing=shown.nothing,
    )


def _line(
    name: str,
    row: Mapping[str, Any],
    words: Sequence[tuple[str, bool]],
    filters: tuple[Filter, Sequence[Filter | None]],
    heads: Sequence[Head],
    room: Room,
) -> Line:
    about, of_cells = filters
    cells = []
    for (text, few), more, head in zip(words, of_cells, heads, strict=True):
        shown = text if head.text in _LONG_TEXTS else shortened(text)
        tip = text if room.has_tips and len(shown) < len(text) <= TIP_LENGTH else None
        if more is None or text in OPEN_NOTHING:
            cells.append(Cell(shown, tip, is_few=few))
        else:
            opens = query(about, more)
            own = None if query(more) == head.opens else opens
            cells.append(Cell(shown, tip, opens, own, few, _LEADS.get(head.text, "releases")))
    is_done = name == "nights" and row["state"] == "done"
    is_plain = is_done or (name == "releases" and release_outcome(row) == "succeeded")
    return Line(tuple(cells), query(about), "week" not in about, _about(name, row), is_plain)


_LONG_TEXTS = {"message", "template"}
OPEN_NOTHING = {NOTHING, UNKNOWN, "0", "none planned", NOT_COLLECTED}
_LEADS = {"nights": "nights"}


def shortened(text: str) -> str:
    """Return a text that fits into a table."""
    return text if len(text) <= NAME_LENGTH else f"{text[: NAME_LENGTH - 1]}…"


def _filters(
    report: WeeklyReport, name: str, row: Mapping[str, Any], columns: Sequence[Told]
) -> tuple[Filter, list[Filter | None]]:
    week, labels = report.week.label, [week.label for week in report.window.weeks]
    before = report.verdict.weeks_before if name == "verdict" else labels[:-1][-BASELINE_WEEKS:]
    of_cells = [cell_filter(name, column.name, row, before, week) for column in columns]
    return row_filter(name, row, week), of_cells


def _shared(filters: Iterable[Filter | None]) -> str | None:
    """Return the filter that most cells of a column add; None if they add none."""
    told = Counter(query(one) for one in filters if one is not None)
    return told.most_common(1)[0][0] if told else None


def _definitions(heads: Sequence[Head]) -> tuple[Definition, ...]:
    """Return the definitions of the columns that are shown, each once; of the nights only where there is no other."""
    known = tuple({head.definition.name: head.definition for head in heads if head.definition is not None}.values())
    return tuple(one for one in known if one.name != "coverage") or known


# --- what a row is about ----------------------------------------------------------------------------------------


def _about(name: str, row: Mapping[str, Any]) -> dict[str, str]:
    """Say what a row is of, as the page's filter asks for it; of a release all that a figure can ask for."""
    if name == "releases":
        return about_release(row)
    columns = {"component": "component_id", "plan": "plan_id"}
    if name == "nights":
        return {"week": row["week"], "project": key_of(row["project_id"])}
    about = {key: key_of(row[column]) for key, column in columns.items() if row.get(column) is not None}
    return about | _name(row)


_ABOUT = {
    "component": "component_id",
    "plan": "plan_id",
    "project": "project_id",
    "team": "team",
    "batch": "batch",
    "rank": "batch_rank",
}
ABOUT_COLUMNS = [*_ABOUT.values(), "component", "template_ids", "counts", "also"]


def about_release(row: Mapping[str, Any]) -> dict[str, str]:
    """Say of a release what the filter can ask for, the counts in which it stands as a number. Needs ABOUT_COLUMNS."""
    about = {key: key_of(row[column]) for key, column in _ABOUT.items()}
    said = {key: row[column] for key, column in {"template": "template_ids", "also": "also"}.items() if row[column]}
    return about | _name(row) | said | {"is": str(row["counts"])}


_SEARCHED = 100


def _name(row: Mapping[str, Any]) -> dict[str, str]:
    """Return a component's name to search for, where it isn't its identifier anyway."""
    name = row.get("component")
    is_another = name is not None and name != row.get("component_id")
    return {"name": clean(str(name))[:_SEARCHED]} if is_another else {}
