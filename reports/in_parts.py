"""Frames too many to be held at once: the archive in parts, read one after the other from one state of it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import cast

import pandas as pd
from sqlalchemy import func, select

from archiver.schema import job_attempts
from reports.columns import FAILURES, Frames, empty
from reports.frames import books_of, frames_of, frames_of_plans, plan_keys, plans_of
from reports.messages import load_failures
from reports.noted import PartFrames
from reports.reading import Reading
from reports.window import Window

ROWS_IN_MEMORY = 300_000  # attempts of a weekly report's window
ROWS_IN_PART = 200_000  # each part costs as much again as thousands of rows, whatever it holds
# A single table makes less of its frames, and in parts takes half as long again.
ROWS_OF_TABLES_IN_MEMORY = 1_200_000


@dataclass(frozen=True)
class PlansPart:
    """Plans, by key, that the window touches; or others, of which nothing is asked but how they failed before.

    `groups` as `frames_of` takes them.
    """

    archive: Reading
    window: Window
    keys: "pd.Series[str]"
    is_touched: bool = True
    groups: Collection[str] | None = None
    has_failures: bool = True

    def read(self) -> tuple[Frames | None, pd.DataFrame]:
        """Read their frames, without books, and their FAILURES."""
        keys = self.keys.to_list()
        failures = load_failures(self.archive, self.window, keys) if self.has_failures else empty(FAILURES)
        if not self.is_touched:
            return None, failures
        return frames_of_plans(self.archive, plans_of(self.archive, keys), keys, groups=self.groups), failures


def frames_and_failures(archive: Reading, window: Window) -> tuple[Frames, pd.DataFrame]:
    """Read what a weekly report needs: the frames of a window, and FAILURES up to its end.

    Where the window has more attempts than fit into memory with ease, both lie in parts, which are read while
    the report is made of them: until then the archive stays open.
    """
    attempts = _attempts_in(archive, window)
    if attempts <= ROWS_IN_MEMORY:
        return frames_of(archive, window), load_failures(archive, window)
    frames = PartFrames(parts_of(archive, window, -(-attempts // ROWS_IN_PART)), books_of(archive))
    return cast("Frames", frames), cast("pd.DataFrame", frames.failures)


def frames_of_tables(archive: Reading, window: Window, groups: Collection[str] | None = None) -> Frames:
    """Read what tables need as `frames_of` does; in parts, without failures, where that is too much for memory."""
    attempts = _attempts_in(archive, window)
    if attempts <= ROWS_OF_TABLES_IN_MEMORY:
        return frames_of(archive, window, groups=groups)
    parts = [part for part in parts_of(archive, window, -(-attempts // ROWS_IN_PART)) if part.is_touched]
    parts = [replace(part, groups=groups, has_failures=False) for part in parts]
    return cast("Frames", PartFrames(parts, books_of(archive)))


def parts_of(archive: Reading, window: Window, count: int) -> list[PlansPart]:
    """Divide the plans that the window touches into so many parts, and the others into parts as large.

    Those of one time come together: their rows lie close to each other, and their releases in few weeks.
    """
    known = plan_keys(archive, window)
    size = max(1, -(-int(known["is_touched"].sum()) // max(1, count)))
    return [
        PlansPart(archive, window, keys.iloc[start : start + size], is_touched)
        for is_touched in (True, False)
        for keys in [known.loc[known["is_touched"] == is_touched, "plan_key"]]
        for start in range(0, max(len(keys), is_touched), size)  # of frames there is a part, be it empty
    ]


def _attempts_in(archive: Reading, window: Window) -> int:
    started_at = job_attempts.c.started_at
    inside = (started_at >= window.starts_at) & (started_at < window.ends_at)
    query = select(func.count()).select_from(job_attempts).where(inside, archive.of_projects(job_attempts))
    return archive.stored.scalar(query) or 0
