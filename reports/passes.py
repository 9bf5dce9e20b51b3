"""Attempts and places put together: the first pass of each batch."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.columns import LABELS
from reports.keeping import kept
from reports.numbering import Integers, numbered, plan_numbers, where_found
from reports.releases import BATCH, PLACE, attempt_order, seconds_between

if TYPE_CHECKING:
    from pandas.core.groupby.generic import SeriesGroupBy

_OVER = ("succeeded", "failed", "aborted")


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
    places = places if places["is_there"].all() else places[places["is_there"]]
    is_over = places["outcome"].isin(_OVER) & places["duration_seconds"].notna() & places["ended_at"].notna()
    codes = {label: places[label].cat.codes for label in LABELS}
    told = places[["started_at", "ended_at"]].assign(is_over=is_over, failed=places["outcome"] == "failed", **codes)
    grouped = told.groupby(places["in_batch"])
    passes = places[[*BATCH, "in_batch"]].drop_duplicates("in_batch").set_index("in_batch").sort_index()
    passes = passes.assign(
        components=grouped.size(),
        failed=grouped["failed"].sum(),
        is_finished=grouped["is_over"].all(),
        started_at=grouped["started_at"].min(),
        ended_at=grouped["ended_at"].max(),
        **{label: _shared(grouped[label], places[label].cat.categories) for label in LABELS},
    ).reset_index(drop=True)
    passes["duration_seconds"] = seconds_between(passes["started_at"], passes["ended_at"])
    plan = plan_numbers(passes)
    # Batches come plan by plan, a missing one last.
    is_same = np.diff(plan, prepend=-1) == 0
    has_lower = is_same & passes["is_finished"].shift(fill_value=False) & passes["batch"].notna()
    passes["gap_seconds"] = seconds_between(passes["ended_at"].shift(), passes["started_at"]).where(has_lower)
    # A plan without an attempt tells neither.
    row = attempt_order(attempts)["row"].to_numpy()
    row = np.append(row, -1)[where_found(plan, plan_numbers(attempts)[row])]
    told_of_plan = {name: attempts[name].array.take(row, allow_fill=True) for name in ("creator", "action")}
    return passes.assign(**told_of_plan)


def _shared(codes: "SeriesGroupBy[Any, Any]", labels: "pd.Index[str]") -> "pd.Series[str]":
    """Return for each batch the label that all of its places have; missing where there is no such one."""
    lowest = codes.min()
    # A missing label has the code -1, and is no label that is shared.
    shared = lowest.where(lowest == codes.max(), -1)
    return pd.Series(pd.Categorical.from_codes(shared, labels), index=shared.index)


def batch_places(attempts: pd.DataFrame, components: pd.DataFrame) -> pd.DataFrame:
    """Return every component's place with its first attempt, the number of its batch, from 0, as `in_batch`.

    And `is_there`: if it was at its batch's start.
    """
    own, theirs = numbered(attempts, components)
    order = attempt_order(attempts)
    first = order["row"].to_numpy()[order["is_first"]]
    # The places with an attempt, then those without; of each the row that it has among the components, if it has one.
    release = where_found(theirs.place, own.place[first])
    untried = np.flatnonzero(release < 0)
    row = np.full(len(first) + len(untried), -1)
    row[len(first) :] = untried
    row[release[release >= 0]] = np.flatnonzero(release >= 0)
    places = attempts[[*PLACE, "attempt", "outcome", "started_at", "ended_at", "duration_seconds", *LABELS]].iloc[first]
    if len(untried):
        places = pd.concat([places, components[PLACE].iloc[untried]])
    in_batch, batches = pd.factorize(np.concatenate([own.batch[first], theirs.batch[untried]]), sort=True)
    started_at = places["started_at"].groupby(in_batch).min().array
    sights = pd.concat([_sights(own.plan, attempts), _sights(theirs.plan, components)])
    looks = _first_looks(batches // own.batches, started_at, sights)
    first_seen_at, gone_at = (
        components[name].array.take(row, allow_fill=True) for name in ("first_seen_at", "gone_at")
    )
    is_gone = ~gone_at.isna() & ~(gone_at > started_at.take(in_batch))
    is_later = first_seen_at > looks.take(in_batch)
    return places.reset_index(drop=True).assign(in_batch=in_batch, is_there=~is_gone & ~is_later)


def _sights(plan: Integers, rows: pd.DataFrame) -> pd.DataFrame:
    """Return of which `plan` something was first seen when, `seen_at`; of equal rows in a row one is enough."""
    seen_at = rows["first_seen_at"].array
    is_new = np.ones(len(rows), dtype="bool")
    is_new[1:] = (plan[1:] != plan[:-1]) | np.asarray(seen_at[1:] != seen_at[:-1])
    return pd.DataFrame({"plan": plan[is_new], "seen_at": seen_at[is_new]})


def _first_looks(plans: Integers, since: Any, sights: pd.DataFrame) -> Any:
    """Return for each plan and instant when the plan was first seen since; missing if it was not, or for no instant."""
    moment, instants = pd.factorize(sights["seen_at"], sort=True)
    count = max(len(instants), 1)
    # A plan and a moment as one number: those seen, in order.
    seen = np.sort(pd.unique(sights["plan"].to_numpy() * count + moment))
    found = np.append(seen, -1)[np.searchsorted(seen, plans * count + instants.searchsorted(since))]
    is_seen = (found // count == plans) & ~since.isna()
    return instants.array.take(np.where(is_seen, found % count, -1), allow_fill=True)
