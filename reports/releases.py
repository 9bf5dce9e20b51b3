"""Attempts and rollbacks put together: component releases, and the first pass of each batch."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.columns import LABELS
from reports.keeping import kept

if TYPE_CHECKING:
    from pandas.core.groupby.generic import SeriesGroupBy

PLACE = ["project_id", "plan_id", "component_id", "batch"]
BATCH = ["project_id", "plan_id", "batch"]
PLAN = ["project_id", "plan_id"]
_OVER = ("succeeded", "failed", "aborted")


def with_inferred_starts(attempts: pd.DataFrame) -> pd.DataFrame:
    """Give a failed attempt without a start its plan's `executed_at`, else its `first_seen_at`.

    Adds `is_start_inferred`. An attempt of another outcome without a start keeps none: it belongs to no
    week, and so to no window.
    """
    is_inferred = attempts["started_at"].isna() & (attempts["outcome"] == "failed")
    inferred = attempts["executed_at"].fillna(attempts["first_seen_at"])
    return attempts.assign(
        started_at=attempts["started_at"].where(~is_inferred, inferred), is_start_inferred=is_inferred
    )


def component_releases(
    attempts: pd.DataFrame, rollbacks: pd.DataFrame, *, within_days: int | None = None
) -> pd.DataFrame:
    """Return one row per (project, plan, component, batch) with an attempt.

    It starts with its first attempt (the lowest rank) that has a start, real or inferred; outcome, end and
    version are its last attempt's.
    Adds `attempts, rolled_back` (0 or 1), `rollbacks, rollbacks_failed, recovery_seconds`.
    `within_days` keeps only the rollbacks that began no later than so many days after the release ended;
    one whose start, or whose release's end, is unknown is then left out.
    """
    return releases_and_rollbacks(attempts, rollbacks, within_days=within_days)[0]


@kept
def releases_and_rollbacks(
    attempts: pd.DataFrame, rollbacks: pd.DataFrame, *, within_days: int | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the component releases, and the rollbacks that count, each with the index of its `release`.

    A release's rollbacks come in the order of their starts; one without a start takes its place by its end.
    """
    releases = _releases(attempts)
    held = _rollbacks_of(attempts, rollbacks)
    if within_days is not None:
        latest = releases.loc[held["release"], "ended_at"].set_axis(held.index) + pd.Timedelta(days=within_days)
        held = held[held["started_at"] <= latest]
    held = _in_order(held)
    count = held.groupby("release").size().reindex(releases.index, fill_value=0)
    failed = (held["outcome"] == "failed").groupby(held["release"]).sum()
    counted = releases.assign(
        rolled_back=(count > 0).astype("int64"),
        rollbacks=count,
        rollbacks_failed=failed.reindex(releases.index, fill_value=0),
        recovery_seconds=_recovery_seconds(held).reindex(releases.index),
    )
    return counted, held


