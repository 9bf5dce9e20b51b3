"""Batch timing: how long the first pass of a batch took, how long the next waited, and where it is going."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from reports.columns import Frames
from reports.groups import Selection, matching, summarise, with_coverage
from reports.passes import batch_passes
from reports.releases import BATCH, PLACE
from reports.spread import EVERYTHING, at_last, by_plan, grouped, names_of
from reports.statistics import theil_sen


@by_plan
def finished_passes(frames: Frames, selection: Selection) -> pd.DataFrame:
    """Return the first passes that count: of finished batches, which started in the window and pass the filter."""
    passes = batch_passes(frames.attempts, frames.components)
    return matching(passes[passes["is_finished"]], selection)


def batch_timing(frames: Frames, selection: Selection) -> pd.DataFrame:
    """Return batches, the quantiles, mean and maximum of their seconds, and the median gap a group.

    Over finished batches, each in the week it started in. Groups are any but component and version.
    """
    table = summarise(
        finished_passes(frames, selection),
        selection,
        counts={"batches": ("duration_seconds", "size")},
        measures={
            "p50_seconds": ("duration_seconds", 0.5),
            "p90_seconds": ("duration_seconds", 0.9),
            "p99_seconds": ("duration_seconds", 0.99),
            "mean_seconds": ("duration_seconds", "mean"),
            "max_seconds": ("duration_seconds", "max"),
            "gap_p50_seconds": ("gap_seconds", 0.5),
        },
    )
    return with_coverage(table, frames.nights, selection)


def batch_trend(frames: Frames, selection: Selection) -> pd.DataFrame:
    """Return `weeks, slope_seconds_per_week, ci_low, ci_high` a group: Theil-Sen on the weekly medians, 95 %.

    Groups are the selection's, week aside. `weeks` counts those with a median; under two there is no slope.
    Weeks are counted along the window, so a week without a batch still takes its place.
    """
    groups = tuple(key for key in selection.by if key != "week")
    across = replace(selection, by=groups)
    weekly = replace(selection, by=("week", *groups))
    passes = finished_passes(frames, selection)
    medians = summarise(passes, weekly, counts={}, measures={"p50_seconds": ("duration_seconds", 0.5)})
    table = summarise(passes, across, counts={"batches": ("duration_seconds", "size")})
    return _trends(medians, table, across)


@at_last
def _trends(medians: pd.DataFrame, table: pd.DataFrame, across: Selection) -> pd.DataFrame:
    medians = medians[medians["p50_seconds"].notna()]
    position = {week.label: index for index, week in enumerate(across.window.weeks)}
    columns = names_of(across.columns)
    trends = []
    for key, rows in medians.assign(**{EVERYTHING: 0}).groupby(columns, dropna=False, sort=False):
        slope, low, high = theil_sen([position[week] for week in rows["week"]], rows["p50_seconds"].to_list())
        trends.append((*key, len(rows), slope, low, high))
    names = [*columns, "weeks", "slope_seconds_per_week", "ci_low", "ci_high"]
    found = pd.DataFrame(trends, columns=names)
    if not across.columns:
        return found[names[1:]]
    found = found.astype({name: medians[name].dtype for name in across.columns})
    found = found.astype({"weeks": "int64", **dict.fromkeys(names[-3:], "float64")})
    return table[across.columns].merge(found, on=across.columns, how="left")


def slowest_components(frames: Frames, selection: Selection) -> pd.DataFrame:
    """Return the component that most often took longest in a finished batch, a row a group; meant for groups by batch.

    Columns: the groups, then `batches` (finished ones), `component_id, component, times_slowest` and `p50_seconds`, its
    median in those it was slowest in. A batch's time is that of its first pass, so it is the first attempts that are
    compared; of two that took as long both were slowest. Of components that were slowest as often, the one with the
    greater median is shown, then the first by project and id. Groups are any but component and version.
    """
    groups = names_of(selection.columns)
    keys = list(dict.fromkeys([*groups, "project_id", "component_id", "component"]))
    runs = grouped(
        _slowest_runs(frames, selection),
        keys,
        counts={"times_slowest": ("duration_seconds", "size")},
        measures={"p50_seconds": ("duration_seconds", "median")},
    )
    passes = finished_passes(frames, selection)
    table = summarise(passes, selection, counts={"batches": ("duration_seconds", "size")})
    return _slowest(table, runs, groups)


@by_plan
def _slowest_runs(frames: Frames, selection: Selection) -> pd.DataFrame:
    """Return the first attempts that took longest in their finished batch."""
    passes = finished_passes(frames, selection)
    first = frames.attempts.sort_values("attempt", kind="stable").drop_duplicates(PLACE)
    runs = passes.drop(columns=["duration_seconds", "started_at", "ended_at"]).merge(
        first[[*PLACE, "component", "duration_seconds"]], on=BATCH
    )
    longest = runs.groupby(BATCH, dropna=False)["duration_seconds"].transform("max")
    return runs[runs["duration_seconds"] == longest].assign(**{EVERYTHING: 0})


@at_last
def _slowest(table: pd.DataFrame, runs: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    ranked = runs.sort_values(
        ["times_slowest", "p50_seconds", "project_id", "component_id"],
        ascending=[False, False, True, True],
        kind="stable",
    ).drop_duplicates(groups)
    found = ranked[[*groups, "component_id", "component", "times_slowest", "p50_seconds"]]
    table = table.assign(**{EVERYTHING: 0}).merge(found, on=groups, how="left").drop(columns=EVERYTHING)
    table["times_slowest"] = table["times_slowest"].fillna(0).astype("int64")
    return table
