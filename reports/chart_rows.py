"""What the weekly charts show, as rows: one state a mark, its numbers, and the words that tell them."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from reports.comparisons import TOO_FEW
from reports.page_opens import key_of, query, weeks_filter
from reports.releases import PLAN
from reports.tables import clean, percent_text, records, seconds_text
from reports.verdict import AGE_DAYS

HEAT_ROWS = 25
TIMELINE_PLANS = 40
TIMING_BATCHES = 6
NAME_LENGTH, TIP_LENGTH = 24, 120

# Of a plan or a batch the worst is shown. Each word has a colour and a shape of its own.
OUTCOMES = ("rollback failed", "failed", "rolled back", "unknown", "unfinished", "aborted", "succeeded")

Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """The marks of one chart, and what it leaves out in words (empty where it shows all)."""

    rows: tuple[Row, ...]
    left_out: str = ""


def rate_rows(table: pd.DataFrame, hits: str, *, breaks: Collection[str] = ()) -> Rows:
    """Return a row a week of `release_rates`: its `hits` (failed or rolled_back) with the rate and the interval.

    `state` is value, few (under 10 finished), provisional, nothing (no release finished) or uncollected (no night of
    the week was archived, and nothing of it seen). `segment` numbers the runs of weeks whose values may be joined by
    a line: it ends at a week without a value and at a week in `breaks`, where a definition changed.
    A mark opens (`open`, a filter of the page) its hits, or what there was where there was no hit; else nothing.
    """
    rate, stem = _RATES[hits]
    rows: list[Row] = []
    segment, this = 0, max(table["week"], default="")
    for row in records(table):
        week, value = row["week"], row[rate]
        is_break = week in breaks
        segment += is_break or value is None
        asked = {"is": _COUNTS[hits] if row[hits] else "finished"}
        state = _rate_state(row, is_provisional=hits == "rolled_back" and row["provisional"])
        rows.append(
            {
                "week": week[5:],
                "state": state,
                "rate": value,
                "low": row[f"{stem}_ci_low"],
                "high": row[f"{stem}_ci_high"],
                "segment": segment,
                "is_break": is_break,
                "text": _rate_text(row, hits, state),
                "open": query(asked, weeks_filter([week], this)) if row["finished"] else None,
            }
        )
    return Rows(tuple(rows))


_COUNTS = {"failed": "failed", "rolled_back": "rolled-back-7"}
_WORDS = {"failed": "failed", "rolled_back": f"rolled back within {AGE_DAYS} days"}
_RATES = {"failed": ("failure_rate", "failure"), "rolled_back": ("rollback_rate", "rollback")}
_STATE_WORDS = {"few": ", too few to say", "provisional": ", provisional: rollbacks can still come"}


def _rate_state(row: Mapping[str, Any], *, is_provisional: bool) -> str:
    if row["finished"] == 0:
        return "uncollected" if row["coverage"] == "none" else "nothing"
    if row["finished"] < TOO_FEW:
        return "few"
    return "provisional" if is_provisional else "value"


def _rate_text(row: Mapping[str, Any], hits: str, state: str) -> str:
    if state == "uncollected":
        return f"{row['week']}: not collected"
    if state == "nothing":
        return f"{row['week']}: no release finished"
    rate, stem = _RATES[hits]
    low, high = row[f"{stem}_ci_low"], row[f"{stem}_ci_high"]
    partly = "" if row["coverage"] == "complete" else "; not every night was archived"
    return (
        f"{row['week']}: {row[hits]:,} of {_count(row['finished'], 'release')} {_WORDS[hits]}, "
        f"in {_count(row['plans'], 'plan')}: "
        f"{percent_text(row[rate])} ({percent_text(low)} to {percent_text(high)})"
        f"{_STATE_WORDS.get(state, '')}{partly}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def timing_rows(table: pd.DataFrame, weeks: Mapping[str, str], *, breaks: Collection[str] = ()) -> Rows:
    """Return a row per batch and week of `week, batch, batches, p50_seconds, p90_seconds`, in minutes.

    `weeks` holds the coverage of each week. The batches of the lowest numbers are shown; `state` is value, nothing (no
    batch finished) or uncollected.
    """
    known = {(row["batch"], row["week"]): row for row in records(table)}
    batches = sorted({batch for batch, _ in known if batch is not None})
    rows: list[Row] = []
    for batch in batches[:TIMING_BATCHES]:
        segment = 0
        for week, coverage in weeks.items():
            row, asked = known.get((batch, week), {}), {"is": "timed", "batch": key_of(batch)}
            middle, high = row.get("p50_seconds"), row.get("p90_seconds")
            segment += week in breaks or middle is None
            state = "uncollected" if coverage == "none" else "nothing"
            words = "not collected" if state == "uncollected" else "no finished batch"
            if middle is not None and high is not None:
                state = "value"
                words = f"median {seconds_text(middle)}, 90 % within {seconds_text(high)} ({row['batches']:,} finished)"
            rows.append(
                {
                    "week": week[5:],
                    "batch": f"batch {batch}",
                    "state": state,
                    "p50": None if middle is None else middle / 60,
                    "p90": None if high is None else high / 60,
                    "is_few": row.get("batches", 0) < TOO_FEW,
                    "segment": f"{batch}.{segment}",
                    "is_break": week in breaks,
                    "text": f"batch {batch}, {week}: {words}",
                    "open": query(asked, weeks_filter([week], max(weeks))) if row else None,
                }
            )
    more = len(batches) - TIMING_BATCHES
    return Rows(tuple(rows), f"The first {TIMING_BATCHES} of {len(batches)} batches." if more > 0 else "")


def heat_rows(table: pd.DataFrame, weeks: Mapping[str, str], *, breaks: Collection[str] = ()) -> Rows:
    """Return a row per component and week of `weeks` (week to coverage), for the components with most failures.

    `level` is what the cell's colour says: a span of the failure rate, few, nothing or uncollected. The first
    component's row speaks for all where a definition changed (`is_break`).
    """
    totals = table.groupby(["project_id", "component_id"])[["failed", "finished"]].sum()
    totals = totals[totals["finished"] > 0].sort_values(["failed", "finished"], ascending=False, kind="stable")
    chosen = list(totals.index[:HEAT_ROWS])
    known = {(row["project_id"], row["component_id"], row["week"]): row for row in records(table)}
    names = {key[:2]: row["component"] for key, row in known.items()}
    labels = _unique([short(names[key]) for key in chosen])
    rows = []
    for place, (key, label) in enumerate(zip(chosen, labels, strict=True)):
        asked = {"is": "finished", "component": key_of(key[1]), "project": key_of(key[0])}
        for week, coverage in weeks.items():
            row = known.get((*key, week), {"finished": 0, "failed": 0})
            level = _level(row["failed"], row["finished"], coverage)
            count = f"{row['failed']:,}/{row['finished']:,}"
            told = (
                f"{row['failed']:,} of {row['finished']:,} finished releases failed"
                if row["finished"]
                else _NO_CELL[level]
            )
            rows.append(
                {
                    "component": label,
                    "place": place,
                    "week": week[5:],
                    "level": level,
                    "is_break": place == 0 and week in breaks,
                    "count": count if row["finished"] else ("?" if level == "not collected" else ""),
                    "text": f"{whole(names[key])}, {week}: {told}{', too few to say' * (level == 'too few')}",
                    "open": query(asked, weeks_filter([week], max(weeks))) if row["finished"] else None,
                }
            )
    more = f"The {HEAT_ROWS} of {len(totals):,} components with most failures." if len(totals) > HEAT_ROWS else ""
    return Rows(tuple(rows), more)


LEVELS = ("0 %", "up to 5 %", "up to 10 %", "up to 20 %", "up to 40 %", "over 40 %", "too few", "not collected")
_NO_CELL = {"nothing": "no release finished", "not collected": "not collected"}


def _level(failed: int, finished: int, coverage: str) -> str:
    if finished == 0:
        return "not collected" if coverage == "none" else "nothing"
    if finished < TOO_FEW:
        return "too few"
    bounds = (0.0, 0.05, 0.1, 0.2, 0.4)
    return LEVELS[sum(failed / finished > bound for bound in bounds)]


def timeline_rows(releases: pd.DataFrame, zone: ZoneInfo) -> Rows:
    """Return a row per plan and batch of the week's releases, and mark the row that speaks for its plan.

    Times are the zone's wall clock in milliseconds, as if it were UTC. The batch ends with its last release; where no
    end is known, `end` is the start. `outcome` is the worst of the batch, `plan_outcome` of the plan.
    """
    begun = releases[releases["started_at"].notna()]
    is_fine = ~release_outcomes(begun).isin(OUTCOMES[:3])
    by_plan = begun[[*PLAN, "started_at"]].assign(is_fine=is_fine).groupby(PLAN, observed=True)
    every = by_plan.agg(is_fine=("is_fine", "all"), start=("started_at", "min")).reset_index()
    worst = every.sort_values(["is_fine", "start", *PLAN], ignore_index=True).head(TIMELINE_PLANS)
    plans: dict[tuple[str, str], list[Row]] = {}
    for row in records(begun[pd.MultiIndex.from_frame(begun[PLAN]).isin(pd.MultiIndex.from_frame(worst[PLAN]))]):
        plans.setdefault((row["project_id"], row["plan_id"]), []).append(row)
    told = [_plan(key, rows) for key, rows in plans.items()]
    chosen = sorted(told, key=lambda plan: (plan["start"], plan["key"]))
    labels = _unique([short(plan["key"][1]) for plan in chosen])
    rows = []
    for place, (plan, label) in enumerate(zip(chosen, labels, strict=True)):
        batches: dict[Any, list[Row]] = {}
        for row in plan["rows"]:
            batches.setdefault(row["batch"], []).append(row)
        for number, batch in enumerate(batches.values()):
            part = _plan(plan["key"], batch)
            rows.append(
                {
                    "plan": label,
                    "place": place,
                    "start": _wall(part["start"], zone),
                    "end": _wall(part["end"], zone),
                    "outcome": part["outcome"],
                    "plan_outcome": plan["outcome"] if number == 0 else None,
                    "plan_start": _wall(plan["start"], zone),
                    "plan_end": _wall(plan["end"], zone),
                    "label": plan["label"],
                    "text": f"{whole(plan['key'][1])}, batch {batch[0]['batch']}: {part['label']}",
                    "open": query({"plan": key_of(plan["key"][1]), "project": key_of(plan["key"][0])}),
                }
            )
    more = len(every) - TIMELINE_PLANS
    return Rows(
        tuple(rows), f"{TIMELINE_PLANS} of {len(every):,} plans, those with failures first." if more > 0 else ""
    )


def release_outcome(row: Mapping[str, Any]) -> str:
    """Return the one word of OUTCOMES that says how a release stands: the worst that happened to it."""
    if row["rollbacks_failed"]:
        return "rollback failed"
    if row["outcome"] == "failed":
        return "failed"
    if row["rolled_back"]:
        return "rolled back"
    return "unfinished" if row["outcome"] in {"running", "pending"} else str(row["outcome"])


def release_outcomes(releases: pd.DataFrame) -> "pd.Series[str]":
    """Return the word of each release."""
    outcome = releases["outcome"]
    said = {
        "rollback failed": releases["rollbacks_failed"] > 0,
        "failed": outcome == "failed",
        "rolled back": releases["rolled_back"] > 0,
        "unfinished": outcome.isin(["running", "pending"]),
    }
    words = np.select(list(said.values()), list(said), outcome.astype("object"))
    return pd.Series(words, index=releases.index, dtype="str")


def _plan(key: tuple[str, str], rows: Sequence[Row]) -> Row:
    words = [release_outcome(row) for row in rows]
    outcome = min(words, key=OUTCOMES.index)
    count = words.count(outcome)
    start = min(row["started_at"] for row in rows)
    end = max([start, *(row["ended_at"] for row in rows if row["ended_at"] is not None)])
    label = (
        outcome
        if count == len(rows) == 1
        else f"{'all' if count == len(rows) else f'{count:,} of'} {len(rows):,} {outcome}"
    )
    return {"key": key, "rows": rows, "outcome": outcome, "start": start, "end": end, "label": label}


def _wall(instant: str, zone: ZoneInfo) -> int:
    local = datetime.fromisoformat(instant)
    with suppress(OverflowError):  # in the last hours that a calendar knows, of the year 9999
        local = local.astimezone(zone)
    return round(local.replace(tzinfo=UTC).timestamp() * 1000)


def short(name: object) -> str:
    """Return a name that fits beside a chart: its first letters, and a sign where there are more.

    >>> short("payment-reconciliation-worker")
    'payment-reconciliation-…'
    """
    text = clean(str(name)).strip() or "(none)"
    return text if len(text) <= NAME_LENGTH else f"{text[: NAME_LENGTH - 1]}…"


def whole(name: object) -> str:
    """Return a name for a tip, where there is room for all but the longest."""
    text = clean(str(name))
    return text if len(text) <= TIP_LENGTH else f"{text[: TIP_LENGTH - 1]}…"


def _unique(labels: Sequence[str]) -> list[str]:
    """Number the labels that have been used before."""
    seen: dict[str, int] = {}
    unique = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        unique.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return unique
