"""Frames that lie in parts, with Dask: what was noted (`reports.noted`) made into one graph of tasks.

Each part is read once, by one task, wherever a worker is. The values of groups are divided among buckets, so that each
group's come together in one task, and pieces are put together a few parts at a time.
"""

import secrets
from collections.abc import Hashable, Sequence
from functools import reduce
from operator import getitem
from typing import Any

import pandas as pd
from dask.base import get_scheduler
from dask.local import get_sync

from reports.brought import Values
from reports.columns import ATTEMPTS, COMPONENTS, FAILURES, ROLLBACKS, Contract, Frames, conform, empty
from reports.noted import PartFrames, Program, values_of
from reports.releases import PLAN

_BUCKETS = 16  # among which groups are divided where their values are brought together
_AT_ONCE = 16  # so many pieces one task puts together

Graph = dict[Hashable, Any]


class DaskFrames(PartFrames):
    """Frames in parts that Dask works on."""

    def __init__(self, parts: Sequence[Any], books: Frames, graph: Graph | None = None) -> None:
        """Begin with the parts, or the keys under which the graph has them, and the books as frames have them."""
        super().__init__(parts, books)
        self._graph = graph or {}

    def known(self, told: Any) -> Any:
        """Do all that was noted, on the Dask scheduler that is set, by default in this thread."""
        get = get_scheduler() or get_sync
        graph, homes = _graph(self.program, self.parts)
        return values_of(told, _all_home(self.program, get({**self._graph, **graph}, homes)))


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


def _graph(program: Program, parts: Sequence[Any]) -> tuple[Graph, list[Any]]:
    """Return the tasks, and the keys of what is to come home: for each bucket, all of the program's tables."""
    name = f"reports-{secrets.token_hex(4)}"
    has_values = any(isinstance(how, Values) for _, how in program.brought)
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


Pieces = dict[int, Any]


def _worked_on(program: Program, part: Any, buckets: int) -> list[Pieces]:
    """Do the steps on a part, and return by bucket what is brought home of it, by its number in the program."""
    pieces: list[Pieces] = [{} for _ in range(buckets)]
    for number, by_bucket in program.pieces(part, buckets):
        for bucket, piece in by_bucket.items():
            pieces[bucket][number] = piece
    return pieces


def _merged(program: Program, pieces: Sequence[Pieces], is_last: bool) -> Pieces:
    merged = {}
    for number in pieces[0]:
        how = program.brought[number][1]
        table = how.merged([piece[number] for piece in pieces])
        merged[number] = how.done(table) if is_last else table
    return merged


def _all_home(program: Program, buckets: Sequence[Pieces]) -> list[Any]:
    """Return the program's tables, each put together of the buckets that have some of its groups."""
    tables = [[pieces[number] for pieces in buckets if number in pieces] for number in range(len(program.brought))]
    return [pd.concat(found, ignore_index=True) if len(found) > 1 else found[0] for found in tables]
