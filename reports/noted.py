"""What metrics note of `reports.spread` on frames that lie in parts, and what is done of it, part by part.

Each part is read once: all that was noted runs on it, and it gives away no more than what is put together. Counts are
added up. The values of a quantile, a mean or a maximum are brought together group by group, so that each comes of all
its group's values, by the same code as in memory. What comes after is small, or put aside, and done at the end.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import pandas as pd

from reports.brought import SIZE, Apart, Counts, Rows, Values
from reports.columns import Frames
from reports.spread import Aggregations, Awaited, Spread, SpreadFrames, names_of


class Part(Protocol):
    """A part of the archive, with whole plans: told by little, and read where it is worked on."""

    def read(self) -> tuple[Frames | None, pd.DataFrame]:
        """Read its frames, and its FAILURES; None where it has nothing but these."""


@dataclass(frozen=True)
class Value:
    """What a step made of a part; the frames are the first, and the failures the second."""

    number: int


@dataclass(frozen=True)
class Step:
    """A function that runs on a part, and what it is given: values of the part among it."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]

    @property
    def needs(self) -> list[int]:
        """The numbers of the values that it is given."""
        return [one.number for one in self.arguments if isinstance(one, Value)]


@dataclass
class Program:
    """All that is to be done on each part, and what is to be brought home of it."""

    steps: list[Step] = field(default_factory=list)
    brought: list[tuple[Value, Rows]] = field(default_factory=list)

    def note(self, step: Step) -> Value:
        """Note a step; return what it will make of a part."""
        self.steps.append(step)
        return Value(len(self.steps) + 1)

    def bring(self, value: Value, how: Rows) -> "Later":
        """Note that something is brought home."""
        self.brought.append((value, how))
        return Later(None, (len(self.brought) - 1,), {})

    def pieces(self, part: Part | tuple[Any, Any], buckets: int) -> Iterable[tuple[int, Mapping[int, pd.DataFrame]]]:
        """Do the steps on a part; yield by its number here what is brought home of it, as soon as it is made.

        What a step made is let go after the last that needs it. A part without frames gives nothing that needs some.
        """
        last = {number: place for place, step in enumerate(self.steps, 2) for number in step.needs}
        values: dict[int, Any] = dict(enumerate(part if isinstance(part, tuple) else part.read()))
        for number in range(len(self.steps) + 2):
            if number > 1:
                values[number] = self._made(self.steps[number - 2], values)
            for place, (value, how) in enumerate(self.brought):
                if value.number == number and values[number] is not None:
                    yield place, how.pieces(values[number], buckets)
            for other in [one for one in values if last.get(one, one) <= number]:
                del values[other]

    def _made(self, step: Step, values: Mapping[int, Any]) -> Any:
        if any(values[number] is None for number in step.needs):
            return None
        arguments = [values[one.number] if isinstance(one, Value) else one for one in step.arguments]
        return step.function(*arguments, **step.options)

    def home(self, parts: Iterable[Part]) -> list[Any]:
        """Do all of it here, on one part after the other; return what comes home, by its number."""
        homes = [how.home() for _, how in self.brought]
        for part in parts:
            for place, pieces in self.pieces(part, 1):
                homes[place].add(pieces[0])
        return [one.done() for one in homes]


@dataclass(frozen=True)
class Later(Awaited):
    """A table that is brought home, by its number, or what a function will make of others."""

    function: Callable[..., Any] | None
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]

    def applied(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "Later":
        """Note a function of it."""
        return Later(function, (self, *args), kwargs)

    def value(self, home: Sequence[Any]) -> Any:
        """Return it, of what came home."""
        if self.function is None:
            return home[self.arguments[0]]
        arguments, options = values_of((self.arguments, dict(self.options)), home)
        return self.function(*arguments, **options)


def values_of(told: Any, home: Sequence[Any]) -> Any:
    """Return mappings and tuples with what was awaited in them."""
    if isinstance(told, Later):
        return told.value(home)
    if isinstance(told, tuple):
        return tuple(values_of(one, home) for one in told)
    if isinstance(told, dict):
        return {name: values_of(one, home) for name, one in told.items()}
    return told


class PartRows(Spread):
    """Rows that lie in parts: what steps make of each."""

    def __init__(self, program: Program, value: Value) -> None:
        """Stand for a value of each part."""
        self.program, self.value = program, value

    def applied(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "PartRows":
        """Note a step. An argument that lies in parts too is taken part by part."""
        arguments = tuple(one.value if isinstance(one, PartRows) else one for one in (self, *args))
        return PartRows(self.program, self.program.note(Step(function, arguments, kwargs)))

    def grouped(self, keys: Sequence[str], counts: Aggregations, measures: Aggregations) -> Later:
        """Note that rows are put into groups."""
        table = self.program.bring(self.value, Counts(keys, counts))
        values = self.program.bring(self.value, Values(keys, measures)) if measures else None
        return table.applied(_with_measures, values, names_of(keys))

    def together(self) -> Later:
        """Note that rows are brought home."""
        return self.program.bring(self.value, Rows())

    def put_aside(self, column: str) -> Later:
        """Note that rows are put aside, by a word of each."""
        return self.program.bring(self.value, Apart(column))


def _with_measures(counts: pd.DataFrame, values: pd.DataFrame | None, keys: Sequence[str]) -> pd.DataFrame:
    table = counts.drop(columns=SIZE)
    return table if values is None else table.merge(values, on=list(keys), how="left")


class PartFrames(PartRows, SpreadFrames):
    """Frames in parts, each with whole plans; nights and runs, which are few, are here."""

    def __init__(self, parts: Sequence[Any], books: Frames) -> None:
        """Begin with the parts, and the books as frames have them."""
        super().__init__(Program(), Value(0))
        self.parts = parts
        self.failures = PartRows(self.program, Value(1))
        self.nights = books.nights
        self.last_run_ended_at: datetime | None = books.last_run_ended_at
        self.looked_at: Mapping[str, datetime] = books.looked_at

    def known(self, told: Any) -> Any:
        """Do all that was noted, here and now, on one part after the other."""
        return values_of(told, self.program.home(self.parts))
