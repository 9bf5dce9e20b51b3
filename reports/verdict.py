"""The verdict on a week: is releasing getting safer, as far as its rollbacks and change failures can tell."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Literal

import pandas as pd

from reports.columns import Frames
from reports.comparisons import TOO_FEW, clustered_interval, plan_permutation
from reports.groups import Selection, matching, outcome_flags, with_coverage
from reports.releases import PLAN, component_releases
from reports.spread import at_last, by_plan, grouped
from reports.statistics import difference
from reports.window import Week, Window

Word = Literal["better", "worse", "no clear change", "too little data"]

AGE_DAYS = 7
BASELINE_WEEKS = 4
# Under so many plans on a side one bad plan can't be told from a bad week.
_FEW_PLANS = 5
_MEASURES = {"change_failure_rate": "change failures", "rollback_rate": "rolled back"}
_SUMS = ["finished", *_MEASURES]
# Two rates are tested, so each gets half of the 5 % of weeks that may be called without a change.
_ALPHA = 0.05 / len(_MEASURES)


@dataclass(frozen=True)
class Measure:
    """One rate of finished component releases, this week and before, at equal age; None where unknown.

    The intervals are 95 % and clustered by plan. `p_value` is two-sided.
    """

    measure: str
    hits: int
    rate: float | None
    ci_low: float | None
    ci_high: float | None
    hits_before: int
    rate_before: float | None
    ci_low_before: float | None
    ci_high_before: float | None
    change: float | None
    change_ci_low: float | None
    change_ci_high: float | None
    p_value: float | None


@dataclass(frozen=True)
class Verdict:
    """What can be said of a week, and the figures behind it.

    `finished` and `plans` count the finished component releases and the plans that hold them. `weeks_before` is the
    baseline; `weeks_with_gaps` are those of the compared weeks in which a planned night was not archived in full.
    """

    word: Word
    week: str
    is_provisional: bool
    finished: int
    plans: int
    finished_before: int
    plans_before: int
    weeks_before: tuple[str, ...]
    weeks_with_gaps: tuple[str, ...]
    measures: tuple[Measure, ...]
    sentence: str

    def table(self) -> pd.DataFrame:
        """Return the measures, a row each."""
        counts = {name: getattr(self, name) for name in ("finished", "plans", "finished_before", "plans_before")}
        return pd.DataFrame([{"week": self.week} | asdict(measure) | counts for measure in self.measures])


def verdict(frames: Frames, window: Window, *, as_of: datetime | None, baseline_weeks: int = BASELINE_WEEKS) -> Verdict:
    """Judge the window's last week by the `baseline_weeks` weeks before it, as known at `as_of`.

    Two rates of the finished component releases that started in a week: *rolled back*, of which a rollback began
    within 7 days of the release's end, and *change failures*, which failed in the end or were so rolled back. The
    limit gives every week the same age; a week that ended less than 7 days before `as_of` is provisional: it may yet
    get worse, so it is never called better, and no week that young is in the baseline. (How a release ended is as
    known now: one that is redeployed in its plan after more than 7 days counts as it then ended.)

    Each rate is tested by permuting whole plans between the week and its baseline, since components of one plan
    fail together (see `plan_permutation`): at 2.5 % each, so that at most one week in twenty is called better or
    worse by chance. *Worse* if one of the two got worse and none better, *better* likewise. *Too little data* under
    10 releases or 5 plans on either side. Missed nights alter no count; the verdict names the weeks that had them.
    """
    this, past = window.weeks[-1], window.weeks[:-1][-baseline_weeks:] if baseline_weeks > 0 else ()
    before = [week for week in past if not is_young(week, as_of)]
    sides = {"now": (this.label,), "before": tuple(week.label for week in before)}
    kinds = grouped(_plan_sums(frames, window, sides), ["side", *_SUMS], {"plans": ("finished", "size")}, {})
    return _judged(kinds, frames.nights, window, before, as_of)


@at_last
def _judged(
    kinds: pd.DataFrame, nights: pd.DataFrame, window: Window, before: Sequence[Week], as_of: datetime | None
) -> Verdict:
    """Judge by the plans' sums: `plans` of them are of one kind, and can't be told apart."""
    this = window.weeks[-1]
    kinds = kinds.sort_values(_SUMS, ignore_index=True)
    plans = kinds.loc[kinds.index.repeat(kinds["plans"])]
    now_plans, before_plans = (plans[plans["side"] == side] for side in ("now", "before"))
    measures = tuple(_measure(name, now_plans, before_plans) for name in _MEASURES)
    finished, finished_before = int(now_plans["finished"].sum()), int(before_plans["finished"].sum())
    is_few = min(finished, finished_before) < TOO_FEW or min(len(now_plans), len(before_plans)) < _FEW_PLANS
    is_provisional = is_young(this, as_of)
    word: Word = "too little data" if is_few else _word(measures, is_provisional=is_provisional)
    gaps = _weeks_with_gaps(nights, window, [*before, this])
    return Verdict(
        word=word,
        week=this.label,
        is_provisional=is_provisional,
        finished=finished,
        plans=len(now_plans),
        finished_before=finished_before,
        plans_before=len(before_plans),
        weeks_before=tuple(week.label for week in before),
        weeks_with_gaps=gaps,
        measures=measures,
        sentence="Too little data: no run has ended yet, so there is nothing to judge by."
        if as_of is None
        else _sentence(word, measures, (finished, finished_before), (len(now_plans), len(before_plans)), len(before))
        + _caveats(this.label, gaps, is_provisional=is_provisional),
    )


def is_young(week: Week, as_of: datetime | None) -> bool:
    """Say if a week ended less than 7 days ago: what is counted within 7 days can still come."""
    return as_of is None or as_of - week.ends_at < timedelta(days=AGE_DAYS)


def _finished_releases(frames: Frames, window: Window) -> pd.DataFrame:
    releases = component_releases(frames.attempts, frames.rollbacks, within_days=AGE_DAYS)
    releases = matching(releases, Selection(window))
    flags = outcome_flags(releases["outcome"])
    is_rolled_back = releases["rolled_back"] == 1
    releases = releases.assign(
        finished=flags["finished"],
        rollback_rate=is_rolled_back.astype("int64"),
        change_failure_rate=(is_rolled_back | (flags["failed"] == 1)).astype("int64"),
    )
    return releases[releases["finished"] == 1]


@by_plan
def _plan_sums(frames: Frames, window: Window, sides: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Return per side and plan the finished releases of its weeks, and how many of them count in each measure."""
    releases = _finished_releases(frames, window)
    parts = [
        releases[releases["week"].isin(weeks)].groupby(PLAN)[_SUMS].sum().assign(side=side)
        for side, weeks in sides.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _measure(name: str, now: pd.DataFrame, before: pd.DataFrame) -> Measure:
    hits, totals = now[name].to_list(), now["finished"].to_list()
    hits_before, totals_before = before[name].to_list(), before["finished"].to_list()
    low, high = clustered_interval(hits, totals)
    low_before, high_before = clustered_interval(hits_before, totals_before)
    rate = sum(hits) / sum(totals) if totals else None
    rate_before = sum(hits_before) / sum(totals_before) if totals_before else None
    change: Sequence[float | None] = (None, None, None)
    p_value = None
    if rate is not None and rate_before is not None:
        change = difference(rate, (low, high), rate_before, (low_before, high_before))
        p_value = plan_permutation(hits, totals, hits_before, totals_before)
    return Measure(
        measure=name,
        hits=sum(hits),
        rate=rate,
        ci_low=low if totals else None,
        ci_high=high if totals else None,
        hits_before=sum(hits_before),
        rate_before=rate_before,
        ci_low_before=low_before if totals_before else None,
        ci_high_before=high_before if totals_before else None,
        change=change[0],
        change_ci_low=change[1],
        change_ci_high=change[2],
        p_value=p_value,
    )


def _word(measures: Sequence[Measure], *, is_provisional: bool) -> Word:
    directions = {_direction(measure) for measure in measures}
    if directions >= {"worse", "better"}:
        return "no clear change"
    if "worse" in directions:
        return "worse"
    return "better" if "better" in directions and not is_provisional else "no clear change"


def _direction(measure: Measure) -> str:
    if measure.p_value is None or measure.change is None or measure.p_value >= _ALPHA:
        return "same"
    return "worse" if measure.change > 0 else "better"


def _weeks_with_gaps(nights: pd.DataFrame, window: Window, weeks: Sequence[Week]) -> tuple[str, ...]:
    """Name the weeks of which not every planned night was archived in full, and those that had none."""
    table = pd.DataFrame({"week": pd.Series([week.label for week in weeks], dtype="str")})
    table = with_coverage(table, nights, Selection(window))
    return tuple(table.loc[table["coverage"] != "complete", "week"])


# --- words --------------------------------------------------------------------------------------------------


def _sentence(
    word: Word, measures: Sequence[Measure], finished: Sequence[int], plans: Sequence[int], weeks: int
) -> str:
    past = "the week before" if weeks == 1 else f"the {weeks} weeks before"
    if word == "too little data" and not weeks:
        return f"Too little data: no week before is {AGE_DAYS} days old, so there is nothing to compare with."
    if word == "too little data" and not any(finished):
        return f"Too little data: no component release is known to have finished, neither in the week nor in {past}."
    if word == "too little data":
        now = f"{_count(finished[0], 'component release')} finished in {_count(plans[0], 'plan')}"
        before = f"{finished[1]:,} in {plans[1]:,}" if finished[1] else "none"
        return (
            f"Too little data: {now if finished[0] else 'no component release finished'}, and {before} in {past}; "
            f"a comparison takes {TOO_FEW} in {_FEW_PLANS} of each."
        )
    failed, undone = (_figures(measure) for measure in measures)
    figures = f"{failed} in {past}), {undone})"
    ends = {
        "worse": "That is more than chance would explain.",
        "better": "That is more than chance would explain.",
        "no clear change": "The difference is within what chance, or one bad plan, would explain.",
    }
    if word == "no clear change" and any(_direction(measure) != "same" for measure in measures):
        ends["no clear change"] = (
            "One rate rose and the other fell, each by more than chance would explain."
            if len({_direction(measure) for measure in measures} & {"worse", "better"}) == 2
            else "It looks better, and is too young to be called so."
        )
    return f"{word.capitalize()}: of {_count(finished[0], 'finished component release')} {figures}. {ends[word]}"


def _figures(measure: Measure) -> str:
    what = {
        "change_failure_rate": f"failed or were rolled back within {AGE_DAYS} days",
        "rollback_rate": "were rolled back in that time",
    }[measure.measure]
    return f"{measure.hits:,} {what} ({_percent(measure.rate)}, after {_percent(measure.rate_before)}"


def _caveats(label: str, gaps: Sequence[str], *, is_provisional: bool) -> str:
    told: list[str] = []
    if is_provisional:
        told.append(f"Provisional: {label} is not {AGE_DAYS} days past, and rollbacks of it can still come.")
    if gaps:
        told.append(f"Not every night of {', '.join(gaps)} was archived, so what is compared was not seen alike.")
    return "".join(f" {sentence}" for sentence in told)


def _percent(rate: float | None) -> str:
    return "unknown" if rate is None else f"{rate * 100:.1f} %"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
