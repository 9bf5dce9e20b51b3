"""How many releases are written small: what they share once, identifiers as their 16 bytes, numbers byte by byte."""

import base64
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Numbers = npt.NDArray[np.int64]

_LEVEL = 6  # the highest makes it smaller by 1 %, and takes four times as long

_ID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}")


@dataclass(frozen=True)
class Group:
    """Columns that go together: the key of each, the words that they can say, and of each release which it says."""

    keys: Sequence[int | str]
    words: Sequence[tuple[str, ...]]
    places: Numbers


@dataclass(frozen=True)
class Packable:
    """Releases to be packed: their columns, the plan of each as a number, and when each began and ended, in minutes.

    `cells` are the keys of the two times. A time that is not known is any number, and so said in
    `is_started` and `is_ended`.
    """

    groups: Sequence[Group]
    plans: Numbers
    started: Numbers
    is_started: npt.NDArray[np.bool_]
    ended: Numbers
    is_ended: npt.NDArray[np.bool_]
    cells: tuple[int, int]


def group_of(columns: Mapping[int | str, Sequence[str]]) -> Group:
    """Put columns together, which are by their keys."""
    words: dict[tuple[str, ...], int] = {}
    places = [words.setdefault(row, len(words)) for row in zip(*columns.values(), strict=True)]
    return Group(tuple(columns), tuple(words), np.array(places, dtype=np.int64))


def packed(releases: Packable, chosen: npt.NDArray[np.bool_]) -> str:
    """Write the chosen releases as gzip in Base64: a line of JSON that says what the bytes after it are.

    A plan's releases stand together, by their starts. Of each group of columns the distinct words come first, a word
    that is an identifier of 16 bytes as the number of its dashes, the bytes after; then where each release's words
    stand among them. `started` is counted from the release before, `ended` from its own start; one without a
    start has that of the release before.
    """
    rows = _by_plan(releases, np.flatnonzero(chosen))
    data: list[bytes] = []
    groups = [_written(group, rows, data) for group in releases.groups]
    is_started, ended = releases.is_started[rows], releases.ended[rows]
    started = _carried(releases.started[rows], is_started)
    head = {
        "count": len(rows),
        "groups": groups,
        "started": _numbers(np.diff(started, prepend=started[:1]), is_started, data),
        "ended": _numbers(ended - started, releases.is_ended[rows], data),
        "from": int(started[0]) if len(rows) else 0,
        "cells": releases.cells,
    }
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":"))  # which holds no line feed
    whole = b"".join([text.encode("utf-8", "replace"), b"\n", *data])
    return base64.b64encode(gzip.compress(whole, _LEVEL, mtime=0)).decode()


def _by_plan(releases: Packable, rows: Numbers) -> Numbers:
    """Order releases by the first of their plan, which leaves little to say of plans and times."""
    order, _ = pd.factorize(releases.plans[rows])
    return rows[np.argsort(order, kind="stable")]


def _carried(values: Numbers, is_known: npt.NDArray[np.bool_]) -> Numbers:
    """Put in the place of each number that is not known the last before it that is; 0 where there is none."""
    last = np.maximum.accumulate(np.where(is_known, np.arange(len(values)), 0))
    return np.where(is_known, values, 0)[last]


def _written(group: Group, rows: Numbers, data: list[bytes]) -> dict[str, Any]:
    """Say what a group's columns are in the rows, and add their bytes to `data`; equal columns are written once."""
    places, known = pd.factorize(group.places[rows])
    said = [group.words[int(place)] for place in known]
    columns: dict[tuple[str, ...], list[int | str]] = {}
    for number, key in enumerate(group.keys):
        columns.setdefault(tuple(words[number] for words in said), []).append(key)
    words = [[_without_id(word, data) for word in column] for column in columns]
    return {"keys": list(columns.values()), "words": words, "bytes": _planes(places, data)}


def _without_id(word: str, data: list[bytes]) -> str | int:
    found = _ID.fullmatch(word)
    if found is None:
        return word
    data.append(bytes.fromhex(word.replace("-", "")))
    return 4 if found[1] else 0


def _numbers(values: Numbers, is_known: npt.NDArray[np.bool_], data: list[bytes]) -> dict[str, int]:
    """Add numbers of either sign, each by how much it is above one less than the least; 0 is one that is missing."""
    least = int(values[is_known].min()) if is_known.any() else 0
    return {"least": least, "bytes": _planes(np.where(is_known, values - least + 1, 0), data)}


def _planes(values: Numbers, data: list[bytes]) -> int:
    """Add numbers from 0 up, the lowest byte of all first, then the next; return how many bytes each takes."""
    width = (int(values.max(initial=1)).bit_length() + 7) // 8
    data.append(values.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width].T.tobytes())
    return width
