"""Where facts lie, as integers: equal where the columns are equal, in every frame, and in the order of these."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Numbers:
    """The numbers of a frame's rows: a number tells a plan, a component or a batch of it, or a component's place.

    No batch comes after every batch. They fit: of a million plans in a thousand projects, with a million components
    and a thousand batches, the last place has the number 10^18.
    """

    plan: Integers
    component: Integers
    batch: Integers
    place: Integers


def numbered(*frames: pd.DataFrame) -> list[Numbers]:
    """Number the rows of frames of facts. They have their words in common, as those of `Frames` do; else ValueError."""
    first = frames[0]
    for name in ("project_id", "plan_id", "component_id"):
        if not all(frame[name].cat.categories.equals(first[name].cat.categories) for frame in frames):
            raise ValueError(f"frames whose {name} have not the same words can't be numbered alike")
    known = [frame["batch"].dropna().drop_duplicates().to_numpy(dtype="int64") for frame in frames]
    batches = np.unique(np.concatenate(known))
    return [_numbers(frame, batches) for frame in frames]


def _numbers(frame: pd.DataFrame, batches: Integers) -> Numbers:
    plans, components = (len(frame[name].cat.categories) for name in ("plan_id", "component_id"))
    plan = _codes(frame["project_id"]) * plans + _codes(frame["plan_id"])
    component = plan * components + _codes(frame["component_id"])
    batch = np.searchsorted(batches, frame["batch"].to_numpy(dtype="int64", na_value=0)).astype("int64")
    batch[frame["batch"].isna().to_numpy()] = len(batches)
    count = len(batches) + 1
    return Numbers(plan, component, batch=plan * count + batch, place=component * count + batch)


def _codes(words: "pd.Series[str]") -> Integers:
    return words.cat.codes.to_numpy().astype("int64")


def where_found(numbers: Integers, ordered: Integers) -> Integers:
    """Return where each number first stands among ordered ones; -1 where it doesn't."""
    found = np.searchsorted(ordered, numbers)
    is_there = np.append(ordered, -1)[found] == numbers
    return np.where(is_there, found, -1)
