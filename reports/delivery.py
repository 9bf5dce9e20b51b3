"""Delivery: how many releases, how many of them were failures of a change, and how much was rework."""

import pandas as pd

from reports.columns import Frames
from reports.failure_rates import with_rate
from reports.groups import Selection, matching, outcome_flags, ratio, summarise, with_coverage
from reports.releases import component_releases, with_inferred_starts


def delivery(frames: Frames, selection: Selection) -> pd.DataFrame:
    """Return releases, change failures with their rate and interval, recovery, attempts and rework a group.

    Releases count in the week of their first attempt with a start, attempts in the week they started in. A change
    failure is a finished release that failed in the end or was rolled back; its rate is of the finished. Rework is
    every attempt of a component's place after its first known one.
    """
    releases = matching(component_releases(frames.attempts, frames.rollbacks), selection)
    flags = outcome_flags(releases["outcome"])
    releases = releases.assign(
        releases=1,
        finished=flags["finished"],
        change_failures=is_change_failure(releases).astype("int64"),
        recovery_seconds=releases["recovery_seconds"].where(flags["finished"] == 1),
        attempts=0,
        rework_attempts=0,
    )
    attempts = matching(with_inferred_starts(frames.attempts), selection)
    attempts = attempts.assign(
        releases=0,
        finished=0,
        change_failures=0,
        recovery_seconds=float("nan"),
        attempts=1,
        rework_attempts=is_rework(attempts).astype("int64"),
    )
    sums = ("releases", "finished", "change_failures", "attempts", "rework_attempts")
    shared = list(dict.fromkeys(["week", *selection.columns, *sums, "recovery_seconds"]))
    table = summarise(
        pd.concat([releases[shared], attempts[shared]], ignore_index=True),
        selection,
        counts={name: (name, "sum") for name in sums},
        measures={"recovery_p50_seconds": ("recovery_seconds", 0.5)},
    )
    table = with_rate(table, part="change_failures", rate="change_failure_rate")
    table = table.assign(rework_rate=ratio(table["rework_attempts"], table["attempts"]))
    columns = [
        *("releases", "finished", "change_failures", "change_failure_rate", "ci_low", "ci_high"),
        *("recovery_p50_seconds", "attempts", "rework_attempts", "rework_rate"),
    ]
    return with_coverage(table[[*selection.columns, *columns]], frames.nights, selection)


def is_change_failure(releases: pd.DataFrame) -> "pd.Series[bool]":
    """Whether a release finished, and failed in the end or was rolled back."""
    outcome = releases["outcome"]
    return (outcome == "failed") | ((outcome == "succeeded") & (releases["rolled_back"] == 1))


def is_rework(attempts: pd.DataFrame) -> "pd.Series[bool]":
    """Whether an attempt is not the first known one of its place."""
    return attempts["attempt"] > 1
