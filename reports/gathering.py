"""What a database sends, gathered portion by portion into a typed frame: never all of it as Python objects at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.columns import INSTANT, WORDS, Contract, conform, typed

_INSTANT_WIDTH = len("2026-11-24T02:15:00.000Z")
_NO_INSTANT = "NaT".ljust(_INSTANT_WIDTH, "\0")
_LAST = np.array([b"Z", b""])  # how it ends, if it is one


@dataclass(frozen=True)
class Coded:
    """Text as places in a list of words; -1, or the place of None, where it is missing."""

    codes: npt.NDArray[np.signedinteger[Any]]
    words: Iterable[str | None]


Portion = Sequence[Any]  # of each column a Series, or its values as Python objects; of words maybe as Coded


def gathered(portions: Iterable[Portion], contract: Contract) -> pd.DataFrame:
    """Put the portions of a result, whose columns come in the contract's order, together as a frame of the contract."""
    columns = [_Words() if dtype == WORDS else _Values(dtype) for dtype in contract.values()]
    for portion in portions:
        for column, values in zip(columns, portion, strict=True):
            column.add(values)
    # Each column's portions are let go once it is put together.
    whole = {name: columns.pop(0).series() for name in contract}
    return conform(pd.DataFrame(whole, copy=False), contract)


class _Words:
    """A column of text that says the same few words again and again."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._codes: list[npt.NDArray[np.int32]] = []

    def add(self, values: Any) -> None:
        """Take more values."""
        coded = values if isinstance(values, Coded) else Coded(*pd.factorize(np.array(values, dtype="object")))
        places = [-1 if word is None else self._places.setdefault(word, len(self._places)) for word in coded.words]
        # The last place is where the code of a missing value, -1, leads.
        self._codes.append(np.array([*places, -1], dtype="int32")[coded.codes])

    def series(self) -> "pd.Series[Any]":
        """Return the column."""
        words = sorted(self._places)
        ranks = np.full(len(words) + 1, -1, dtype="int32")
        ranks[[self._places[word] for word in words]] = np.arange(len(words))
        codes = ranks[np.concatenate([*self._codes, np.empty(0, dtype="int32")])]
        return pd.Series(pd.Categorical.from_codes(codes, pd.Index(words, dtype="str")))


class _Values:
    """Any other column."""

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._parts: list[pd.Series[Any]] = []

    def add(self, values: Any) -> None:
        """Take more values."""
        if not isinstance(values, pd.Series):
            instants = _instants(values) if self._dtype == INSTANT else None
            values = pd.Series(values, dtype="object") if instants is None else instants
        self._parts.append(typed(values, self._dtype))

    def series(self) -> "pd.Series[Any]":
        """Return the column."""
        return pd.concat(self._parts, ignore_index=True) if self._parts else pd.Series([], dtype="object")


def _instants(values: Sequence[Any]) -> "pd.Series[pd.Timestamp] | None":
    """Read instants as the SQLite archive writes them, faster than pandas does; None if one is written otherwise."""
    try:
        text = "".join([_NO_INSTANT if value is None else value for value in values])
    except TypeError:
        return None  # the driver sent instants
    letters = np.frombuffer(text.encode(), dtype="S1")
    if (
        len(letters) != _INSTANT_WIDTH * len(values)
        or not np.isin(letters[_INSTANT_WIDTH - 1 :: _INSTANT_WIDTH], _LAST).all()
    ):
        return None
    local = letters.view(f"S{_INSTANT_WIDTH}").astype(f"S{_INSTANT_WIDTH - 1}")  # all but the Z
    return pd.Series(local.astype("datetime64[ms]")).dt.tz_localize("UTC")
