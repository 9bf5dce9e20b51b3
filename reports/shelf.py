"""Rows put aside on disk while part after part is read, to be taken down again a word at a time."""

import pickle
from collections.abc import Collection
from contextlib import suppress
from tempfile import TemporaryFile, gettempdir
from weakref import finalize

import pandas as pd

from archiver.errors import ArchiverError
from reports.columns import stacked
from reports.spread import Aside


class Shelf(Aside):
    """Rows by what they say in a column, in a file without a name: it is gone with this, or with the process."""

    def __init__(self, column: str) -> None:
        """Begin without rows."""
        self._column = column
        self._file = TemporaryFile()  # noqa: SIM115 - closed when this is let go
        self._places: dict[str, list[int]] = {}
        self._none = pd.DataFrame()
        finalize(self, self._file.close)

    def add(self, rows: pd.DataFrame) -> None:
        """Put rows aside. ArchiverError where the disk has no room for them."""
        told = rows.drop(columns=self._column)
        self._none = told.head(0)
        try:
            for word, some in told.groupby(rows[self._column], sort=False, observed=True):
                self._places.setdefault(str(word), []).append(self._file.tell())
                pickle.dump(some, self._file, protocol=5)
            self._file.flush()
        except OSError as error:
            with suppress(OSError):
                self._file.close()  # or what could not be written would be tried once more
            raise ArchiverError(
                f"releases can't be put aside in {gettempdir()}: {error.strerror}; name another folder with TMPDIR"
            ) from None

    def done(self) -> "Shelf":
        """Return itself, which has all rows by now."""
        return self

    def of(self, words: Collection[str]) -> pd.DataFrame:
        """Take down the rows that say one of the words."""
        places = [place for word in words for place in self._places.get(word, ())]
        return stacked([self._none, *map(self._taken, sorted(places))])

    def _taken(self, place: int) -> pd.DataFrame:
        self._file.seek(place)
        rows: pd.DataFrame = pickle.load(self._file)  # noqa: S301 - it was written here
        return rows
