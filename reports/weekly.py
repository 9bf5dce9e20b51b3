"""The weekly report: one week in half a year, as numbers, tables and the sentences that say what they mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from reports.banner import banner
from reports.behind import Behind, releases_by_week, weeks_behind, weeks_told
from reports.columns import FAILURES, KNOWN_FAILURES, NIGHT_RUNS, Frames, empty
from reports.comparisons import fisher, poisson_change
from reports.composition import weekly_tables
from reports.marks import is_uncollected
from reports.restated import Baseline, Restated, definition_breaks, restated_sentence, restated_since
from reports.spread import by_plan, known, together
from reports.statistics import rate_change
from reports.tables import plain, records
from reports.verdict import AGE_DAYS, Verdict, is_young, verdict
from reports.week_on_week import change_sentence, rollback_failures_sentence
from reports.window import Week, Window

WEEKS = 26
_PLANS_NAMED = 3


@dataclass(frozen=True)
class WeeklyReport:
    """Everything the page says, before it is written in any form.

    `headline` holds the week's numbers, `sentences` what they mean under the keys failures, before,
    change, known and verdict, `unknowns` what they can't tell; `tables` the frames, named as their files are.
    `verdict` is on this week, `settled` on the latest before it that is no longer provisional.
    `as_of` is when the newest run that it knows ended; `restated` what it tells otherwise than one issued before.
    `breaks` names each week from which a definition is another than in the reports issued on those before.
    `behind` holds the component releases of its last `behind_weeks` weeks, with the counts in which each stands; those
    of the `older_weeks` with any are told by `every`, which need not fit into memory, or by `lists`, written already.
    `banner` is the sentence that stands above all where the night that ends the week is missing.
    """

    week: Week
    window: Window
    result: str
    headline: Mapping[str, Any]
    sentences: Mapping[str, str]
    unknowns: tuple[str, ...]
    tables: Mapping[str, pd.DataFrame]
    verdict: Verdict
    behind: pd.DataFrame
    behind_weeks: int
    every: Behind
    older_weeks: tuple[str, ...] = ()
    lists: Mapping[str, str] = field(default_factory=dict)
    settled: Verdict | None = None
    as_of: datetime | None = None
    restated: Restated | None = None
    breaks: tuple[tuple[str, str], ...] = ()
    banner: str | None = None

    @property
    def uncollected(self) -> frozenset[str]:
        """Its weeks of which no night was archived, and nothing is known."""
        table = self.tables["failure-rates"]
        return frozenset(table.loc[is_uncollected(table), "week"])

    @property
    def last_date(self) -> date:
        """Its Sunday."""
        return self.week.start_date + timedelta(days=6)


def weekly_window(monday: date, zone: ZoneInfo) -> Window:
    """Return the 26 weeks up to the one that begins on `monday`."""
    return Window.of_weeks(monday, WEEKS, zone)


def weekly_report(
    frames: Frames,
    monday: date,
    zone: ZoneInfo,
    *,
    recheck_days: int,
    failures: pd.DataFrame | None = None,
    known_failures: pd.DataFrame | None = None,
    night_runs: pd.DataFrame | None = None,
    baseline: Baseline | None = None,
    issued: Mapping[str, Mapping[str, int]] | None = None,
    behind_weeks: int | None = None,
) -> WeeklyReport:
    """Make the report of the week that begins on `monday` from the frames of its weeks, FAILURES of all history,
    the KNOWN_FAILURES of the night that ends it, and the NIGHT_RUNS.

    `baseline` is the issued report to compare it with, `issued` the definition versions of those on its weeks.
    Of releases those of the last `behind_weeks` alone are asked for; by default all are, and as many held as few are.
    It states nothing but what the archive holds: what is provisional is told by the newest run's end,
    so that the same archive gives the same report on any day. `reports rollbacks` tells it by now instead,
    and so can call a week settled that a report from an archive some nights behind still calls provisional.
    """
    window, as_of = weekly_window(monday, zone), frames.last_run_ended_at
    failures = empty(FAILURES) if failures is None else failures
    labels = [week.label for week in window.weeks]
    asked = labels if behind_weeks is None else labels[-behind_weeks:]
    told, judged, settled, every, doubtful = known(
        frames,
        weekly_tables(frames, failures, window, as_of=as_of, recheck_days=recheck_days),
        verdict(frames, window, as_of=as_of),
        _settled(frames, window, as_of),
        releases_by_week(frames, failures, window, weeks=asked),
        together(_doubtful_times(frames, window.last(1))),
    )
    tables = {"verdict": judged.table(), **told}
    tables["known-failures"] = empty(KNOWN_FAILURES) if known_failures is None else known_failures
    tables["nights"] = _nights(empty(NIGHT_RUNS) if night_runs is None else night_runs, window)
    headline = _headline(tables)
    above = banner(window.weeks[-1], as_of, frames.looked_at, _projects_of(tables["coverage-by-project"]))
    sentences = _sentences(headline, is_over=above is None) | {"verdict": judged.sentence}
    if headline["rollbacks_failed"] or headline["rollbacks_failed_before"]:
        sentences["rollback_failures"] = rollback_failures_sentence(headline)
    last = weeks_behind(tables["delivery"]["releases"].to_list())
    behind = every.of(labels[-last:])
    restated = None
    if baseline is not None:
        restated = restated_since(baseline, tables, window)
        tables |= {"restated-figures": restated.figures, "restated-facts": restated.changes}
        sentences["restated"] = restated_sentence(restated)
    return WeeklyReport(
        week=window.weeks[-1],
        window=window,
        result=_result(headline),
        headline=headline,
        sentences=sentences,
        unknowns=tuple(_unknowns(headline, above, tables, recheck_days) + _doubts(doubtful)),
        tables=tables,
        verdict=judged,
        behind=behind,
        behind_weeks=last,
        every=every,
        older_weeks=_with_releases(asked[:-last], tables["delivery"], behind),
        settled=settled,
        as_of=as_of,
        restated=restated,
        breaks=definition_breaks(issued or {}, window),
        banner=above,
    )


def _with_releases(weeks: Sequence[str], delivery: pd.DataFrame, behind: pd.DataFrame) -> tuple[str, ...]:
    """Name those of the weeks in which a release began, or stands in a count."""
    told = {*delivery.loc[delivery["releases"] > 0, "week"], *weeks_told(behind)}
    return tuple(week for week in weeks if week in told)


def _nights(night_runs: pd.DataFrame, window: Window) -> pd.DataFrame:
    """Return the nights of the window's weeks, the latest first."""
    nights = night_runs.assign(week=night_runs["night_date"].dt.strftime("%G-W%V").astype("str"))
    nights = nights[nights["week"].isin([week.label for week in window.weeks])]
    nights = nights.sort_values(["night_date", "project_id"], ascending=[False, True], ignore_index=True)
    dates = nights["night_date"].dt.strftime("%Y-%m-%d").astype("str")
    return nights.assign(night_date=dates)[["week", *night_runs.columns]]


