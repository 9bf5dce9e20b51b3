"""Frames that lie in parts, with Dask: what metrics note of `reports.spread` made into one graph of tasks, and done.

Each part is read once, by one task: it runs all that was noted on the part, and gives away no more than what is put
together. Counts are added up, a few parts at a time. The values of a quantile, a mean or a maximum are brought together
group by group, so that each comes of all its group's values, by the same code as in memory. What comes after is small,
and done here.
"""

import secrets
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import getitem
from typing import Any, Protocol

import pandas as pd
from dask.base import get_scheduler
from dask.local import get_sync

from reports.columns import ATTEMPTS, COMPONENTS, FAILURES, ROLLBACKS, Contract, Frames, conform, empty, spelt
from reports.releases import PLAN
from reports.spread import Aggregations, Awaited, Spread, SpreadFrames, grouped, keyed, names_of

_BUCKETS = 16  # among which groups are divided where their values are brought together
_AT_ONCE = 16  # so many pieces one task puts together
_SIZE = "rows in the group"

Graph = dict[Hashable, Any]


class Part(Protocol):
    """A part of the archive, with whole plans: told by little, and read where it is worked on."""

    def read(self) -> tuple[Frames, pd.DataFrame]:
        """Read its frames, and its FAILURES."""


# --- what is noted ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Value:
    """What a step made of a part; the frames are the first, and the failures the second."""

    number: int


@dataclass(frozen=True)
class _Step:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class _Rows:
    """The rows of all parts."""

    def pieces(self, rows: pd.DataFrame, _buckets: int) -> Mapping[int, pd.DataFrame]:
        return {0: spelt(rows)}

    def merged(self, pieces: Sequence[pd.DataFrame]) -> pd.DataFrame:
        return pd.concat(pieces, ignore_index=True)

    def done(self, rows: pd.DataFrame) -> pd.DataFrame:
        return rows


@dataclass(frozen=True)
class _Counts(_Rows):
    """The counts of groups: what is counted in parts adds up."""

    keys: Sequence[str]
    counts: Aggregations

    def pieces(self, rows: pd.DataFrame, _buckets: int) -> Mapping[int, pd.DataFrame]:
        rows = rows.assign(**{_SIZE: 1})
        return {0: grouped(rows, self.keys, {**self.counts, _SIZE: (_SIZE, "sum")}, {})}

    def merged(self, pieces: Sequence[pd.DataFrame]) -> pd.DataFrame:
        both = super().merged(pieces)
        return both.groupby(names_of(self.keys), dropna=False, sort=False).sum().reset_index()


@dataclass(frozen=True)
class _Values(_Rows):
    """The values of groups, those of one group in one bucket; and what they come to."""

    keys: Sequence[str]
    measures: Aggregations

    def pieces(self, rows: pd.DataFrame, buckets: int) -> Mapping[int, pd.DataFrame]:
        names = names_of(self.keys)
        values = list(dict.fromkeys(column for column, _ in self.measures.values()))
        rows = spelt(keyed(rows, self.keys)[[*names, *values]].dropna(how="all", subset=values))
        bucket = pd.util.hash_pandas_object(rows[names], index=False) % buckets
        return {number: rows[bucket == number] for number in range(buckets)}

    def done(self, rows: pd.DataFrame) -> pd.DataFrame:
        return grouped(rows, names_of(self.keys), {}, self.measures)


@dataclass
class _Program:
    """All that is to be done on each part, and what is to be brought home of it."""

    steps: list[_Step] = field(default_factory=list)
    brought: list[tuple[_Value, _Rows]] = field(default_factory=list)

    def note(self, step: _Step) -> _Value:
        self.steps.append(step)
        return _Value(len(self.steps) + 1)

    def bring(self, value: _Value, how: _Rows) -> "_Later":
        self.brought.append((value, how))
        return _Later(None, (len(self.brought) - 1,), {})


