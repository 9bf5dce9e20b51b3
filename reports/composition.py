"""The tables of a weekly report: what of the week, what over its weeks, in the order in which they are read."""

from collections.abc import Mapping
from datetime import datetime

import pandas as pd

from reports.batch_timing import batch_timing, batch_trend, slowest_components
from reports.clustered import release_rates
from reports.columns import Frames
from reports.comparisons import TOO_FEW
from reports.delivery import delivery
from reports.failure_rates import failure_rates
from reports.failures import failure_templates, rollback_failures
from reports.flagged import flagged_components
from reports.flaky import flaky_components
from reports.groups import Selection, coverage_words, matching
from reports.recovery import recovery
from reports.releases import component_releases
from reports.rollbacks import rollback_rates
from reports.spread import at_last, by_plan, together
from reports.survival import batch_survival
from reports.window import Window

HEAT_WEEKS = 13

_RELEASE = [
    *("project_id", "plan_id", "batch", "component_id", "component", "version", "outcome", "rolled_back"),
    *("started_at", "is_start_inferred", "ended_at", "attempts", "rollbacks", "rollbacks_failed", "recovery_seconds"),
]


def weekly_tables(
    frames: Frames,
    failures: pd.DataFrame,
    window: Window,
    *,
    as_of: datetime | None,
    recheck_days: int,
) -> Mapping[str, pd.DataFrame]:
    """Make every table of the report of the window's last week, by the name of its file.

    Needs FAILURES over all of history. What is provisional is told by `as_of`, the newest run's end.
    """
    weekly, week = Selection(window), window.last(1)
    return {
        "rollback-failures": rollback_failures(failures, Selection(week)),
        "failures": failure_templates(failures, Selection(week)),
        "flagged-components": flagged_components(frames, window),
        "failure-rates": failure_rates(frames, weekly),
        "failure-rates-by-component": _by_component(frames, week),
        "release-rates": release_rates(frames, weekly, as_of=as_of),
        "component-weeks": failure_rates(
            frames, Selection(window.last(HEAT_WEEKS), by=("week", "component")), unit="release"
        ),
        "rollbacks": rollback_rates(frames, weekly, as_of=as_of, recheck_days=recheck_days),
        "recovery": recovery(frames, weekly),
        "batch-timing": batch_timing(frames, weekly),
        "batch-timing-by-batch": batch_timing(frames, Selection(week, by=("batch",))),
        "batch-timing-by-week-batch": batch_timing(frames, Selection(window, by=("week", "batch"))),
        "batch-trend": batch_trend(frames, Selection(window, by=("batch",))),
        "slowest-components": slowest_components(frames, Selection(week, by=("batch",))),
        "batch-survival": batch_survival(frames, window),
        "delivery": delivery(frames, weekly),
        "delivery-by-team": delivery(frames, Selection(week, by=("team",))),
        "flaky-components": _flaky(frames, window),
        "releases": _releases(frames, week),
        "coverage-by-project": _coverage_by_project(frames, window.weeks[-1].label),
    }


def _by_component(frames: Frames, week: Window) -> pd.DataFrame:
    return _worst_first(failure_rates(frames, Selection(week, by=("component",))))


@at_last
def _worst_first(table: pd.DataFrame) -> pd.DataFrame:
    table = table.assign(is_too_few=table["finished"] < TOO_FEW)
    # Most failures, then the higher rate; the rest as they were sorted, by project and id.
    return table.sort_values(["failed", "failure_rate"], ascending=False, kind="stable", ignore_index=True)


def _flaky(frames: Frames, window: Window) -> pd.DataFrame:
    """Return the components that were flaky in the weeks of the window, the most often first."""
    return _most_often_first(flaky_components(frames, Selection(window, by=("component",))))


@at_last
def _most_often_first(table: pd.DataFrame) -> pd.DataFrame:
    table = table[table["flaky"] > 0]
    return table.sort_values(["flaky", "flaky_rate"], ascending=False, kind="stable", ignore_index=True)


def _releases(frames: Frames, week: Window) -> pd.DataFrame:
    """Return the week's component releases, a row each, as they started."""
    return _as_they_started(together(_started(frames, week)))


@by_plan
def _started(frames: Frames, week: Window) -> pd.DataFrame:
    return matching(component_releases(frames.attempts, frames.rollbacks), Selection(week))[_RELEASE]


@at_last
def _as_they_started(releases: pd.DataFrame) -> pd.DataFrame:
    order = ["started_at", "project_id", "plan_id", "batch", "component_id"]
    return releases.sort_values(order, kind="stable", ignore_index=True)


def _coverage_by_project(frames: Frames, label: str) -> pd.DataFrame:
    return _nights_by_project(together(_projects(frames)), frames.nights, label)


@by_plan
def _projects(frames: Frames) -> pd.DataFrame:
    return frames.attempts[["project_id"]].drop_duplicates()


@at_last
def _nights_by_project(attempts: pd.DataFrame, nights: pd.DataFrame, label: str) -> pd.DataFrame:
    states = nights[nights["night_date"].dt.strftime("%G-W%V") == label]
    projects = pd.concat([nights["project_id"], attempts["project_id"]]).unique()
    table = pd.DataFrame({"project_id": pd.Series(sorted(projects), dtype="str")})
    for name, words in (("planned", None), ("done", {"done"}), ("partial", {"partial"})):
        chosen = states if words is None else states[states["state"].isin(words)]
        count = chosen.groupby("project_id").size()
        table[f"nights_{name}"] = table["project_id"].map(count).fillna(0).astype("int64")
    table["coverage"] = coverage_words(table)
    return table.drop(columns="nights_partial")