@kept
def ranked_attempts(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return the attempts place by place and by rank; each with the number of its `release`, from 0 in this order.

    Adds `is_first` and `is_last`, of its place, and `is_start_inferred`.
    """
    attempts = with_inferred_starts(attempts)
    release = attempts.groupby(PLACE, dropna=False).ngroup().to_numpy()
    order = np.lexsort((attempts["attempt"].to_numpy(), release))
    ranked = attempts.iloc[order].assign(release=release[order])
    is_other = np.diff(release[order]) != 0
    edge = np.ones(min(len(ranked), 1), dtype="bool")
    return ranked.assign(is_first=np.concatenate([edge, is_other]), is_last=np.concatenate([is_other, edge]))


@kept
def _releases(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return the component releases without their rollbacks; releases are numbered, so the number is the index."""
    ranked = ranked_attempts(attempts)
    begun = ranked.loc[ranked["started_at"].notna(), ["release", "started_at", "is_start_inferred"]]
    begun = begun[begun["release"] != begun["release"].shift()].set_index("release")
    last = ranked.loc[ranked["is_last"], ["ended_at", "version", "outcome"]].reset_index(drop=True)
    first = ranked.loc[ranked["is_first"], [*PLACE, "component", "creator", "action", *LABELS]].reset_index(drop=True)
    return first.assign(
        started_at=begun["started_at"],
        is_start_inferred=begun["is_start_inferred"].reindex(first.index, fill_value=False),
        ended_at=last["ended_at"],
        version=last["version"],
        outcome=last["outcome"],
        attempts=np.bincount(ranked["release"], minlength=len(first)),
    )


@kept
def _rollbacks_of(attempts: pd.DataFrame, rollbacks: pd.DataFrame) -> pd.DataFrame:
    """Add to each rollback its `release` and `undone_ended_at`, the end of the attempt it rolled back.

    A rollback belongs to the release that holds its job, the attempt it rolled back, wherever the component
    moved since. Without one it belongs to the release of its place; without that too, to the component's
    latest release in the plan. It is left out only if the component has no release there at all.
    """
    # Most plans have none: those that do are all that is looked at.
    ranked, releases = (
        rows[rows["plan_id"].isin(rollbacks["plan_id"].unique())]
        for rows in (ranked_attempts(attempts), _releases(attempts))
    )
    places = releases[PLACE].rename_axis("release").reset_index()
    jobs = ranked.loc[ranked["job_id"].notna(), [*PLAN, "component_id", "job_id", "release", "ended_at"]]
    jobs = jobs.drop_duplicates([*PLAN, "component_id", "job_id"], keep="last")
    jobs = jobs.rename(columns={"release": "job_release", "ended_at": "undone_ended_at"})
    held = rollbacks.merge(places, on=PLACE, how="left").merge(jobs, on=[*PLAN, "component_id", "job_id"], how="left")
    held["release"] = held["job_release"].fillna(held["release"])
    held["release"] = held["release"].fillna(_latest_releases(releases, held[held["release"].isna()]))
    held = held[held["release"].notna()].astype({"release": "int64"}).reset_index(drop=True)
    # Without a job of its own, a rollback undid the latest attempt that had started before it.
    jobless = held.loc[held["job_id"].isna(), ["release", "started_at"]].reset_index()
    pairs = jobless.merge(
        ranked[["release", "attempt", "started_at", "ended_at"]], on="release", suffixes=("_rollback", "")
    )
    pairs = pairs[pairs["started_at"] < pairs["started_at_rollback"]].sort_values(["index", "started_at", "attempt"])
    undone = pairs.drop_duplicates("index", keep="last").set_index("index")["ended_at"]
    held["undone_ended_at"] = held["undone_ended_at"].fillna(undone.reindex(held.index))
    return held


def _latest_releases(releases: pd.DataFrame, rollbacks: pd.DataFrame) -> "pd.Series[int]":
    """Return by a rollback's index its component's latest release in the plan that started before it.

    The latest at all, if none did or the rollback has no start. A release without a start is the earliest;
    of two that started together the one in the higher batch is the later, and no batch is higher than any.
    """
    component = [*PLAN, "component_id"]
    candidates = releases[[*component, "started_at"]].rename_axis("release").reset_index()
    pairs = (
        rollbacks[[*component, "started_at"]].reset_index().merge(candidates, on=component, suffixes=("_rollback", ""))
    )
    pairs["is_before"] = pairs["started_at"] < pairs["started_at_rollback"]
    # Releases are numbered in the order of their places.
    pairs = pairs.sort_values(["index", "is_before", "started_at", "release"], na_position="first")
    return pairs.drop_duplicates("index", keep="last").set_index("index")["release"]


def _in_order(held: pd.DataFrame) -> pd.DataFrame:
    """Sort each release's rollbacks by start; one without a start takes its place by its end."""
    known = held.assign(known_at=held["started_at"].fillna(held["ended_at"]))
    order = ["release", "known_at", "first_seen_at", "rollback_job_id"]
    return known.sort_values(order, na_position="last", kind="stable").drop(columns="known_at")


def _recovery_seconds(held: pd.DataFrame) -> "pd.Series[float]":
    """Return per release: from the end of the attempt undone to the end of the first successful rollback."""
    first = held[held["outcome"] == "succeeded"].drop_duplicates("release").set_index("release")
    seconds = seconds_between(first["undone_ended_at"], first["ended_at"])
    return seconds.where(seconds >= 0)


def seconds_between(start: "pd.Series[pd.Timestamp]", end: "pd.Series[pd.Timestamp]") -> "pd.Series[float]":
    """Subtract instants in whole milliseconds; NaN where either is missing."""
    return (end - start) / pd.Timedelta(milliseconds=1) / 1000


def first_attempts(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return the first attempt of each place, as it came."""
    ranked = ranked_attempts(attempts)
    return attempts.loc[ranked.index[ranked["is_first"]]]


@kept
def batch_passes(attempts: pd.DataFrame, components: pd.DataFrame) -> pd.DataFrame:
    """Return one row per plan and batch that had components: its first pass.

    Columns: project_id, plan_id, batch, components, failed, started_at, ended_at, duration_seconds,
    is_finished, gap_seconds, the plan's creator and action, and the labels that all of its components' first
    attempts share: a batch of several teams is no team's.

    A batch starts with the earliest start of its components' first attempts. A component was there at that
    start unless it was gone by then, or was still missing from the first body of the plan seen after it: a
    nightly reader sees most components only after their batch ran, and so takes the first look as the truth.
    A body shows the whole plan, so whatever was first seen in any of its batches tells of a look at this one.
    It is finished once each of them has a first attempt that is over (succeeded, failed or aborted) with
    possible times. The gap runs from the end of the nearest lower batch; NaN if that one isn't finished.
    """
    places = batch_places(attempts, components)
    outcome, ended_at = places["outcome"], places["ended_at"]
    is_over = outcome.isin(_OVER) & places["duration_seconds"].notna() & ended_at.notna()
    codes = {label: places[label].cat.codes for label in LABELS}
    there = places.assign(is_over=is_over, failed=outcome == "failed", **codes)[places["is_there"]]
    grouped = there.groupby(BATCH, dropna=False)
    passes = pd.DataFrame(
        {
            "components": grouped.size(),
            "failed": grouped["failed"].sum(),
            "is_finished": grouped["is_over"].all(),
            "started_at": grouped["started_at"].min(),
            "ended_at": grouped["ended_at"].max(),
            **{label: _shared(grouped[label], places[label].cat.categories) for label in LABELS},
        }
    ).reset_index()
    passes = passes.sort_values(BATCH, na_position="last", ignore_index=True)
    passes["duration_seconds"] = seconds_between(passes["started_at"], passes["ended_at"])
    lower = passes.groupby(PLAN)[["ended_at", "is_finished"]].shift(1)
    has_lower = lower["is_finished"].fillna(value=False).astype(bool) & passes["batch"].notna()
    passes["gap_seconds"] = seconds_between(lower["ended_at"], passes["started_at"]).where(has_lower)
    return passes.merge(attempts[[*PLAN, "creator", "action"]].drop_duplicates(PLAN), on=PLAN, how="left")


def _shared(codes: "SeriesGroupBy[Any, Any]", labels: "pd.Index[str]") -> "pd.Series[str]":
    """Return for each batch the label that all of its places have; missing where there is no such one."""
    lowest = codes.min()
    # A missing label has the code -1, and is no label that is shared.
    shared = lowest.where(lowest == codes.max(), -1)
    return pd.Series(pd.Categorical.from_codes(shared, labels), index=shared.index)


def batch_places(attempts: pd.DataFrame, components: pd.DataFrame) -> pd.DataFrame:
    """Return every component's place with its first attempt, and `is_there`: if it was at its batch's start."""
    first = first_attempts(attempts)[
        [*PLACE, "attempt", "outcome", "started_at", "ended_at", "duration_seconds", *LABELS]
    ]
    places = components[[*PLACE, "first_seen_at", "gone_at"]].merge(first, on=PLACE, how="outer")
    by_batch = places.groupby(BATCH, dropna=False)["started_at"]
    places["batch_started_at"] = by_batch.transform("min")
    starts = by_batch.min().rename("batch_started_at").reset_index()
    sightings = pd.concat([attempts[[*PLAN, "first_seen_at"]], components[[*PLAN, "first_seen_at"]]])
    sightings = sightings.drop_duplicates().merge(starts, on=PLAN)
    sightings = sightings[sightings["first_seen_at"] >= sightings["batch_started_at"]]
    looks = sightings.groupby(BATCH, dropna=False)["first_seen_at"].min().rename("first_look_at").reset_index()
    places = places.merge(looks, on=BATCH, how="left")
    is_gone = places["gone_at"].notna() & ~(places["gone_at"] > places["batch_started_at"])
    is_later = places["first_seen_at"] > places["first_look_at"]
    return places.assign(is_there=~is_gone & ~is_later)
