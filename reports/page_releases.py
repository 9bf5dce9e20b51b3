"""The releases that a page holds beside those it lists: which of them fit, and what is told of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from reports.behind import COUNTS
from reports.packing import Group, Numbers, Packable, group_of, packed
from reports.page_parts import release_columns
from reports.page_tables import ABOUT_COLUMNS, about_release, shortened
from reports.tables import Told, records, told_columns

# Where a page has its releases, and what stands around them at most.
PACK = "<!-- pack -->\n"
PACK_BYTES = 1_000

# Counts in which most releases stand that simply succeeded; one that stands in any other tells something.
_PLAIN = {"finished", "compared", "tried", "tried-finished", "timed", "at-risk", "surfaced"}
TELLING = tuple(name for name in COUNTS if name not in _PLAIN)
_TELLING_BITS = sum(2**place for place, name in enumerate(COUNTS) if name in TELLING)

# Columns that go together are packed together, as places in a list of what they say: a component's name stands once,
# and its project with it. A name is one of the filter's, a number that of a cell. First stands what tells them.
_TOGETHER: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("week",): ("week",),
    ("component", "component_id", "project_id", "team"): (
        *("component", "about component", "about name", "project_id", "about project", "about team"),
    ),
    ("plan_id",): ("plan_id", "about plan"),
    ("version",): ("version",),
    ("outcome", "rolled_back", "rollbacks_failed", "attempts", "counts"): ("outcome", "attempts", "about is"),
    ("batch", "batch_rank"): ("batch", "about batch", "about rank"),
    ("recovery_seconds",): ("recovery_seconds",),
    ("template_ids",): ("about template",),
    ("also",): ("about also",),
}


@dataclass(frozen=True)
class Pack:
    """Releases as gzip in Base64: all of the `whole` weeks, and those of the `part` weeks that tell something.

    So are those of other weeks that stand in a count of one of these. Those that the page's list shows are not in it
    again.
    """

    text: str
    whole: tuple[str, ...]
    part: tuple[str, ...]

    @property
    def element(self) -> str:
        """The element that holds it in a page."""
        weeks = f'data-whole="{" ".join(self.whole)}" data-part="{" ".join(self.part)}"'
        return f'<script type="text/plain" id="pack" {weeks}>{self.text}</script>\n'


class Packer:
    """Packs the releases of some weeks, the newest first, for a page: as many as fit.

    `without` are columns that the page's list does not show.
    """

    def __init__(self, releases: pd.DataFrame, weeks: Sequence[str], without: Sequence[str] = ()) -> None:
        self._index = releases.index
        self._weeks = tuple(weeks)
        self._week = releases["week"]
        self._is_telling = (releases["counts"] & _TELLING_BITS) != 0
        self._is_elsewhere = (releases["also"] != "") | (releases["week"] == "")
        self._packable = _packable(releases, without)

    @property
    def most(self) -> int:
        """The level at which every release is packed."""
        return max(0, 2 * len(self._weeks) - 1)

    def packed(self, level: int, listed: "pd.Index[int]") -> Pack:
        """Pack the releases of a level that are not listed.

        The first level is the newest week. Each up to the number of weeks adds what tells something of one week more:
        what failed, was rolled back, tried again or else did not simply succeed. Each above makes a week whole.
        """
        count = len(self._weeks)
        whole = self._weeks[: min(level, max(1, level - count + 1))]
        part = self._weeks[len(whole) : max(level, len(whole))]
        chosen = self._week.isin(whole) | (self._week.isin(part) & self._is_telling) | self._is_elsewhere
        chosen &= ~self._index.isin(listed)
        return Pack(packed(self._packable, chosen.to_numpy()), whole, part)

    def fullest(self, listed: "pd.Index[int]", room: int) -> tuple[int, Pack]:
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


def _packable(releases: pd.DataFrame, without: Sequence[str]) -> Packable:
    cells = {column.name: place for place, column in enumerate(_told(releases.head(0), without))}
    started, ended = (_minutes(releases[name]) for name in ("started_at", "ended_at"))
    return Packable(
        groups=[_group(releases, by, names, cells, without) for by, names in _TOGETHER.items()],
        plans=pd.factorize(releases["plan_id"])[0],
        started=started,
        is_started=releases["started_at"].notna().to_numpy(),
        ended=ended,
        is_ended=releases["ended_at"].notna().to_numpy(),
        cells=(cells["started_at"], cells["ended_at"]),
    )


def _told(releases: pd.DataFrame, without: Sequence[str], names: Sequence[str] | None = None) -> Sequence[Told]:
    """Tell the columns of the list, of these names alone."""
    columns = release_columns(releases).drop(columns=list(without))
    return told_columns(columns if names is None else columns[[name for name in columns if name in names]])


def _group(
    releases: pd.DataFrame, by: Sequence[str], names: Sequence[str], cells: Mapping[str, int], without: Sequence[str]
) -> Group:
    """Put columns together. Releases that are alike in what tells these columns say the same: one of them is asked."""
    like = releases.groupby(list(by), dropna=False, sort=False, observed=True).ngroup().to_numpy()
    asked = releases.iloc[np.unique(like, return_index=True)[1]]
    words = {column.name: [*map(shortened, column.cells)] for column in _told(asked, without, names)}
    words["week"] = asked["week"].to_list()
    is_about = any(name.startswith("about ") for name in names)
    about = [about_release(row) for row in records(asked[ABOUT_COLUMNS])] if is_about else []
    columns: dict[int | str, Sequence[str]] = {}
    for name in names:
        if name not in without:
            key = name.removeprefix("about ")
            columns[cells.get(name, key)] = words[name] if name in words else [one.get(key, "") for one in about]
    group = group_of(columns)
    return replace(group, places=group.places[like])


def _minutes(instants: "pd.Series[pd.Timestamp]") -> Numbers:
    """Return whole minutes since 1970; of a missing instant, any number."""
    return np.asarray(instants.dt.as_unit("ms").astype("int64").to_numpy() // 60_000, dtype=np.int64)
