"""Delivery: how many releases, how many of them were failures of a change, and how much was rework."""

import pandas as pd

from reports.columns import Frames
from reports.failure_rates import with_rate
from reports.groups import Selection, chosen, matching, outcome_flags, ratio, summarise, with_coverage
from reports.releases import component_releases, with_inferred_starts
from reports.spread import at_last, by_plan

_SUMS = ("releases", "finished", "change_failures", "attempts", "rework_attempts")


def delivery(frames: Frames, selection: Selection) -> pd.DataFrame:
    """Return releases, change failures with their rate and interval, recovery, attempts and rework a group.

    Releases count in the week of their first attempt with a start, attempts in the week they started in. A change
    failure is a finished release that failed in the end or was rolled back; its rate is of the finished. Rework is
    every attempt of a component's place after its first known one.
    """
    table = summarise(
        _releases_and_attempts(frames, selection),
        selection,
        counts={name: (name, "sum") for name in _SUMS},
        measures={"recovery_p50_seconds": ("recovery_seconds", 0.5)},
    )
    table = _with_rework_rate(with_rate(table, part="change_failures", rate="change_failure_rate"))
    columns = [
        *("releases", "finished", "change_failures", "change_failure_rate", "ci_low", "ci_high"),
        *("recovery_p50_seconds", "attempts", "rework_attempts", "rework_rate"),
    ]
    return with_coverage(chosen(table, selection, columns), frames.nights, selection)


@by_plan
def _releases_and_attempts(frames: Frames, selection: Selection) -> pd.DataFrame:
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
    shared = list(dict.fromkeys(["week", *selection.columns, *_SUMS, "recovery_seconds"]))
    return pd.concat([releases[shared], attempts[shared]], ignore_index=True)


@at_last
def _with_rework_rate(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(rework_rate=ratio(table["rework_attempts"], table["attempts"]))


def is_change_failure(releases: pd.DataFrame) -> "pd.Series[bool]":
    """Whether a release finished, and failed in the end or was rolled back."""
    outcome = releases["outcome"]
    return (outcome == "failed") | ((outcome == "succeeded") & (releases["rolled_back"] == 1))


def is_rework(attempts: pd.DataFrame) -> "pd.Series[bool]":
    """Whether an attempt is not the first known one of its place."""
    return attempts["attempt"] > 1
