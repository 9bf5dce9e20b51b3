"""What the command line asks for, brought together: settings, clock, selection, tables; and where answers go."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast
from zoneinfo import ZoneInfo

import pandas as pd
from rich.console import Console

from archiver.clock import Clock
from archiver.errors import ArchiverError
from archiver.files import make_folder, write_file
from archiver.settings import load_settings
from reports.columns import Frames
from reports.errors import UsageError
from reports.groups import GROUP_COLUMNS, Selection, parse_by, parse_where
from reports.in_parts import frames_of_tables
from reports.messages import load_failures
from reports.reading import Reading, opened, reading
from reports.spread import known
from reports.tables import render_csv, render_json, render_markdown, render_parquet, render_text, told_columns
from reports.window import window_from

_PIPE_WIDTH = 200
_T = TypeVar("_T")


class Format(StrEnum):
    """How a table is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"
    PARQUET = "parquet"


class Asked:
    """What every table's options come to: settings, selection, and what is made of the archive when asked for."""

    def __init__(
        self,
        clock: Clock,
        *,
        since: str | None,
        until: str | None,
        by: str,
        where: Sequence[str] | None,
        project: Sequence[str] | None,
        config: Path | None,
        as_of: str | None = None,
        keys: Sequence[str] = tuple(GROUP_COLUMNS),
    ) -> None:
        groups = parse_by(by, keys)
        filters = dict(parse_where(where or (), keys))
        # --project and --where project= both hold: a project must be named by each that is given.
        # What is left may be no project, which is not the same as all of them.
        if project:
            named = filters.get("project", project)
            filters["project"] = tuple(one for one in project if one in named)
        self.settings = load_settings(config)
        self.zone = ZoneInfo(self.settings.timezone)
        self.as_of = at = parse_as_of(as_of, self.zone)
        # A report as of then is the one that would have been made then: its window and its doubts included.
        self.now = at or clock.now()
        window = window_from(since, until, self.now.astimezone(self.zone).date(), self.zone)
        self.selection = Selection(window, groups, filters)

    @property
    def projects(self) -> tuple[str, ...] | None:
        """The projects to read; None for all."""
        return self.selection.where.get("project")

    def table(self, make: Callable[[Frames], pd.DataFrame]) -> pd.DataFrame:
        """Make a table of the frames that answer, while the archive is open: they may lie in parts of it."""
        selection = self.selection
        groups = {column for key in (*selection.by, *selection.where) for column in GROUP_COLUMNS[key]}

        def made(archive: Reading) -> pd.DataFrame:
            frames = frames_of_tables(archive, selection.window, groups)
            (table,) = known(frames, make(frames))
            return cast("pd.DataFrame", table)

        return self.read(made)

    @cached_property
    def failures(self) -> pd.DataFrame:
        """What failed, and what it said, up to the window's end."""
        return self.read(lambda archive: load_failures(archive, self.selection.window))

    def read(self, work: Callable[[Reading], _T]) -> _T:
        """Do the work on one state of the archive: as it is, or as it was known then.

        DatabaseError if the archive can't be read, or no longer tells what was known then.
        """
        with opened(self.settings) as engine, reading(engine, self.projects, self.as_of) as archive:
            return work(archive)

    def write(self, table: pd.DataFrame, title: str, format_: Format, output: Path | None, *, note: str) -> None:
        """Write the table as asked, to the file or to standard output."""
        window = self.selection.window
        title = f"{title}, {window.since_date} to {window.until_date} (not included), {self.zone.key}"
        match format_:
            case Format.CSV:
                text = render_csv(table)
            case Format.JSON:
                text = render_json(table)
            case Format.MARKDOWN:
                text = f"{title}\n\n{render_markdown(told_columns(table))}\n{note}\n"
            case Format.TABLE:
                screen = Console()
                is_screen = output is None and screen.is_terminal
                width = screen.width if is_screen else _PIPE_WIDTH
                text = render_text(table, title=title, note=note, width=width, color=is_screen)
            case Format.PARQUET:
                content = render_parquet(table)
                if output is None and sys.stdout.isatty():
                    raise UsageError("--format parquet is not for the screen: name a file with --output")
                _write_bytes(content, output)
                return
        _write_bytes(text.encode(), output)


def parse_as_of(value: str | None, zone: ZoneInfo) -> datetime | None:
    """Read an instant; one without an offset is in the zone."""
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value)
        return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"--as-of {value!r} is no instant: write it like 2026-11-23T06:00:00Z") from None


def _write_bytes(content: bytes, output: Path | None) -> None:
    if output is not None:
        save(output, content)
    else:
        show(content)


def show(content: bytes) -> None:
    """Write to standard output. A reader that left early, as `head` does, is no error; a full device is."""
    if sys.stdout is None:
        raise ArchiverError("can't write to standard output: it is closed")
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.flush()
    except OSError as error:
        drop_output()
        if not isinstance(error, BrokenPipeError):
            raise ArchiverError(f"can't write to standard output: {error.strerror}") from None


def drop_output() -> None:
    """Let standard output go nowhere: what is still buffered would fail once more when the program ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def save(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file for its owner alone, with the folders that are missing. UsageError where it can't be written."""
    try:
        make_folder(path.parent)
        if path.exists() and not path.is_file() and not path.is_dir():
            # A device or a pipe is written to, never replaced.
            path.write_bytes(content if isinstance(content, bytes) else b"".join(content))
        else:
            write_file(path, content)
    except OSError as error:
        raise UsageError(f"can't write {path}: {error.strerror}") from None
