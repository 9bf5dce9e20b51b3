"""Batch survival: in which batch of its plan a failure surfaces first, and how much had shipped by then."""

import pandas as pd

from reports.columns import Frames
from reports.groups import ratio
from reports.releases import PLACE, PLAN, with_inferred_starts
from reports.spread import at_last, by_plan, grouped
from reports.statistics import wilson
from reports.window import Window


def batch_survival(frames: Frames, window: Window) -> pd.DataFrame:
    """Return a row per rank of batch (1 is a plan's lowest) over the plans that started in the window.

    A plan reached a batch if an attempt started in it. Its first failure is the failed attempt that ended first (by
    its start where the end is unknown; the lower batch of two that tie); the plan is at risk in the batches it
    reached up to the one where that surfaced. Attempts without a batch have no rank, and are left out.

    Columns: `batch_rank, reached, at_risk, surfaced, surfaced_rate, ci_low, ci_high, survival_rate,
    shipped_before_p50_rate, shipped_before_mean_rate, shipped_beside_mean_rate, started_mean_rate`. `surfaced_rate` is
    surfaced / at_risk with Wilson's interval, `survival_rate` the share that passes this batch and all before it
    without a failure (Kaplan-Meier). The last four are over the plans that failed first here, as shares of all the
    plan's components' places: what had succeeded by then in lower batches, in this batch, and what had started at all.

    >>> from datetime import date
    >>> from zoneinfo import ZoneInfo
    >>> batch_survival(Frames(), Window.of_weeks(date(2026, 11, 16), 1, ZoneInfo("UTC"))).empty
    True
    """
    table = grouped(
        batches_reached(frames, window),
        ["batch_rank"],
        counts={"reached": ("at_risk", "size"), "at_risk": ("at_risk", "sum"), "surfaced": ("surfaced", "sum")},
        measures={},
    )
    shares = grouped(
        _shipped(frames, window),
        ["batch_rank"],
        counts={},
        measures={
            "shipped_before_p50_rate": ("before", "median"),
            "shipped_before_mean_rate": ("before", "mean"),
            "shipped_beside_mean_rate": ("beside", "mean"),
            "started_mean_rate": ("started", "mean"),
        },
    )
    return _survival(table, shares)


@at_last
def _survival(table: pd.DataFrame, shares: pd.DataFrame) -> pd.DataFrame:
    table = table.sort_values("batch_rank", ignore_index=True)
    intervals = [wilson(int(hits), int(total)) for hits, total in zip(table["surfaced"], table["at_risk"], strict=True)]
    table["surfaced_rate"] = ratio(table["surfaced"], table["at_risk"]).astype("float64")
    table["ci_low"] = [low for low, _ in intervals]
    table["ci_high"] = [high for _, high in intervals]
    table["survival_rate"] = (1 - table["surfaced_rate"].fillna(0.0)).cumprod()
    table = table.merge(shares, on="batch_rank", how="left")
    counts = dict.fromkeys(["batch_rank", "reached", "at_risk", "surfaced"], "int64")
    rates = {name: "float64" for name in table.columns if name not in counts}
    return table.astype(counts | rates)


@by_plan
def batches_reached(frames: Frames, window: Window) -> pd.DataFrame:
    """Return the batches that are counted: of each plan those it reached, with `batch_rank, at_risk, surfaced`."""
    attempts = _ranked(frames, window)
    return _reached(attempts, _first_failures(attempts))


def _reached(attempts: pd.DataFrame, first: pd.DataFrame) -> pd.DataFrame:
    started = attempts[attempts["started_at"].notna()].drop_duplicates([*PLAN, "batch_rank"])
    reached = started[[*PLAN, "batch", "batch_rank"]].merge(first, on=PLAN, how="left")
    reached["at_risk"] = ~(reached["failed_rank"] < reached["batch_rank"])
    reached["surfaced"] = reached["failed_rank"] == reached["batch_rank"]
    return reached


def _ranked(frames: Frames, window: Window) -> pd.DataFrame:
    """Return the attempts of the plans that started in the window, with the rank of their batch among the plan's."""
    attempts = with_inferred_starts(frames.attempts)
    attempts = attempts[attempts["batch"].notna()]
    begun_at = attempts.groupby(PLAN)["started_at"].transform("min")
    attempts = attempts[window.week_of(begun_at).notna()]
    batches = pd.concat([attempts[[*PLAN, "batch"]], frames.components[[*PLAN, "batch"]].dropna()]).drop_duplicates()
    batches = batches.assign(batch_rank=batches.groupby(PLAN)["batch"].rank(method="dense").astype("int64"))
    return attempts.merge(batches, on=[*PLAN, "batch"], how="left")


def _first_failures(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return per plan that failed: where its first failure surfaced (`failed_rank`), and when (`failed_at`)."""
    failed = attempts[attempts["outcome"] == "failed"]
    failed = failed.assign(failed_at=failed["ended_at"].fillna(failed["started_at"]))
    first = failed.sort_values([*PLAN, "failed_at", "batch_rank"], na_position="last", kind="stable").drop_duplicates(
        PLAN
    )
    return first[[*PLAN, "batch_rank", "failed_at"]].rename(columns={"batch_rank": "failed_rank"})


@by_plan
def _shipped(frames: Frames, window: Window) -> pd.DataFrame:
    """Return per plan that failed the shares of its places that had shipped, and started, at its first failure.

    `batch_rank` is that of the batch where that surfaced.
    """
    attempts, components = _ranked(frames, window), frames.components
    first = _first_failures(attempts)
    known = pd.concat([attempts[PLACE], components.loc[components["batch"].notna(), PLACE]]).drop_duplicates()
    places = known.merge(first, on=PLAN).groupby(PLAN).size()
    tried = attempts.merge(first, on=PLAN)
    tried = tried.assign(
        shipped=(tried["outcome"] == "succeeded") & (tried["ended_at"] <= tried["failed_at"]),
        started=tried["started_at"] <= tried["failed_at"],
    )
    by_place = tried.groupby([*PLACE, "batch_rank", "failed_rank"])[["shipped", "started"]].any().reset_index()
    by_place = by_place.assign(
        before=by_place["shipped"] & (by_place["batch_rank"] < by_place["failed_rank"]),
        beside=by_place["shipped"] & (by_place["batch_rank"] == by_place["failed_rank"]),
    )
    sums = by_place.groupby([*PLAN, "failed_rank"])[["before", "beside", "started"]].sum().reset_index("failed_rank")
    shares = {name: sums[name] / places.reindex(sums.index) for name in ("before", "beside", "started")}
    return sums.assign(**shares).rename(columns={"failed_rank": "batch_rank"})
