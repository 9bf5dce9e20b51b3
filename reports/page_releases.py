"""The releases that the page holds beside those it lists: what figures of other weeks open, a pack a week."""

import base64
import gzip
import json
from typing import Any

import pandas as pd

from reports.page_parts import Room, listed_releases, release_columns
from reports.page_tables import ABOUT_COLUMNS, about_release, shortened
from reports.tables import records, told_columns
from reports.weekly import WeeklyReport

_ELEMENT_BYTES = 64  # what stands around a pack in the page

# What the page's filter asks of a release, in the order in which a pack has it.
ABOUT = ("component", "name", "plan", "project", "team", "batch", "rank", "template", "is")


def packed_weeks(report: WeeklyReport, listed: Room, room: int) -> dict[str, str]:
    """Return by week the releases that the page's list doesn't show, packed, of as many weeks as `room` bytes hold.

    This week's rest comes first, then the weeks before it; a week is packed whole or not at all, one without releases
    as nothing.
    """
    packs: dict[str, str] = {}
    rest = report.behind.drop(index=listed_releases(report, listed).index)
    for week in reversed(report.window.weeks):
        rows = rest[rest["week"] == week.label]
        pack = _packed(rows) if len(rows) else ""
        room -= len(pack) + _ELEMENT_BYTES
        if room < 0:
            break
        packs[week.label] = pack
    return packs


def _packed(releases: pd.DataFrame) -> str:
    """Write releases as gzip in Base64: JSON of `words`, and `columns` of places in it, cells first and then ABOUT."""
    cells = [[shortened(text) for text in column.cells] for column in told_columns(release_columns(releases))]
    about = [about_release(row) for row in records(releases[ABOUT_COLUMNS])]
    columns: list[list[Any]] = [*cells, *([one.get(key, "") for one in about] for key in ABOUT)]
    words = {word: place for place, word in enumerate(dict.fromkeys(word for column in columns for word in column))}
    places = [[words[word] for word in column] for column in columns]
    text = json.dumps({"words": list(words), "columns": places}, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), mtime=0)).decode()
