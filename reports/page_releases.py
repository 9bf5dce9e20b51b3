"""The releases that the page holds beside those it lists: what figures of any week open, packed into one text."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.behind import COUNTS
from reports.page_parts import Room, listed_releases, release_columns
from reports.page_tables import ABOUT_COLUMNS, about_release, shortened
from reports.tables import records, told_columns
from reports.weekly import WeeklyReport

# Counts in which most releases stand that simply succeeded; one that stands in any other tells something.
_PLAIN = {"finished", "tried-finished", "timed", "at-risk", "surfaced"}
TELLING = tuple(name for name in COUNTS if name not in _PLAIN)
_TELLING_BITS = sum(2**place for place, name in enumerate(COUNTS) if name in TELLING)

# Columns that go together are packed together, as places in a list of what they say: a component's name stands once,
# and its project with it. A name is one of the filter's, a number that of a cell.
_TOGETHER: tuple[tuple[str, ...], ...] = (
    ("week",),
    ("component", "about component", "about name", "project_id", "about project", "about team"),
    ("plan_id", "about plan"),
    ("version",),
    ("outcome", "attempts", "about is"),
    ("batch", "about batch", "about rank"),
    ("recovery_seconds",),
    ("about template",),
)


@dataclass(frozen=True)
class Pack:
    """Releases as gzip in Base64: all of the `whole` weeks, and those of the `part` weeks that tell something.

    Those that the page's list shows are not in it again.
    """

    text: str
    whole: tuple[str, ...]
    part: tuple[str, ...]


class Packer:
    """Packs a report's releases for a page: as many as fit."""

    def __init__(self, report: WeeklyReport) -> None:
        self._report = report
        self._releases = report.behind
        self._weeks = [week.label for week in reversed(report.window.weeks[-report.behind_weeks :])]
        self._columns = _columns(self._releases)
        self._is_telling = (self._releases["counts"] & _TELLING_BITS) != 0

    @property
    def most(self) -> int:
        """The level at which every release is packed."""
        return 2 * len(self._weeks)

    def packed(self, level: int, listed: Room) -> Pack:
        """Pack the releases of a level that the page's list leaves out.

        Each level up to the number of weeks adds what tells something of one week more, the newest first: what failed,
        was rolled back, tried again or else did not simply succeed. Each level above makes a week whole.
        """
        whole, part = self._weeks[: max(0, level - len(self._weeks))], self._weeks[:level]
        week = self._releases["week"]
        chosen = week.isin(whole) | (week.isin(part) & self._is_telling)
        chosen[listed_releases(self._report, listed).index] = False
        return Pack(self._text(chosen.to_numpy().nonzero()[0].tolist()), tuple(whole), tuple(part[len(whole) :]))

    def fullest(self, listed: Room, room: int) -> tuple[int, Pack]:
        """Return the highest level that fits into `room` bytes, and its pack; level -1 and none where none does."""
        low, high, best = -1, self.most, Pack("", (), ())
        middle = high  # most archives fit whole
        while low < high:
            pack = self.packed(middle, listed)
            if len(pack.text) <= room:
                low, best = middle, pack
            else:
                high = middle - 1
            middle = (low + high + 1) // 2
        return low, best

    def _text(self, rows: Sequence[int]) -> str:
        """Write releases in the order of their starts, as `groups` of columns, and `started` and `ended` in minutes.

        `started` is counted from the release before, `ended` from its own start.
        """
        groups: list[dict[str, Any]] = []
        for names in _TOGETHER:
            words: dict[tuple[str, ...], int] = {}
            columns = [self._columns.words[name] for name in names]
            places = [words.setdefault(tuple(column[row] for column in columns), len(words)) for row in rows]
            keys = [self._columns.cells.get(name, name.removeprefix("about ")) for name in names]
            groups.append({"keys": keys, "words": list(words), "places": places})
        started, ended = ([minutes[row] for row in rows] for minutes in (self._columns.started, self._columns.ended))
        whole = {
            "groups": groups,
            "started": [now - before for before, now in zip([0, *started], started, strict=False)],
            "ended": [None if end is None else end - start for start, end in zip(started, ended, strict=True)],
            "cells": [self._columns.cells[name] for name in ("started_at", "ended_at")],
        }
        text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
        return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), mtime=0)).decode()


@dataclass(frozen=True)
class _Columns:
    """What is told of releases: `words` by column, `cells` with the places of those that the list shows."""

    words: Mapping[str, Sequence[str]]
    cells: Mapping[str, int]
    started: Sequence[Any]
    ended: Sequence[Any]


def _columns(releases: pd.DataFrame) -> _Columns:
    told = {column.name: [*map(shortened, column.cells)] for column in told_columns(release_columns(releases))}
    about = [about_release(row) for row in records(releases[ABOUT_COLUMNS])]
    names = [name for together in _TOGETHER for name in together if name.startswith("about ")]
    asked = {name: [one.get(name.removeprefix("about "), "") for one in about] for name in names}
    return _Columns(
        words={**told, **asked, "week": releases["week"].to_list()},
        cells={name: place for place, name in enumerate(told)},
        started=_minutes(releases["started_at"]),
        ended=_minutes(releases["ended_at"]),
    )


def _minutes(instants: "pd.Series[pd.Timestamp]") -> list[Any]:
    milliseconds = instants.dt.as_unit("ms").astype("int64")
    return [None if missing else int(ms) // 60_000 for ms, missing in zip(milliseconds, instants.isna(), strict=True)]
