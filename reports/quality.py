"""Quality: what the archive does not know or doubts, counted by project, week and check."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from operator import itemgetter

import pandas as pd

from reports.columns import FINDINGS, OBSERVING_RUNS, PLAN_CHANGES, PLANS_MISSED, empty
from reports.window import Window

GAP = "observation_gap_p90_hours"
MS_AN_HOUR = 3_600_000

# The checks in the order of their rows, and what each counts, by which week. An attempt belongs to the week it
# started in, as in the tables; one without a start to that of its inferred start (if it failed), else of its first
# sighting. A rollback belongs to the week it started in, else of its first sighting.
CHECKS: Mapping[str, str] = {
    "nights_missed": "Nights that no run served, by their date.",
    "nights_partial": "Nights that were served only in part, by their date.",
    "runs_failed": "Runs that ended as failed or interrupted, by their start.",
    "lists_failed": "Runs whose list of plans could not be read at all, by when they gave it up.",
    "lists_incomplete": "Runs whose list was shorter than its own count, or held items without an id, by their start.",
    "plans_not_fetched": "Plans that a run could not archive, once for each run, by when it gave them up.",
    GAP: "Hours between two observations of an unsettled plan in a row (90th percentile), by the later one.",
    "unfinished_attempts": "Attempts that were last seen running or pending.",
    "unknown_outcomes": "Attempts whose outcome is unknown: the two checks that follow, together.",
    "unknown_status_words": "Attempts with outcome unknown that had no status, or none of the documented words.",
    "attempts_replaced_unseen": "Attempts last seen running or pending that another replaced: their end was not seen.",
    "attempts_without_start": "Attempts without a start time.",
    "starts_inferred": "Failed attempts without a start time, whose week is inferred: part of the check before.",
    "attempts_without_job_id": "Attempts for which no job id was sent.",
    "unfinished_rollbacks": "Rollbacks that were last seen running or pending.",
    "unknown_rollback_outcomes": "Rollbacks whose outcome is unknown.",
    "rollbacks_without_id": "Rollbacks for which no rollback job id was sent.",
    "impossible_times": "Attempts and rollbacks that end before they start, or have a time more than 24 hours after "
    "the body that last showed them was captured.",
    "batches_not_numeric": "Places of components whose batch is missing or no number, by their first sighting.",
    "components_without_id": "Places of components that came without an id, by their first sighting.",
    "components_twice_in_batch": "Attempts that one body showed beside an earlier one of the same place: a component "
    "stood twice in its batch.",
    "components_gone": "Places that their component has left, and not come back to, by when that was seen.",
    "plans_gone": "Plans that have gone, and not come back, by when that was seen.",
    "bodies_pruned": "Bodies that were dropped to save space, so that they prove nothing any more, by their capture.",
}


@dataclass(frozen=True)
class QualityFrames:
    """What quality is counted from: one row a finding, and what tells how often unsettled plans were looked at."""

    projects: tuple[str, ...] = ()
    findings: pd.DataFrame = field(default_factory=lambda: empty(FINDINGS))
    plan_changes: pd.DataFrame = field(default_factory=lambda: empty(PLAN_CHANGES))
    runs: pd.DataFrame = field(default_factory=lambda: empty(OBSERVING_RUNS))
    plans_missed: pd.DataFrame = field(default_factory=lambda: empty(PLANS_MISSED))


def quality(frames: QualityFrames, window: Window) -> pd.DataFrame:
    """Return `project_id, week, check, count`: a row for each project, week of the window and check, in that order.

    `count` is a float; 0 where nothing was found. For observation_gap_p90_hours it is hours, and missing where
    no unsettled plan was observed a second time.

    >>> from datetime import date
    >>> from zoneinfo import ZoneInfo
    >>> week = Window.of_weeks(date(2026, 11, 16), 1, ZoneInfo("UTC"))
    >>> quality(QualityFrames(projects=("p",)), week).head(2).values.tolist()
    [['p', '2026-W47', 'nights_missed', 0.0], ['p', '2026-W47', 'nights_partial', 0.0]]
    """
    labels = [week.label for week in window.weeks]
    keys = ["project_id", "week", "check"]
    grid = pd.MultiIndex.from_product([frames.projects, labels, list(CHECKS)], names=keys)
    table = pd.DataFrame(index=grid).reset_index().astype(dict.fromkeys(keys, "str"))
    found = frames.findings.assign(week=window.week_of(frames.findings["found_at"]))
    counts = found.groupby(keys).size().rename("count").reset_index()
    gaps = observation_gaps(frames.plan_changes, frames.runs, frames.plans_missed)
    gaps = gaps.assign(week=window.week_of(gaps["observed_at"]), check=GAP).astype({"check": "str"})
    hours = gaps.groupby(keys)["gap_hours"].quantile(0.9).rename("hours").reset_index()
    table = table.merge(counts, on=keys, how="left").merge(hours, on=keys, how="left")
    is_gap = table["check"] == GAP
    table["count"] = table["count"].astype("float64").fillna(0.0).where(~is_gap, table["hours"])
    return table[[*keys, "count"]]


def observation_gaps(changes: pd.DataFrame, runs: pd.DataFrame, plans_missed: pd.DataFrame) -> pd.DataFrame:
    """Return `project_id, observed_at, gap_hours`: for each unsettled plan, between each observation and the next.

    A plan is unsettled from the change that shows it so to the one that shows it settled or gone, both included.
    It is observed by whatever changes its status, and in between by each run that ended complete or partial
    and did not miss it; at the run's start, or for an import when its body was captured. A partial run whose
    list was cut short can't tell which plans it missed: it counts as an observation of all.
    """
    starts = dict(zip(runs["run_id"], _ms(runs["started_at"]), strict=True))
    whole = runs[runs["is_observing"]].sort_values("started_at", kind="stable")
    looks = {project: (_ms(rows["started_at"]), list(rows["run_id"])) for project, rows in whole.groupby("project_id")}
    missed = set(zip(plans_missed["run_id"], plans_missed["plan_id"], strict=True))
    projects: list[str] = []
    later_ms: list[int] = []
    gaps_ms: list[int] = []
    for project, plan, times, is_over in _unsettled_spans(changes, starts):
        at, run_ids = looks.get(project, ([], []))
        between = range(bisect_right(at, min(times)), bisect_left(at, max(times)) if is_over else len(at))
        ordered = sorted(times | {at[place] for place in between if (run_ids[place], plan) not in missed})
        projects += [project] * (len(ordered) - 1)
        later_ms += ordered[1:]
        gaps_ms += [later - earlier for earlier, later in pairwise(ordered)]
    return pd.DataFrame(
        {
            "project_id": pd.Series(projects, dtype="str"),
            "observed_at": pd.to_datetime(pd.Series(later_ms, dtype="int64"), unit="ms", utc=True),
            "gap_hours": pd.Series(gaps_ms, dtype="float64") / MS_AN_HOUR,
        }
    )


def _unsettled_spans(changes: pd.DataFrame, starts: Mapping[str, int]) -> Iterator[tuple[str, str, set[int], bool]]:
    """Yield project, plan, the times (ms) of the changes that an unsettled time holds, and whether it is over."""
    ordered = changes.sort_values(["project_id", "plan_id", "observed_at"], kind="stable")
    columns = (ordered[name] for name in ("project_id", "plan_id", "run_id", "is_unsettled"))
    rows = zip(*columns, _ms(ordered["observed_at"]), strict=True)
    for (project, plan), mine in groupby(rows, key=itemgetter(0, 1)):
        times: set[int] = set()
        for _, _, run_id, is_unsettled, observed_ms in mine:
            at = starts.get(run_id, observed_ms)
            if is_unsettled:
                times.add(at)
            elif times:
                yield project, plan, times | {at}, True
                times = set()
        if times:
            yield project, plan, times, False


def _ms(instants: "pd.Series[pd.Timestamp]") -> list[int]:
    return [int(ms) for ms in pd.DatetimeIndex(instants).as_unit("ms").asi8]


def without_nothing(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows that found nothing."""
    return table[table["count"].fillna(0.0) != 0].reset_index(drop=True)
