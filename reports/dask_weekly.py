"""The weekly report of a data set, made by Dask: on the cluster of a scheduler, or on the processes of this machine."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pandas as pd
from distributed import Client, LocalCluster
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from archiver.dataset import DataSetError, Partition, held
from archiver.errors import ArchiverError, SettingsError
from archiver.settings import Settings
from reports.behind import releases_behind, weeks_behind, weeks_told
from reports.columns import Frames
from reports.data_set import ROWS_IN_PART, books, plan_ranges
from reports.distributed import DaskFrames
from reports.frames import books_of
from reports.night_frames import load_night_runs
from reports.page import lists_of
from reports.spread import known
from reports.weekly import WeeklyReport, weekly_report, weekly_window
from reports.window import Window

_PATIENCE = "10s"
_PROGRAM = "release-archiver"


class ClusterError(ArchiverError):
    """The cluster is out of reach, or did not do the work."""


def dask_weekly(
    settings: Settings, monday: date, projects: Sequence[str] | None, directory: Path, scheduler: str | None
) -> WeeklyReport:
    """Make the report of the week that begins on `monday` from a data set.

    It is that of the archive as it was exported; only what reports were issued before is not known to a data set.
    SettingsError, DataSetError or LeaseHeldError where it can't be read, ClusterError where Dask can't.
    """
    with held(directory) as (zone, partitions):
        if zone != settings.timezone:
            raise SettingsError(f"{directory} has the weeks of {zone}, not {settings.timezone}: export in that zone")
        window = weekly_window(monday, ZoneInfo(zone))
        _refuse_unknown(directory, partitions, window)
        with connected(scheduler):
            return data_set_report(settings, window, projects, directory, partitions)


def data_set_report(
    settings: Settings,
    window: Window,
    projects: Sequence[str] | None,
    directory: Path,
    partitions: Sequence[Partition],
    rows_in_part: int = ROWS_IN_PART,
) -> WeeklyReport:
    """Make the report of a window's last week on the Dask scheduler that is set."""
    monday = window.weeks[-1].start_date
    sizes = _releases_by_week(partitions, window, projects)
    last = weeks_behind([*sizes.values()])
    with books(directory, partitions, projects) as found:
        known_failures, night_runs = found.known_failures(monday + timedelta(days=7)), load_night_runs(found)
        parts = plan_ranges(directory.resolve(), partitions, window, projects, rows_in_part)
        kept = books_of(found)
    try:
        frames = DaskFrames(parts, kept)
        report = weekly_report(
            cast("Frames", frames),
            monday,
            window.zone,
            recheck_days=settings.recheck_days,
            failures=cast("pd.DataFrame", frames.failures),
            known_failures=known_failures,
            night_runs=night_runs,
            behind_weeks=last,
        )
        return replace(report, lists=dict(_lists(window, parts, kept, dict([*sizes.items()][:-last]))))
    except FileNotFoundError as error:
        raise DataSetError(f"no such file: {error.filename or error}; each worker needs the same {directory}") from None
    except KilledWorker as error:
        raise ClusterError(f"workers died at the work, maybe for want of memory: {error}") from None
    except (FutureCancelledError, CommClosedError) as error:
        raise ClusterError(f"the scheduler was lost on the way: {error}") from None


def _refuse_unknown(directory: Path, partitions: Sequence[Partition], window: Window) -> None:
    known = sorted({one.week for one in partitions if one.week[0].isdigit()})
    week = window.weeks[-1].label
    if week not in known:
        has = f"it has weeks from {known[0]} to {known[-1]}" if known else "it is empty"
        raise DataSetError(f"{directory} knows nothing of {week}: {has}; export again, or name another week")


def _releases_by_week(
    partitions: Sequence[Partition], window: Window, projects: Sequence[str] | None
) -> dict[str, int]:
    """Count the releases of each week of the window."""
    sizes = dict.fromkeys((week.label for week in window.weeks), 0)
    for one in partitions:
        if one.table == "component_releases" and one.week in sizes and (projects is None or one.project_id in projects):
            sizes[one.week] += one.rows
    return sizes


def _lists(window: Window, parts: Sequence[Any], kept: Frames, sizes: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Write the lists of the weeks whose releases are too many to be brought home with the report's: as many as fit,
    again and again.
    """
    while sizes:
        weeks = [*sizes][-weeks_behind([*sizes.values()]) :]
        frames = DaskFrames(parts, kept)
        failures = cast("pd.DataFrame", frames.failures)
        (behind,) = known(frames, releases_behind(cast("Frames", frames), failures, window, weeks=weeks))
        told = weeks_told(behind)
        yield from lists_of(window.weeks[-1], behind, [week for week in weeks if week in told])
        for week in weeks:
            del sizes[week]


@contextmanager
def connected(scheduler: str | None) -> Iterator[Client]:
    """Let Dask work on the cluster of a scheduler, such as tcp://10.0.0.5:8786; by default on processes of its own."""
    for name in ("distributed", "distributed.client"):  # Dask sets a level for each
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is said in one line
    if scheduler is None:
        with (
            LocalCluster(
                threads_per_worker=1,
                dashboard_address=None,
                # Its web server is there all the same. At its usual port a second one would warn of the first.
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError, TypeError) as error:
        raise ClusterError(f"the scheduler {scheduler} can't be reached: {error}") from None
    with client:
        if not client.scheduler_info()["workers"]:
            raise ClusterError(f"the scheduler {scheduler} has no workers: start some with `dask worker {scheduler}`")
        _refuse_others(client)
        yield client


def _refuse_others(client: Client) -> None:
    """Refuse workers with another version of this program, or without it: they would end at the work, one by one, and
    Dask would wait for new ones for ever.
    """
    mine = version(_PROGRAM)
    for worker, theirs in client.run(version, _PROGRAM, on_error="return").items():
        if theirs != mine:
            has = "lacks it" if isinstance(theirs, Exception) else f"has {theirs}"
            raise ClusterError(f"the worker {worker} needs {_PROGRAM} {mine}, as here, and {has}")
