"""What stands behind a report's figures: every component release of its weeks, and the counts in which it stands."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pandas as pd

from reports.batch_timing import finished_passes
from reports.columns import Frames, spelt
from reports.delivery import is_change_failure, is_rework
from reports.flaky import places_tried_again
from reports.groups import Selection, matching, outcome_flags
from reports.recovery import failed_changes, good_starts, with_states
from reports.releases import BATCH, PLACE, PLAN, component_releases, ranked_attempts, releases_and_rollbacks
from reports.spread import Aside, at_last, by_plan, put_aside, together
from reports.survival import batches_reached
from reports.verdict import AGE_DAYS
from reports.window import Window

# Each count in which a release can stand, with the words for it. A release's `counts` has the bit of its place here.
COUNTS: Mapping[str, str] = {
    "failed": "failed in the end",
    "rolled-back": "rolled back",
    "rollback-failed": "a rollback failed",
    "change-failure": "failed or rolled back",
    "change-failure-7": f"failed, or rolled back within {AGE_DAYS} days",
    "rolled-back-7": f"rolled back within {AGE_DAYS} days",
    "finished": "finished",
    "open": "not finished",
    "retried": "tried again",
    "recovery-known": "recovered by rollback in a known time",
    "recovered": "failed or rolled back, and recovered",
    "open-rollback": "rolled back, and still open",
    "open-failure": "failed, and still open",
    "tried": "with an attempt",
    "reworked": "with an attempt after the first",
    "tried-finished": "with a finished attempt",
    "tried-failed": "with a failed attempt",
    "tried-unfinished": "with an unfinished attempt",
    "tried-aborted": "with an aborted attempt",
    "tried-unknown": "with an attempt of unknown outcome",
    "timed": "in a batch that is timed",
    "at-risk": "in a batch reached without a failure before",
    "surfaced": "in the batch where its plan failed first",
    "flaky": "failed, then succeeded unchanged",
    "rerun": "tried again unchanged after a failure",
    "inferred": "of a start that is inferred",
    "compared": "finished, and compared with weeks before",
    "compared-failed": "failed, and compared with weeks before",
}


_BIT = {name: 2**place for place, name in enumerate(COUNTS)}

# As many as are looked at together, to be packed into a page, which has room for fewer, or brought home from a cluster.
ROWS_BEHIND = 250_000


def weeks_behind(releases: Sequence[int]) -> int:
    """Say of how many weeks, in which so many releases began, these are few enough: the last, and before while few."""
    totals = accumulate(reversed(releases))
    return max(1, sum(total <= ROWS_BEHIND for total in totals))


def weeks_told(releases: pd.DataFrame) -> list[str]:
    """Name the weeks in which releases began or stand in a count, which are those of which there can be a list."""
    also = {told.split("=")[0] for one in releases["also"].unique() for told in one.split()}
    return sorted((also | set(releases["week"])) - {""})


def releases_behind(
    frames: Frames,
    failures: pd.DataFrame,
    window: Window,
    *,
    weeks: Collection[str] | None = None,
    failed_weeks: int = 1,
) -> pd.DataFrame:
    """Return the component releases that started in the window, or in some `weeks` of it, in the order of their starts.

    Beside a release's own columns: `week`; `counts`, a bit for each of COUNTS; `batch_rank`, of its batch in its plan;
    `template_ids`, parted by spaces: of the failures in the window's last `failed_weeks` that belong to it, whenever it
    started; `also`, parted by spaces: the other weeks of the window in whose counts it stands, each with the bits of
    these (`2026-W47=4096`), as one that was tried again in the week after its start.

    Those of other weeks come along if they stand in a count of the window; one that began outside it has the week ''.
    """
    found = together(_flagged(frames, failures, window, _labels(window, weeks), failed_weeks))
    return _with_recoveries(_in_order(found), good_starts(frames))


def releases_by_week(
    frames: Frames, failures: pd.DataFrame, window: Window, *, weeks: Collection[str] | None = None
) -> "Behind":
    """Return the same, which may be more than fit into memory, to be asked for by the week."""
    found = put_aside(_put_apart(_flagged(frames, failures, window, _labels(window, weeks), 1)), _APART)
    return _by_its_weeks(found, good_starts(frames))


@dataclass(frozen=True)
class Behind:
    """The releases behind a report by the week in which they began, and when one of each component was last good.

    Under '' stand those that any week may ask for: they began outside of all, or stand in counts of other weeks.
    """

    found: Aside
    good: pd.DataFrame

    def of(self, weeks: Collection[str]) -> pd.DataFrame:
        """Return those that began in some weeks, and those that any week may ask for, as `releases_behind` does."""
        return _with_recoveries(_in_order(self.found.of(["", *weeks])), self.good)


_APART = "apart"


def _labels(window: Window, weeks: Collection[str] | None) -> list[str]:
    return [week.label for week in window.weeks] if weeks is None else list(weeks)


@by_plan
def _put_apart(behind: pd.DataFrame) -> pd.DataFrame:
    return behind.assign(**{_APART: behind["week"].where(behind["also"] == "", "")})


@at_last
def _by_its_weeks(found: Aside, good: pd.DataFrame) -> Behind:
    return Behind(found, good)


@by_plan
def _flagged(
    frames: Frames, failures: pd.DataFrame, window: Window, weeks: Sequence[str], failed_weeks: int
) -> pd.DataFrame:
    """Return the releases with the counts that can be told plan by plan."""
    every, held = releases_and_rollbacks(frames.attempts, frames.rollbacks)
    week = window.week_of(every["started_at"])
    # Cut by its weeks only now: both kinds of rollback, and what followed, are told by the same index.
    young = component_releases(frames.attempts, frames.rollbacks, within_days=AGE_DAYS)["rolled_back"] == 1
    ranks = _ranks(frames, window, every)
    told = _outcomes(every, young) | {name: ranks[column] for name, column in _OF_RANKS.items()}
    again = every[PLACE].merge(places_tried_again(frames.attempts), on=PLACE, how="left")
    told["flaky"] = again["is_flaky"].eq(other=True) & told["finished"]
    told["inferred"] = every["is_start_inferred"]
    told["rerun"] = again["reruns"].notna()
    of_weeks = pd.concat([_tried(frames, window), _timed(frames, window, every), _compared(every, week)])
    own, also = _by_week(of_weeks, week)
    behind = every.assign(
        week=week.astype("str").fillna(""),
        counts=_bits(told, every) + own,
        also=also,
        batch_rank=ranks["batch_rank"],
        template_ids=_template_ids(failures, window.last(failed_weeks), every, held),
        is_undone=failed_changes(frames)["is_undone"].reindex(every.index).astype("boolean"),
    )
    is_outside = week.isna() & (behind["batch_rank"].notna() | (behind["template_ids"] != ""))
    return behind[week.isin(weeks) | is_outside | (behind["also"] != "")]


Flags = dict[str, "pd.Series[bool]"]
_RECOVERIES = {"recovered": "recovered", "open-rollback": "open_rollbacks", "open-failure": "open_failures"}


def _bits(told: Flags, releases: pd.DataFrame) -> "pd.Series[int]":
    counts = pd.Series(0, index=releases.index, dtype="int64")
    for name, flag in told.items():
        counts += flag.astype("int64") * _BIT[name]
    return counts


@at_last
def _in_order(behind: pd.DataFrame) -> pd.DataFrame:
    order = ["started_at", *PLAN, "batch", "component_id"]
    return behind.sort_values(order, kind="stable", ignore_index=True)


@at_last
def _with_recoveries(behind: pd.DataFrame, good: pd.DataFrame) -> pd.DataFrame:
    """Add whether a change failure has recovered, which a release of another plan may tell."""
    behind = spelt(behind)
    failures = behind[behind["is_undone"].notna()]
    states = with_states(failures.astype({"is_undone": "bool"}), good).reindex(behind.index)
    told = {name: states[column] == 1 for name, column in _RECOVERIES.items()}
    return behind.assign(counts=behind["counts"] + _bits(told, behind)).drop(columns="is_undone")


_OF_RANKS = {"at-risk": "at_risk", "surfaced": "surfaced"}


def _outcomes(every: pd.DataFrame, is_young: "pd.Series[bool]") -> Flags:
    finished, failed = every["outcome"].isin(["succeeded", "failed"]), every["outcome"] == "failed"
    return {
        "failed": failed,
        "rolled-back": finished & (every["rolled_back"] == 1),
        "rollback-failed": finished & (every["rollbacks_failed"] > 0),
        "change-failure": is_change_failure(every),
        "change-failure-7": failed | (finished & is_young),
        "rolled-back-7": finished & is_young,
        "finished": finished,
        "open": ~finished,
        "retried": every["attempts"] > 1,
        "recovery-known": every["recovery_seconds"].notna() & finished,
    }


def _tried(frames: Frames, window: Window) -> pd.DataFrame:
    """Say what attempts a release has in which week (`release, week, bits`), by their starts, real or inferred."""
    ranked = ranked_attempts(frames.attempts)
    week = window.week_of(ranked["started_at"])
    bits = _BIT["tried"] + is_rework(ranked) * _BIT["reworked"]
    for name, flag in outcome_flags(ranked["outcome"]).items():
        bits += flag * _BIT[f"tried-{name}"]
    return pd.DataFrame({"release": ranked["release"], "week": week.cat.codes, "bits": bits})[week.notna()]


def _timed(frames: Frames, window: Window, every: pd.DataFrame) -> pd.DataFrame:
    """Say the same of releases whose batch is timed: they stand in the week in which the batch began."""
    passes = finished_passes(frames, Selection(window))[[*BATCH, "week"]]
    week = every[BATCH].merge(passes, on=BATCH, how="left")["week"]
    codes = pd.DataFrame({"release": every.index, "week": week.cat.codes, "bits": _BIT["timed"]})
    return codes[week.notna()]


def _compared(every: pd.DataFrame, week: "pd.Series[str]") -> pd.DataFrame:
    """Say the same of finished releases as components are compared: in the week of their first one in the plan."""
    finished = every[every["outcome"].isin(["succeeded", "failed"]) & week.notna()]
    ordered = finished.sort_values("started_at", kind="stable")
    component = ordered.groupby([*PLAN, "component_id"], observed=True, sort=False).ngroup().to_numpy(dtype="int64")
    codes, first = week.cat.codes[ordered.index].to_numpy(), np.unique(component, return_index=True)[1]
    bits = _BIT["compared"] + (ordered["outcome"] == "failed") * _BIT["compared-failed"]
    return pd.DataFrame({"release": ordered.index, "week": codes[first][component], "bits": bits})


def _by_week(of_weeks: pd.DataFrame, week: "pd.Series[str]") -> "tuple[pd.Series[int], pd.Series[str]]":
    """Part what stands in the week of a release's start from what stands in other weeks, written as `also` has it."""
    is_own = of_weeks["week"].to_numpy() == week.cat.codes.to_numpy()[of_weeks["release"]]
    own = np.zeros(len(week), dtype="int64")
    np.bitwise_or.at(own, of_weeks.loc[is_own, "release"], of_weeks.loc[is_own, "bits"])
    said: dict[int, dict[int, int]] = {}
    for release, code, bits in of_weeks[~is_own].sort_values(["release", "week"]).itertuples(index=False):
        weeks = said.setdefault(release, {})
        weeks[code] = weeks.get(code, 0) | bits
    labels = week.cat.categories
    texts = {one: " ".join(f"{labels[code]}={bits}" for code, bits in weeks.items()) for one, weeks in said.items()}
    also = pd.Series(texts, dtype="object").reindex(week.index).fillna("").astype("str")
    return pd.Series(own, index=week.index, dtype="int64"), also


