"""How a metric runs where its frames are not in memory: plan by plan, then group by group, then on what came of it.

On frames in memory each function of this module does at once what its name says. On frames that are spread over many
parts, each with whole plans, it notes what is to be done (see `reports.noted`). So a metric is written once.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import pandas as pd

from reports.columns import spelt

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Given = TypeVar("_Given")

# By the name of a new column: the column that it is made of, and how. A number is a quantile, interpolated linearly.
Aggregations = Mapping[str, tuple[str, str | float]]

EVERYTHING = "everything"  # the key of the one group where there are no keys


class Spread(ABC):
    """Frames, or rows of them, that lie in parts."""

    @abstractmethod
    def applied(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Note that a function is to run on each part."""

    @abstractmethod
    def grouped(self, keys: Sequence[str], counts: Aggregations, measures: Aggregations) -> Any:
        """Note that the rows of all parts are to be put into groups."""

    @abstractmethod
    def together(self) -> Any:
        """Note that the rows of all parts are to be brought together."""

    @abstractmethod
    def put_aside(self, column: str) -> Any:
        """Note that the rows of all parts are to be put aside."""


class Awaited(ABC):
    """A table that will be there once every part is done."""

    @abstractmethod
    def applied(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Note that a function is to run on the table."""


class SpreadFrames(Spread):
    """Frames that lie in parts."""

    @abstractmethod
    def known(self, told: Any) -> Any:
        """Do all that was noted, and return what was awaited: in the same mappings and tuples."""


def by_plan(function: Callable[Concatenate[_Given, _P], _T]) -> Callable[Concatenate[_Given, _P], _T]:
    """Mark a function of frames, or of rows of them, which looks at no more than one plan at a time."""
    return _wherever(function)


def at_last(function: Callable[Concatenate[_Given, _P], _T]) -> Callable[Concatenate[_Given, _P], _T]:
    """Mark a function of a small table: of groups, or of rows that were brought together."""
    return _wherever(function)


def _wherever(function: Callable[Concatenate[_Given, _P], _T]) -> Callable[Concatenate[_Given, _P], _T]:
    @wraps(function)
    def run(given: _Given, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        if isinstance(given, Spread | Awaited):
            return cast("_T", given.applied(run, *args, **kwargs))
        return function(given, *args, **kwargs)

    return cast("Callable[Concatenate[_Given, _P], _T]", run)


def grouped(rows: pd.DataFrame, keys: Sequence[str], counts: Aggregations, measures: Aggregations) -> pd.DataFrame:
    """Return a row a group: its keys, `counts` (size or sum, of integers), and `measures`, NaN where there is nothing.

    A missing key is a group of its own; without keys there is one group, named `everything`, unless there are no rows.
    """
    if isinstance(rows, Spread):
        return cast("pd.DataFrame", rows.grouped(keys, counts, measures))
    by = keyed(rows, keys).groupby(names_of(keys), dropna=False, sort=False)
    parts = {name: _aggregated(by[column], how) for name, (column, how) in {**counts, **measures}.items()}
    return spelt(pd.DataFrame(parts, columns=list(parts)).reset_index())


def _aggregated(by: Any, how: str | float) -> Any:
    if isinstance(how, float):
        return by.quantile(how)
    return by.agg(_mean if how == "mean" else how)


def _mean(values: "pd.Series[float]") -> float:
    """Return the mean, to the last digit the same in whatever order the values come."""
    known = values.dropna()
    return math.fsum(known) / len(known) if len(known) else math.nan


def keyed(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return rows that have a key."""
    return rows if keys else rows.assign(**{EVERYTHING: 0})


def names_of(keys: Sequence[str]) -> list[str]:
    """Return the columns by which rows are put into groups."""
    return list(keys) or [EVERYTHING]


def together(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all parts, in no certain order."""
    return cast("pd.DataFrame", rows.together()) if isinstance(rows, Spread) else spelt(rows)


class Aside(ABC):
    """Rows put aside by what each says in a column of text: they may be more than fit into memory."""

    @abstractmethod
    def of(self, words: Collection[str]) -> pd.DataFrame:
        """Return the rows that say one of the words, without that column, in no certain order."""


class AsideInMemory(Aside):
    """Rows that do fit into memory."""

    def __init__(self, rows: pd.DataFrame, column: str) -> None:
        """Hold all of them."""
        self._said, self._rows = rows[column], rows.drop(columns=column)

    def of(self, words: Collection[str]) -> pd.DataFrame:
        """Return some of them."""
        is_asked = self._said.isin(list(words))
        return self._rows if is_asked.all() else self._rows[is_asked]


def put_aside(rows: pd.DataFrame, column: str) -> Aside:
    """Return the rows of all parts by what they say in a column, which is missing in none."""
    return cast("Aside", rows.put_aside(column)) if isinstance(rows, Spread) else AsideInMemory(rows, column)


def known(frames: Any, *told: Any) -> tuple[Any, ...]:
    """Return what the frames were asked, all of it at once: tables, and mappings of them."""
    return cast("tuple[Any, ...]", frames.known(told)) if isinstance(frames, SpreadFrames) else told
