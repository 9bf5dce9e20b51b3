"""Recovery: how long it took to get well after a change failed, and what has not got well yet."""

import pandas as pd

from reports.columns import Frames
from reports.groups import Selection, matching, outcome_flags, summarise, with_coverage
from reports.releases import component_releases
from reports.spread import at_last, by_plan, grouped, together

_COMPONENT = ["project_id", "component_id"]
_TOLD = [*_COMPONENT, "started_at", "rolled_back", "is_undone", "recovery_seconds"]


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
    rows = together(_counted(failed_changes(frames), selection))
    return with_coverage(_summarised(rows, good_starts(frames), selection), frames.nights, selection)


@by_plan
def _counted(failures: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    rows = matching(failures, selection)
    return rows[list(dict.fromkeys(["week", *selection.columns, *_TOLD]))]


@at_last
def _summarised(rows: pd.DataFrame, good: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    return summarise(
        with_states(rows, good),
        selection,
        counts={name: (name, "sum") for name in ("change_failures", "recovered", "open_rollbacks", "open_failures")},
        measures={
            "recovery_p50_seconds": ("recovery_seconds", 0.5),
            "recovery_p90_seconds": ("recovery_seconds", 0.9),
        },
    )


@by_plan
def failed_changes(frames: Frames) -> pd.DataFrame:
    """Return the releases that are change failures, and if a rollback of each succeeded (`is_undone`)."""
    every = component_releases(frames.attempts, frames.rollbacks)
    flags = outcome_flags(every["outcome"])
    is_rolled_back = every["rolled_back"] == 1
    failures = every[(flags["finished"] == 1) & ((flags["failed"] == 1) | is_rolled_back)]
    return failures.assign(is_undone=_has_succeeded_rollback(failures, frames))


def good_starts(frames: Frames) -> pd.DataFrame:
    """Return when a release of each component last started that succeeded and was not rolled back."""
    return grouped(_good_releases(frames), _COMPONENT, {}, {"last_good_at": ("started_at", "max")})


@by_plan
def _good_releases(frames: Frames) -> pd.DataFrame:
    every = component_releases(frames.attempts, frames.rollbacks)
    good = every[(every["rolled_back"] == 0) & (every["outcome"] == "succeeded")]
    return good.sort_values("started_at", na_position="first").drop_duplicates(_COMPONENT, keep="last")


def with_states(failures: pd.DataFrame, good: pd.DataFrame) -> pd.DataFrame:
    """Say of change failures which of `recovered, open_rollbacks, open_failures` each is."""
    last_good_at = failures[_COMPONENT].merge(good, on=_COMPONENT, how="left")["last_good_at"]
    is_over = failures["is_undone"] | (last_good_at.set_axis(failures.index) > failures["started_at"])
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
