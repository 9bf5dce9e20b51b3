"""A component's page of the site: its figures, each with the releases behind it, and the list that they open."""

from collections.abc import Iterator, Mapping

import pandas as pd

from reports.behind import COUNTS, weeks_told
from reports.components import ComponentStory
from reports.page import MOST_BYTES
from reports.page_opens import cell_filter, key_of, query, row_filter
from reports.page_releases import PACK, PACK_BYTES, TELLING, Packer
from reports.page_scripts import OPENING, script_of
from reports.page_tables import OPEN_NOTHING
from reports.release_lists import Cell, Table, folder_of, listed, named, release_lists
from reports.site_pages import About, site_page
from reports.tables import NOTHING, records, told_columns
from reports.week_bars import week_bars
from reports.window import Week, Window

SHOWN_RELEASES, SHOWN_ROLLBACKS, SHOWN_TEMPLATES, CHARTED_WEEKS = 100, 100, 20, 26

# What every release of the page says alike.
_OF_ALL = ("component", "project_id")


def component_files(
    about: About, story: ComponentStory, window: Window, pages: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield a component's page, by its file's name; `pages` are the weeks that have one, with their links from here.

    It holds all of its releases, or as many as fit: of the others it leads to lists, which follow.
    """
    # A week's page opens this component's releases that were tried in it, which may have begun in another.
    mine = query({"component": key_of(story.component_id), "project": key_of(story.project_id), "is": "tried"})
    week_pages = {week: f"{page}#releases&{mine}" for week, page in pages.items()}
    rates = story.rates.drop(columns=["project_id", "component_id", "component"])[::-1]
    shown = story.releases.head(SHOWN_RELEASES)
    script = script_of(*OPENING)
    text = site_page(
        "site_component.html.j2",
        scripts=[script],
        about=about,
        root="../",
        story=story,
        tables={
            "rates": _figures("failure-rates-by-component", rates, week_pages),
            "releases": listed(shown, _OF_ALL),
            "rollbacks": _rows(_rollbacks(story.rollbacks).head(SHOWN_ROLLBACKS)),
            "templates": _figures("failures", story.templates.head(SHOWN_TEMPLATES)),
        },
        bars=week_bars(story.rates, _charted(window), story.unarchived),
        counts=COUNTS,
        telling=TELLING,
        weeks=sorted({*weeks_told(story.releases), *story.rates["week"]}),
        lists=folder_of(story.file_name),
        script=script,
    )
    every = pd.concat([story.releases, story.beyond])[::-1]
    weeks = weeks_told(every)
    packer = Packer(every, weeks[::-1], without=_OF_ALL)
    _, pack = packer.fullest(shown.index, MOST_BYTES - PACK_BYTES - len(text.encode()))
    yield story.file_name, text.replace(PACK, pack.element, 1)
    lacking = [week for week in weeks if week not in pack.whole]
    yield from named(story.file_name, release_lists(every, lacking, story.file_name, story.name, _OF_ALL))


def _figures(name: str, frame: pd.DataFrame, pages: Mapping[str, str] | None = None) -> Table:
    """Show a table of figures, each of which opens its releases; `name` is the report's table of such rows."""
    shown = told_columns(frame.drop(columns=["template_id", "components"], errors="ignore"))
    rows = []
    for place, row in enumerate(records(frame)):
        of_row = row_filter(name, row, "")
        cells = []
        for column in shown:
            text, more = column.marked()[place], cell_filter(name, column.name, row, (), "")
            is_figure = more is not None and column.name != "nights_planned" and column.cells[place] not in OPEN_NOTHING
            href = (pages or {}).get(text) if column.name == "week" else None
            cells.append(Cell(text, href, query(of_row, more) if is_figure and more is not None else None))
        rows.append(cells)
    return Table([one.head for one in shown], rows, [one.is_number for one in shown], [{} for _ in rows])


def _rows(frame: pd.DataFrame) -> Table:
    shown = told_columns(frame)
    rows = [[Cell(text) for text in row] for row in zip(*(column.marked() for column in shown), strict=True)]
    return Table([one.head for one in shown], rows, [one.is_number for one in shown], [{} for _ in rows])


def _rollbacks(rollbacks: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "started (UTC)": _minutes(rollbacks["started_at"]),
            "plan": rollbacks["plan_id"],
            "batch": rollbacks["batch"],
            "outcome": rollbacks["outcome"],
            "rollback": rollbacks["rollback_job_id"],
            "ended_at": rollbacks["ended_at"],
        }
    )


def _minutes(instants: "pd.Series[pd.Timestamp]") -> "pd.Series[str]":
    return instants.dt.strftime("%Y-%m-%d %H:%M").astype("str").fillna(NOTHING)


def _charted(window: Window) -> tuple[Week, ...]:
    return window.weeks[-CHARTED_WEEKS:]
