"""What is brought home of parts: rows, counts that add up, the values of groups, and rows that are put aside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from reports.columns import spelt, stacked
from reports.shelf import Shelf
from reports.spread import Aggregations, Aside, AsideInMemory, grouped, keyed, names_of

SIZE = "rows in the group"
_AT_ONCE = 16  # so many pieces are put together


@dataclass(frozen=True)
class Rows:
    """The rows of all parts."""

    def pieces(self, rows: pd.DataFrame, _buckets: int) -> Mapping[int, pd.DataFrame]:
        """Return what is brought home of a part's rows, by bucket: rows of one group are in one, told by the group."""
        return {0: spelt(rows)}

    def merged(self, pieces: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Put pieces together as one, with their words in common."""
        return stacked(pieces) if len(pieces) > 1 else pieces[0]

    def done(self, rows: pd.DataFrame) -> Any:
        """Return what all of a bucket's pieces come to."""
        return rows

    def home(self) -> Any:
        """Return where the pieces of one part after the other are taken in."""
        return _Home(self)


@dataclass(frozen=True)
class Counts(Rows):
    """The counts of groups: what is counted in parts adds up."""

    keys: Sequence[str]
    counts: Aggregations

    def pieces(self, rows: pd.DataFrame, _buckets: int) -> Mapping[int, pd.DataFrame]:
        """Count a part's."""
        rows = rows.assign(**{SIZE: 1})
        return {0: grouped(rows, self.keys, {**self.counts, SIZE: (SIZE, "sum")}, {})}

    def merged(self, pieces: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Add them up."""
        both = super().merged(pieces)
        return both.groupby(names_of(self.keys), dropna=False, sort=False).sum().reset_index()


@dataclass(frozen=True)
class Values(Rows):
    """The values of groups, those of one group in one bucket; and what they come to."""

    keys: Sequence[str]
    measures: Aggregations

    def pieces(self, rows: pd.DataFrame, buckets: int) -> Mapping[int, pd.DataFrame]:
        """Leave out what is missing, and divide the groups among the buckets."""
        names = names_of(self.keys)
        values = list(dict.fromkeys(column for column, _ in self.measures.values()))
        rows = keyed(rows, self.keys)[[*names, *values]].dropna(how="all", subset=values)
        if buckets == 1:
            return {0: rows}
        rows = spelt(rows)
        bucket = pd.util.hash_pandas_object(rows[names], index=False) % buckets
        return {number: rows[bucket == number] for number in range(buckets)}

    def done(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Make the measures."""
        return grouped(rows, names_of(self.keys), {}, self.measures)


@dataclass(frozen=True)
class Apart(Rows):
    """The rows of all parts by a word of each."""

    column: str

    def pieces(self, rows: pd.DataFrame, _buckets: int) -> Mapping[int, pd.DataFrame]:
        """Leave them as they are."""
        return {0: rows}

    def done(self, rows: pd.DataFrame) -> Aside:
        """Hold them in memory, where they came home together."""
        return AsideInMemory(rows, self.column)

    def home(self) -> Any:
        """Return a shelf for them, where they come one part after the other: they need not fit into memory."""
        return Shelf(self.column)


class _Home:
    """The pieces of one part after the other, put together as they come."""

    def __init__(self, how: Rows) -> None:
        self._how = how
        self._pieces: list[pd.DataFrame] = []

    def add(self, piece: pd.DataFrame) -> None:
        """Take a piece."""
        self._pieces.append(piece)
        if len(self._pieces) == _AT_ONCE:
            self._pieces = [self._how.merged(self._pieces)]

    def done(self) -> Any:
        """Return what they come to."""
        return self._how.done(self._how.merged(self._pieces))
