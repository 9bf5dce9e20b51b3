"""The lists beside a page that has no room for all of its releases: each has all of one week, however many."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from reports.behind import COUNTS
from reports.page_parts import release_columns
from reports.page_releases import PACK, TELLING, Packer
from reports.page_scripts import OPENING, script_of
from reports.page_tables import about_release, shortened
from reports.site_pages import site_page
from reports.tables import records, told_columns

SHOWN = 300


@dataclass(frozen=True)
class Cell:
    """A cell: its words, and where they lead: `href` to another page, `opens` to releases of this one."""

    text: str
    href: str | None = None
    opens: str | None = None


@dataclass(frozen=True)
class Table:
    """A table as the page shows it, and what each of its rows is about, where a filter can ask for it."""

    heads: list[str]
    rows: list[list[Cell]]
    is_number: list[bool]
    about: Sequence[Mapping[str, str]]


def listed(releases: pd.DataFrame, without: Sequence[str] = ()) -> Table:
    """Show releases as a list has them, with all that a figure can ask of each."""
    shown = told_columns(release_columns(releases).drop(columns=list(without)))
    rows = [[Cell(shortened(text)) for text in row] for row in zip(*(column.cells for column in shown), strict=True)]
    for row, is_inferred in zip(rows, releases["is_start_inferred"], strict=True):
        row[0] = Cell(f"{row[0].text} *" if is_inferred else row[0].text)
    about = [about_release(row) | {"week": row["week"]} for row in records(releases)]
    return Table([one.head for one in shown], rows, [one.is_number for one in shown], about)


def folder_of(page: str) -> str:
    """Name the folder of a page's lists, which stands beside it.

    >>> folder_of("weekly-2026-W47.html")
    'weekly-2026-W47-releases'
    """
    return f"{page.removesuffix('.html')}-releases"


def named(page: str, lists: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield each of a page's lists, given by week, by its file's name from where the page is."""
    for week, text in lists:
        yield f"{folder_of(page)}/{week}.html", text


def release_lists(
    releases: pd.DataFrame, weeks: Sequence[str], page: str, title: str, without: Sequence[str] = ()
) -> Iterator[tuple[str, str]]:
    """Yield the week and the text of a list for each of some weeks, those of which a page has not every release.

    `page` is its file's name, `title` what it is; `without` are columns that it leaves out.
    A list has the releases of other weeks, too, that stand in its week's counts, and those that began outside of all.
    """
    for week in weeks:
        stands = (releases["week"] == week) | (releases["week"] == "") | releases["also"].str.contains(f"{week}=")
        yield week, _render(releases[stands], week, page, title, without)


def _render(releases: pd.DataFrame, week: str, page: str, title: str, without: Sequence[str]) -> str:
    own = releases[releases["week"] == week]
    shown = own.head(SHOWN)
    script = script_of(*OPENING)
    text = site_page(
        "release_list.html.j2",
        scripts=[script],
        week=week,
        page=page,
        of=title,
        releases=listed(shown, without),
        total=len(own),
        counts=COUNTS,
        telling=TELLING,
        script=script,
    )
    packer = Packer(releases, [week], without)
    return text.replace(PACK, packer.packed(packer.most, shown.index).element, 1)
