"""Which components changed: a week's failures against the weeks before, false alarms held down over all."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from reports.columns import Frames
from reports.comparisons import TOO_FEW, false_discovery, fisher
from reports.groups import outcome_flags, ratio
from reports.releases import PLAN, component_releases
from reports.spread import at_last, by_plan, grouped
from reports.window import Window

FALSE_DISCOVERY_RATE = 0.05
BASELINE_WEEKS = 12
_COMPONENT = ["project_id", "component_id"]
_COUNTS = ["failed", "finished", "failed_before", "finished_before"]


def flagged_components(frames: Frames, window: Window, *, baseline_weeks: int = BASELINE_WEEKS) -> pd.DataFrame:
    """Compare each (project, component) in the window's last week with its weeks before, the changed ones first.

    The baseline pools the weeks before it that the window holds, at most `baseline_weeks` (fewer than 4 tell little).
    A component counts once a plan, in the week of its first finished release there: it failed if one of its finished
    releases in the plan failed in the end. So a plan in which it fails in five batches is one event. Components with
    a finished plan in the last week are rows; those with one in the baseline too are tested, by Fisher's two-sided
    exact test, and Benjamini-Hochberg runs over all that are tested.

    Columns: `project_id, component_id, component, finished, failed, failure_rate, finished_before, failed_before,
    failure_rate_before, p_value, q_value, is_flagged, is_worse, is_too_few`. Counts are plans. `is_flagged` is
    q < 0.05: of the components flagged, one in twenty is by chance. An exact test may flag on few plans what a rate
    can't be quoted for: `is_too_few` (under 10 this week) speaks of the rate alone.

    >>> from datetime import date
    >>> from zoneinfo import ZoneInfo
    >>> flagged_components(Frames(), Window.of_weeks(date(2026, 11, 16), 13, ZoneInfo("UTC"))).empty
    True
    """
    rows = _component_plans(frames, window, baseline_weeks)
    return _judged(grouped(rows, [*_COMPONENT, "component"], {name: (name, "sum") for name in _COUNTS}, {}))


@by_plan
def _component_plans(frames: Frames, window: Window, baseline_weeks: int) -> pd.DataFrame:
    """Return a row per (project, plan, component) with a finished release: 0 or 1 in each of the counts."""
    releases = component_releases(frames.attempts, frames.rollbacks)
    releases = releases.assign(week=window.week_of(releases["started_at"]), **outcome_flags(releases["outcome"]))
    releases = releases[(releases["finished"] == 1) & releases["week"].notna()]
    ordered = releases.sort_values("started_at", kind="stable")
    by_plan = ordered.groupby([*PLAN, "component_id"], sort=True)
    plans = by_plan.agg(component=("component", "first"), week=("week", "first"), failed=("failed", "max"))
    labels = [week.label for week in window.weeks]
    is_now = plans["week"].isin(labels[-1:]).astype("int64")
    is_before = plans["week"].isin(labels[:-1][-baseline_weeks:] if baseline_weeks > 0 else []).astype("int64")
    told = (plans["failed"] * is_now, is_now, plans["failed"] * is_before, is_before)
    return plans.assign(**dict(zip(_COUNTS, told, strict=True))).reset_index()


@at_last
def _judged(table: pd.DataFrame) -> pd.DataFrame:
    table = table[table["finished"] > 0].reset_index(drop=True)
    p_values, q_values = changes(table[_COUNTS].to_numpy(dtype="int64"))
    table = table.assign(
        failure_rate=ratio(table["failed"], table["finished"]).astype("float64"),
        failure_rate_before=ratio(table["failed_before"], table["finished_before"]).astype("float64"),
        p_value=pd.Series(p_values, index=table.index, dtype="float64"),
        q_value=pd.Series(q_values, index=table.index, dtype="float64"),
    )
    table["is_flagged"] = table["q_value"] < FALSE_DISCOVERY_RATE
    table["is_worse"] = table["failure_rate"] > table["failure_rate_before"]
    table["is_too_few"] = table["finished"] < TOO_FEW
    # The changed ones first, what got worse before what got better; then by how sure it is, and by name.
    table = table.sort_values(
        ["is_flagged", "is_worse", "p_value", "failed", *_COMPONENT],
        ascending=[False, False, True, False, True, True],
        na_position="last",
        kind="stable",
        ignore_index=True,
    )
    return table[
        [
            *(*_COMPONENT, "component", "finished", "failed", "failure_rate"),
            *("finished_before", "failed_before", "failure_rate_before"),
            *("p_value", "q_value", "is_flagged", "is_worse", "is_too_few"),
        ]
    ]


def changes(counts: npt.NDArray[np.int64]) -> tuple[Sequence[float], Sequence[float]]:
    """Return p- and q-values of rows of failed, finished, failed before, finished before; NaN where not testable.

    >>> changes(np.array([[12, 60, 14, 720], [1, 60, 14, 720], [3, 3, 0, 0]]))[1][1:]
    [1.0, nan]
    """
    # Components share few distinct rows, and each needs its test once.
    distinct, place = np.unique(counts.reshape(-1, 4), axis=0, return_inverse=True)
    p_of_distinct = [
        fisher(failed, finished, failed_before, finished_before) if finished and finished_before else float("nan")
        for failed, finished, failed_before, finished_before in distinct.tolist()
    ]
    p_values = [p_of_distinct[index] for index in place.ravel()]
    return p_values, false_discovery(p_values)