def _projects_of(coverage: pd.DataFrame) -> list[str]:
    """Return the projects of which a night was planned in the week."""
    return list(coverage.loc[coverage["nights_planned"] > 0, "project_id"])


def _settled(frames: Frames, window: Window, as_of: datetime | None) -> Verdict | None:
    """Return the verdict on the latest week before this one that is old enough to be judged for good."""
    for weeks_back in range(1, len(window.weeks)):
        earlier = Window.of_weeks(
            window.weeks[-1].start_date - timedelta(days=7 * weeks_back), len(window.weeks) - weeks_back, window.zone
        )
        if not is_young(earlier.weeks[-1], as_of):
            return verdict(frames, earlier, as_of=as_of)
    return None


def _headline(tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    now, before = (records(tables["failure-rates"])[index] for index in (-1, -2))
    shipped, shipped_before = (records(tables["delivery"])[index] for index in (-1, -2))
    undone, undone_before = (records(tables["rollbacks"])[index] for index in (-1, -2))
    early, early_before = (records(tables["release-rates"])[index] for index in (-1, -2))
    timing = records(tables["batch-timing"])[-1]
    counts = (now["failed"], now["finished"], before["failed"], before["finished"])
    change, low, high = rate_change(*counts)
    return {
        "releases": shipped["releases"],
        "releases_before": shipped_before["releases"],
        "attempts": now["finished"] + now["unfinished"] + now["aborted"] + now["unknown"],
        **{name: now[name] for name in ("finished", "failed", "failure_rate", "ci_low", "ci_high")},
        **{name: now[name] for name in ("unfinished", "aborted", "unknown")},
        "finished_before": before["finished"],
        "failed_before": before["failed"],
        "failure_rate_before": before["failure_rate"],
        "coverage_before": before["coverage"],
        "failure_rate_change": plain(change),
        "change_ci_low": plain(low),
        "change_ci_high": plain(high),
        "failure_rate_p_value": fisher(*counts) if now["finished"] and before["finished"] else None,
        "releases_finished": undone["finished"],
        **{name: undone[name] for name in ("rolled_back", "rollback_rate", "rollbacks", "rollbacks_failed")},
        "rollbacks_failed_before": undone_before["rollbacks_failed"],
        "early_rollbacks_failed": early["rollbacks_failed"],
        "early_rollbacks_failed_before": early_before["rollbacks_failed"],
        "rollbacks_failed_p_value": None
        if early_before["provisional"]
        else poisson_change(early["rollbacks_failed"], 1.0, early_before["rollbacks_failed"], 1.0),
        "is_young": early["provisional"],
        **{name: undone[name] for name in ("recovery_p50_seconds", "provisional")},
        **{name: timing[name] for name in ("batches", "p50_seconds", "p90_seconds")},
        "projects": int((tables["coverage-by-project"]["nights_planned"] > 0).sum()),
        **{name: now[name] for name in ("nights_planned", "nights_done", "coverage")},
    }


def _result(headline: Mapping[str, Any]) -> str:
    """Name the state of the week; what happened and what was not looked at never share a name."""
    if headline["attempts"] == 0:
        return "not collected" if headline["coverage"] == "none" else "no releases"
    if headline["finished"] == 0:
        return "nothing finished"
    return "failures" if headline["failed"] else "no failures"


def _sentences(headline: Mapping[str, Any], *, is_over: bool) -> dict[str, str]:
    result, finished, failed = _result(headline), headline["finished"], headline["failed"]
    partly = headline["coverage"] == "partial"
    failures = {
        "not collected": "Not known: no night of this week was archived, and nothing of it was seen later.",
        "no releases": f"No releases were seen{', though not every night was archived' if partly else ''}.",
        "nothing finished": f"None of {_count(headline['attempts'], 'attempt')} is known to have finished.",
        "no failures": f"No failures among {_count(finished, 'finished attempt')}.",
        "failures": f"{failed:,} of {_count(finished, 'finished attempt')} failed.",
    }[result]
    return {
        "failures": failures,
        "before": _before(headline),
        "change": change_sentence(headline),
        "known": _known(headline, is_over=is_over),
    }


def _before(headline: Mapping[str, Any]) -> str:
    if headline["releases_before"] == 0 and headline["coverage_before"] == "none":
        return "the week before was not collected"
    return f"{headline['releases_before']:,} the week before"


def _known(headline: Mapping[str, Any], *, is_over: bool) -> str:
    planned, done, coverage = (headline[name] for name in ("nights_planned", "nights_done", "coverage"))
    of_projects = f" of {headline['projects']:,} projects" if headline["projects"] > 1 else ""
    if planned == 0:
        return "Not collected: no night was planned in this week."
    if coverage == "complete" and is_over:
        return f"Complete: {'the only night' if planned == 1 else f'all {planned:,} nights'}{of_projects} archived."
    if coverage == "complete":
        return f"So far: {_count(planned, 'night')}{of_projects} archived; the night that ends the week is not in."
    if coverage == "none":
        return f"Not collected: none of {_count(planned, 'night')}{of_projects} was archived."
    return f"Collected in part: {done:,} of {_count(planned, 'night')}{of_projects} archived in full."


def _unknowns(
    headline: Mapping[str, Any], above: str | None, tables: Mapping[str, pd.DataFrame], recheck_days: int
) -> list[str]:
    """Say what the numbers can't know, the week's own gaps first."""
    unknowns = []
    if above is not None:
        unknowns.append(above)
    if headline["coverage"] == "none" and headline["attempts"]:
        unknowns.append("What is shown for this week was seen on later nights; what was replaced before is lost.")
    projects = tables["coverage-by-project"]
    gaps = projects.loc[projects["coverage"] != "complete", "project_id"]
    if len(projects) > 1 and len(gaps):
        unknowns.append(f"{len(gaps):,} of {len(projects):,} projects were not collected in full.")
    known = list(tables["known-failures"]["plan_id"])
    if known:
        named = ", ".join(known[:_PLANS_NAMED]) + (" and others" if len(known) > _PLANS_NAMED else "")
        unknowns.append(f"{_count(len(known), 'plan')} could not be archived, alike in three nights or more: {named}.")
    if headline["unknown"]:
        unknowns.append(f"The outcome of {_count(headline['unknown'], 'attempt')} is unknown: not counted as finished.")
    if headline["unfinished"]:
        unknowns.append(f"{_count(headline['unfinished'], 'attempt')} had not finished when last seen.")
    if headline["provisional"] and headline["releases_finished"]:
        unknowns.append(
            f"Rollbacks can still come: at the newest run the week was under {recheck_days} days old. One that "
            f"comes over {AGE_DAYS} days after its release counts in the tables, and in no comparison of weeks."
        )
    unknowns.append("An attempt replaced between two observations is unseen, so failure rates are a lower bound.")
    return unknowns


@by_plan
def _doubtful_times(frames: Frames, week: Window) -> pd.DataFrame:
    """Count the attempts of the week that are over without possible times, and those in no week for want of a start.

    An attempt without a start is taken for one of the week in which it was first seen.
    """
    over = frames.attempts[frames.attempts["outcome"].isin(["succeeded", "failed", "aborted"])]
    is_timed = over["duration_seconds"].notna()
    untimed = int((~is_timed & week.week_of(over["started_at"]).notna()).sum())
    is_without_start = over["started_at"].isna() & (over["outcome"] != "failed")
    placeless = int((is_without_start & week.week_of(over["first_seen_at"]).notna()).sum())
    return pd.DataFrame({"untimed": [untimed], "placeless": [placeless]})


def _doubts(counts: pd.DataFrame) -> list[str]:
    untimed, placeless = (int(counts[name].sum()) for name in ("untimed", "placeless"))
    told = []
    if untimed:
        told.append(f"Missing or impossible times: of {_count(untimed, 'attempt')}, counted, but in no duration.")
    if placeless:
        told.append(f"Missing starts: of {_count(placeless, 'attempt')} first seen this week, in no week's count.")
    return told


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