def _ranks(frames: Frames, window: Window, every: pd.DataFrame) -> pd.DataFrame:
    reached = batches_reached(frames, window)[[*BATCH, "batch_rank", "at_risk", "surfaced"]]
    ranks = every[BATCH].merge(reached, on=BATCH, how="left")
    for name in ("at_risk", "surfaced"):
        ranks[name] = ranks[name].eq(other=True)
    return ranks.astype({"batch_rank": "Int64"})


def _template_ids(failures: pd.DataFrame, window: Window, every: pd.DataFrame, held: pd.DataFrame) -> "pd.Series[str]":
    """Name the templates of the window's failures by release; a failed rollback is its release's, as counted."""
    rows = matching(failures, Selection(window))
    places = every[PLACE].assign(release=every.index)
    attempts = rows[rows["kind"] == "attempt"].merge(places, on=PLACE)
    jobs = held[[*PLAN, "component_id", "rollback_job_id", "release"]].rename(columns={"rollback_job_id": "job_id"})
    undone = rows[rows["kind"] == "rollback"].merge(jobs, on=[*PLAN, "component_id", "job_id"])
    known = pd.concat([part[["release", "template_id"]] for part in (attempts, undone)]).drop_duplicates()
    by_release = known.sort_values("template_id").groupby("release")["template_id"].agg(" ".join)
    return by_release.astype("object").reindex(every.index).fillna("").astype("str")
