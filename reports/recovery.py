"""Recovery: how long it took to get well after a change failed, and what has not got well yet."""

import pandas as pd

from reports.columns import Frames
from reports.groups import Selection, matching, outcome_flags, summarise, with_coverage
from reports.releases import component_releases

_COMPONENT = ["project_id", "component_id"]


def recovery(frames: Frames, selection: Selection) -> pd.DataFrame:
    """Return change_failures, recovered, open_rollbacks, open_failures and the recovery quantiles a group.

    A change failure is a finished release that failed in the end or was rolled back, in the week it started. It is
    over once a rollback of it succeeded, or a later release of its (project, component), that started after it did,
    succeeded and was not rolled back. Else it is open, and counted: under `open_rollbacks` if it was rolled back (and
    no rollback has succeeded), under `open_failures` if not; so the three add up to change_failures. Later releases are
    known as far as the frames hold them, which is to the end of the window they were loaded for.

    `recovery_p50_seconds` and `recovery_p90_seconds` are those of the contract: from the end of the attempt that was
    rolled back to the end of the first successful rollback. They speak of what has recovered; the open ones have
    waited longer than any number can say yet.
    """
    table = summarise(
        matching(change_failures(frames), selection),
        selection,
        counts={name: (name, "sum") for name in ("change_failures", "recovered", "open_rollbacks", "open_failures")},
        measures={
            "recovery_p50_seconds": ("recovery_seconds", 0.5),
            "recovery_p90_seconds": ("recovery_seconds", 0.9),
        },
    )
    return with_coverage(table, frames.nights, selection)


def change_failures(frames: Frames) -> pd.DataFrame:
    """Return the releases that are change failures, and which of `recovered, open_rollbacks, open_failures` each is."""
    every = component_releases(frames.attempts, frames.rollbacks)
    flags = outcome_flags(every["outcome"])
    is_rolled_back = every["rolled_back"] == 1
    failures = every[(flags["finished"] == 1) & ((flags["failed"] == 1) | is_rolled_back)]
    is_over = _has_succeeded_rollback(failures, frames) | _is_redeployed(failures, every[~is_rolled_back])
    return failures.assign(
        change_failures=1,
        recovered=is_over.astype("int64"),
        open_rollbacks=(~is_over & (failures["rolled_back"] == 1)).astype("int64"),
        open_failures=(~is_over & (failures["rolled_back"] == 0)).astype("int64"),
    )


def _has_succeeded_rollback(failures: pd.DataFrame, frames: Frames) -> "pd.Series[bool]":
    """Say which releases hold a successful rollback, whether or not its times are known."""
    succeeded = frames.rollbacks[frames.rollbacks["outcome"] == "succeeded"]
    held = component_releases(frames.attempts, succeeded)
    # Both hold the releases in the same order, under the same index.
    is_undone = held["rolled_back"] == 1
    return is_undone.reindex(failures.index)


def _is_redeployed(failures: pd.DataFrame, releases: pd.DataFrame) -> "pd.Series[bool]":
    """Say after which releases their component started again and succeeded."""
    good = releases[releases["outcome"] == "succeeded"]
    last = good.groupby(_COMPONENT)["started_at"].max().rename("last_good_at").reset_index()
    last_good_at = failures[_COMPONENT].merge(last, on=_COMPONENT, how="left")["last_good_at"].set_axis(failures.index)
    return last_good_at > failures["started_at"]