@dataclass(frozen=True)
class _Later(Awaited):
    """A table that is brought home, by its number, or what a function will make of others."""

    function: Callable[..., Any] | None
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]

    def applied(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "_Later":
        return _Later(function, (self, *args), kwargs)

    def value(self, home: Sequence[pd.DataFrame]) -> Any:
        if self.function is None:
            return home[self.arguments[0]]
        arguments, options = _values((self.arguments, dict(self.options)), home)
        return self.function(*arguments, **options)


def _values(told: Any, home: Sequence[pd.DataFrame]) -> Any:
    """Return mappings and tuples with what was awaited in them."""
    if isinstance(told, _Later):
        return told.value(home)
    if isinstance(told, tuple):
        return tuple(_values(one, home) for one in told)
    if isinstance(told, dict):
        return {name: _values(one, home) for name, one in told.items()}
    return told


class DaskRows(Spread):
    """Rows that lie in parts: what steps make of each."""

    def __init__(self, program: _Program, value: _Value) -> None:
        """Stand for a value of each part."""
        self._program, self.value = program, value

    def applied(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "DaskRows":
        """Note a step. An argument that lies in parts too is taken part by part."""
        arguments = tuple(one.value if isinstance(one, DaskRows) else one for one in (self, *args))
        return DaskRows(self._program, self._program.note(_Step(function, arguments, kwargs)))

    def grouped(self, keys: Sequence[str], counts: Aggregations, measures: Aggregations) -> _Later:
        """Note that rows are put into groups."""
        table = self._program.bring(self.value, _Counts(keys, counts))
        values = self._program.bring(self.value, _Values(keys, measures)) if measures else None
        return table.applied(_with_measures, values, names_of(keys))

    def together(self) -> _Later:
        """Note that rows are brought home."""
        return self._program.bring(self.value, _Rows())


def _with_measures(counts: pd.DataFrame, values: pd.DataFrame | None, keys: Sequence[str]) -> pd.DataFrame:
    table = counts.drop(columns=_SIZE)
    return table if values is None else table.merge(values, on=list(keys), how="left")


# --- frames -----------------------------------------------------------------------------------------------------


class DaskFrames(DaskRows, SpreadFrames):
    """Frames in parts, each with whole plans; nights and runs, which are few, are here."""

    def __init__(self, parts: Sequence[Any], books: Frames, graph: Graph | None = None) -> None:
        """Begin with the parts, or the keys under which the graph has them, and the books as frames have them."""
        super().__init__(_Program(), _Value(0))
        self._parts, self._graph = parts, graph or {}
        self.failures = DaskRows(self._program, _Value(1))
        self.nights = books.nights
        self.last_run_ended_at: datetime | None = books.last_run_ended_at
        self.looked_at: Mapping[str, datetime] = books.looked_at

    def known(self, told: Any) -> Any:
        """Do all that was noted, on the Dask scheduler that is set, by default in this thread."""
        get = get_scheduler() or get_sync
        graph, homes = _graph(self._program, self._parts)
        return _values(told, _all_home(self._program, get({**self._graph, **graph}, homes)))


def dask_frames(
    attempts: Any, rollbacks: Any, components: Any, books: Frames, failures: Any | None = None
) -> DaskFrames:
    """Make frames of Dask DataFrames that have the columns of ATTEMPTS, ROLLBACKS, COMPONENTS and FAILURES.

    However they are parted, they are shuffled so that each part has whole plans. `books` has nights and runs.
    """
    given = [attempts, rollbacks, components, *([] if failures is None else [failures])]
    count = max(one.npartitions for one in given)
    # Not the shuffle on disk, which can't take the strings of pandas 3 (dask/partd#82).
    shuffled = [one.shuffle(on=PLAN, npartitions=count, shuffle_method="tasks").optimize() for one in given]
    graph = reduce(lambda all_, one: all_ | dict(one.__dask_graph__()), shuffled, Graph())
    keys = zip(*(one.__dask_keys__() for one in shuffled), strict=True)
    parts = [(_frames_of, *of_part) for of_part in keys]
    return DaskFrames(parts, books, graph)


def _frames_of(
    attempts: pd.DataFrame, rollbacks: pd.DataFrame, components: pd.DataFrame, failures: pd.DataFrame | None = None
) -> tuple[Frames, pd.DataFrame]:
    def typed(frame: pd.DataFrame, contract: Contract) -> pd.DataFrame:
        return conform(frame, contract).reset_index(drop=True)

    frames = Frames(typed(attempts, ATTEMPTS), typed(rollbacks, ROLLBACKS), typed(components, COMPONENTS))
    return frames, empty(FAILURES) if failures is None else typed(failures, FAILURES)


# --- what is done -----------------------------------------------------------------------------------------------


def _graph(program: _Program, parts: Sequence[Any]) -> tuple[Graph, list[Any]]:
    """Return the tasks, and the keys of what is to come home: for each bucket, all of the program's tables."""
    name = f"reports-{secrets.token_hex(4)}"
    has_values = any(isinstance(how, _Values) for _, how in program.brought)
    buckets = min(_BUCKETS, len(parts)) if has_values else 1
    graph: Graph = {f"{name}-program": program}
    for number, part in enumerate(parts):
        graph[f"{name}-part", number] = (_worked_on, f"{name}-program", part, buckets)
    homes: list[Any] = []
    for bucket in range(buckets):
        pieces: list[Hashable] = []
        for number in range(len(parts)):
            pieces.append((f"{name}-piece", bucket, number))
            graph[pieces[-1]] = (getitem, (f"{name}-part", number), bucket)
        level = 0
        while len(pieces) > 1 or level == 0:
            groups = [pieces[start : start + _AT_ONCE] for start in range(0, len(pieces), _AT_ONCE)]
            pieces = [(f"{name}-merged", bucket, level, number) for number in range(len(groups))]
            graph |= {
                key: (_merged, f"{name}-program", group, len(groups) == 1)
                for key, group in zip(pieces, groups, strict=True)
            }
            level += 1
        homes += pieces
    return graph, homes


Pieces = dict[int, pd.DataFrame]


def _worked_on(program: _Program, part: Any, buckets: int) -> list[Pieces]:
    """Do the steps on a part, and return by bucket what is brought home of it, by its number in the program."""
    values = list(part if isinstance(part, tuple) else part.read())
    for step in program.steps:
        arguments = [values[one.number] if isinstance(one, _Value) else one for one in step.arguments]
        values.append(step.function(*arguments, **step.options))
    pieces: list[Pieces] = [{} for _ in range(buckets)]
    for number, (value, how) in enumerate(program.brought):
        for bucket, piece in how.pieces(values[value.number], buckets).items():
            pieces[bucket][number] = piece
    return pieces


def _merged(program: _Program, pieces: Sequence[Pieces], is_last: bool) -> Pieces:
    merged = {}
    for number in pieces[0]:
        how = program.brought[number][1]
        table = how.merged([piece[number] for piece in pieces])
        merged[number] = how.done(table) if is_last else table
    return merged


def _all_home(program: _Program, buckets: Sequence[Pieces]) -> list[pd.DataFrame]:
    """Return the program's tables, each put together of the buckets that have some of its groups."""
    tables = [[pieces[number] for pieces in buckets if number in pieces] for number in range(len(program.brought))]
    return [pd.concat(found, ignore_index=True) if len(found) > 1 else found[0] for found in tables]
