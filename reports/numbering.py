"""Where facts lie, as integers: equal where the columns are equal, in every frame, and in the order of these."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Integers = npt.NDArray[np.int64]

_MOST = np.iinfo("int64").max


@dataclass(frozen=True)
class Numbers:
    """The numbers of a frame's rows: a number tells a plan, a component or a batch of it, or a component's place.

    No batch comes after every batch. They fit: of a million plans in a thousand projects, with a million components
    and a thousand batches, the last place has the number 10^18.
    """

    place: Integers
    components: int
    batches: int

    @property
    def component(self) -> Integers:
        """A plan's component, wherever in the plan."""
        return self.place // self.batches

    @property
    def plan(self) -> Integers:
        """A plan."""
        return self.place // (self.components * self.batches)

    @property
    def batch(self) -> Integers:
        """A plan's batch."""
        return self.plan * self.batches + self.place % self.batches


def numbered(*frames: pd.DataFrame) -> list[Numbers]:
    """Number the rows of frames of facts. They have their words in common, as those of `Frames` do.

    ValueError if they have not, or if there are more places than there are numbers.
    """
    first = frames[0]
    for name in ("project_id", "plan_id", "component_id"):
        if not all(frame[name].cat.categories.equals(first[name].cat.categories) for frame in frames):
            raise ValueError(f"frames whose {name} have not the same words can't be numbered alike")
    known = [frame["batch"].dropna().drop_duplicates().to_numpy(dtype="int64") for frame in frames]
    batches = np.unique(np.concatenate(known))
    words = (len(first[name].cat.categories) for name in ("project_id", "plan_id", "component_id"))
    if math.prod(words) * (len(batches) + 1) > _MOST:  # it would wrap without a word
        raise ValueError("more projects, plans, components and batches than can be numbered: ask for fewer weeks")
    return [_numbers(frame, batches) for frame in frames]


def _numbers(frame: pd.DataFrame, batches: Integers) -> Numbers:
    components, count = len(frame["component_id"].cat.categories), len(batches) + 1
    batch = np.searchsorted(batches, frame["batch"].to_numpy(dtype="int64", na_value=0))
    batch[frame["batch"].isna().to_numpy()] = len(batches)
    place = plan_numbers(frame)
    place *= components
    place += frame["component_id"].cat.codes.to_numpy()
    place *= count
    place += batch
    return Numbers(place, max(components, 1), count)


def plan_numbers(frame: pd.DataFrame) -> Integers:
    """Return the number of each row's plan."""
    plan: Integers = frame["project_id"].cat.codes.to_numpy().astype("int64")
    plan *= len(frame["plan_id"].cat.categories)
    plan += frame["plan_id"].cat.codes.to_numpy()
    return plan


def where_found(numbers: Integers, ordered: Integers) -> Integers:
    """Return where each number first stands among ordered ones; -1 where it doesn't."""
    found = np.searchsorted(ordered, numbers)
    is_there = np.append(ordered, -1)[found] == numbers
    return np.where(is_there, found, -1)
