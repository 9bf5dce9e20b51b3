"""Attempts and rollbacks put together: component releases."""

import numpy as np
import pandas as pd

from reports.columns import LABELS
from reports.keeping import kept
from reports.numbering import Integers, Numbers, numbered, where_found

PLACE = ["project_id", "plan_id", "component_id", "batch"]
BATCH = ["project_id", "plan_id", "batch"]
PLAN = ["project_id", "plan_id"]


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


def ranked_attempts(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return the attempts place by place and by rank; each with the number of its `release`, from 0 in this order.

    Adds `is_first` and `is_last`, of its place, and `is_start_inferred`.
    """
    order = attempt_order(attempts)
    ranked = with_inferred_starts(attempts).iloc[order["row"]]
    return ranked.assign(**{name: order[name].to_numpy() for name in ("release", "is_first", "is_last")})


@kept
def attempt_order(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return place by place and by rank which `row` of the attempts comes, and what `ranked_attempts` adds to it."""
    (numbers,) = numbered(attempts)
    row = np.lexsort((attempts["attempt"].to_numpy(), numbers.place))
    is_other = np.diff(numbers.place[row]) != 0
    edge = np.ones(min(len(row), 1), dtype="bool")
    is_first = np.concatenate([edge, is_other])
    release = np.cumsum(is_first) - 1
    return pd.DataFrame(
        {"row": row, "release": release, "is_first": is_first, "is_last": np.concatenate([is_other, edge])}, copy=False
    )


@kept
def _releases(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return the component releases without their rollbacks; releases are numbered, so the number is the index."""
    order = attempt_order(attempts)
    row, release = order["row"].to_numpy(), order["release"].to_numpy()
    first, last = row[order["is_first"]], row[order["is_last"]]
    starts = with_inferred_starts(attempts)
    begun = _first_begun(row, release, starts["started_at"], len(first))
    releases = attempts[[*PLACE, "component", "creator", "action", *LABELS]].iloc[first].reset_index(drop=True)
    return releases.assign(
        started_at=starts["started_at"].array.take(begun, allow_fill=True),
        is_start_inferred=np.append(starts["is_start_inferred"], False)[begun],
        **{name: attempts[name].array.take(last) for name in ("ended_at", "version", "outcome")},
        attempts=np.bincount(release, minlength=len(first)),
    )


def _first_begun(row: Integers, release: Integers, started_at: "pd.Series[pd.Timestamp]", releases: int) -> Integers:
    """Return for each release which row is its first attempt with a start; -1 without one."""
    is_begun = started_at.notna().to_numpy()[row]
    begun = np.full(releases, -1)
    # Of several rows for one release the last is kept: so they are written backwards.
    begun[release[is_begun][::-1]] = row[is_begun][::-1]
    return begun


@kept
def _rollbacks_of(attempts: pd.DataFrame, rollbacks: pd.DataFrame) -> pd.DataFrame:
    """Add to each rollback its `release` and `undone_ended_at`, the end of the attempt it rolled back.

    A rollback belongs to the release that holds its job, the attempt it rolled back, wherever the component
    moved since. Without one it belongs to the release of its place; without that too, to the component's
    latest release in the plan. It is left out only if the component has no release there at all.
    """
    own, theirs = numbered(attempts, rollbacks)
    order = attempt_order(attempts)
    first = order["row"].to_numpy()[order["is_first"]]
    held = rollbacks.assign(release=where_found(theirs.place, own.place[first]), in_plan=theirs.component)
    held = held.merge(_jobs(attempts, order, own, theirs), on=["in_plan", "job_id"], how="left")
    held["release"] = held["job_release"].fillna(held["release"].where(held["release"] >= 0))
    held["release"] = held["release"].fillna(_latest_releases(attempts, own.component[first], held))
    held = held.drop(columns=["in_plan", "job_release"])
    held = held[held["release"].notna()].astype({"release": "int64"}).reset_index(drop=True)
    held["undone_ended_at"] = held["undone_ended_at"].fillna(_undone_ended_at(attempts, held))
    return held


def _jobs(attempts: pd.DataFrame, order: pd.DataFrame, own: Numbers, rolled_back: Numbers) -> pd.DataFrame:
    """Return the jobs that may have been rolled back, each in the last place and rank that it has."""
    may_be = attempts["job_id"].notna().to_numpy() & np.isin(own.plan, rolled_back.plan)
    order = order[may_be[order["row"]]]
    row = order["row"].to_numpy()
    jobs = pd.DataFrame(
        {
            "in_plan": own.component[row],
            "job_id": attempts["job_id"].array.take(row),
            "job_release": order["release"].to_numpy(),
            "undone_ended_at": attempts["ended_at"].array.take(row),
        }
    )
    return jobs.drop_duplicates(["in_plan", "job_id"], keep="last")


def _undone_ended_at(attempts: pd.DataFrame, held: pd.DataFrame) -> "pd.Series[pd.Timestamp]":
    """Return the end of the latest attempt that had started before it, for each rollback without a job of its own."""
    jobless = held.loc[held["job_id"].isna(), ["release", "started_at"]].reset_index()
    order = attempt_order(attempts)
    order = order[order["release"].isin(jobless["release"])]
    ranked = with_inferred_starts(attempts.iloc[order["row"]])[["attempt", "started_at", "ended_at"]]
    ranked = ranked.assign(release=order["release"].to_numpy())
    pairs = jobless.merge(ranked, on="release", suffixes=("_rollback", ""))
    pairs = pairs[pairs["started_at"] < pairs["started_at_rollback"]].sort_values(["index", "started_at", "attempt"])
    return pairs.drop_duplicates("index", keep="last").set_index("index")["ended_at"].reindex(held.index)


def _latest_releases(attempts: pd.DataFrame, in_plan: Integers, held: pd.DataFrame) -> "pd.Series[int]":
    """Return by a rollback's index its component's latest release in the plan that started before it.

    Of the rollbacks that have no release. `in_plan` is each release's component.
    The latest at all, if none did or the rollback has no start. A release without a start is the earliest;
    of two that started together the one in the higher batch is the later, and no batch is higher than any.
    """
    rollbacks = held.loc[held["release"].isna(), ["in_plan", "started_at"]].reset_index()
    candidates = _releases(attempts)[["started_at"]].assign(in_plan=in_plan).rename_axis("release")
    candidates = candidates[candidates["in_plan"].isin(rollbacks["in_plan"])].reset_index()
    pairs = rollbacks.merge(candidates, on="in_plan", suffixes=("_rollback", ""))
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
