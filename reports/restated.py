"""What has changed since a report was issued: figure by figure, and fact by fact with the reason."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
import pandas as pd

from reports.columns import Contract, empty
from reports.definitions import DEFINITION_VERSIONS
from reports.tables import records
from reports.window import Window

# A row is one figure of a week that is told otherwise now.
FIGURES: Contract = {"week": "str", "table": "str", "figure": "str", "issued": "object", "now": "object"}

# A row is one attempt or rollback that is known otherwise now. `change` says what of it, `why` is one of the words of
# `_why`.
CHANGES: Contract = {
    "week": "str",
    "subject": "str",
    "project_id": "str",
    "plan_id": "str",
    "component_id": "str",
    "component": "str",
    "batch": "Int64",
    "job_id": "str",
    "change": "str",
    "why": "str",
}

_COMPARED = ("batch", "version", "outcome", "started_at", "ended_at")
_OVER = ("succeeded", "failed", "aborted")
_BY_WEEK = ("failure-rates", "rollbacks", "batch-timing", "delivery")
# What follows from the day of asking or from coverage is no restatement of a figure.
_LEFT_OUT = {"week", "is_cut", "provisional"}


@dataclass(frozen=True)
class Baseline:
    """An issued report to compare with, by its JSON file, and CHANGED_FACTS as known at its `as_of` and as known now.

    Without these, since the bodies of then were pruned or may not be read, only the figures are compared.
    """

    week: str
    as_of: datetime
    issued_at: datetime
    report: str
    report_sha256: str
    definition_versions: Mapping[str, int]
    facts: tuple[pd.DataFrame, pd.DataFrame] | None


@dataclass(frozen=True)
class Restated:
    """What is told otherwise than in the report that was issued for `week` and knew what was known at `as_of`.

    `redefined` names the definitions whose version changed since; `is_told_by_facts` is False where the bodies of
    then were pruned or may not be read, and only the figures could be compared.
    """

    week: str
    as_of: datetime
    issued_at: datetime
    report_sha256: str
    figures: pd.DataFrame
    changes: pd.DataFrame
    is_told_by_facts: bool
    redefined: tuple[str, ...]


def restated_since(baseline: Baseline, tables: Mapping[str, pd.DataFrame], window: Window) -> Restated:
    """Compare a report's tables, and the facts beneath, with an issued report."""
    versions = baseline.definition_versions
    return Restated(
        week=baseline.week,
        as_of=baseline.as_of,
        issued_at=baseline.issued_at,
        report_sha256=baseline.report_sha256,
        figures=changed_figures(baseline.report, tables),
        changes=empty(CHANGES) if baseline.facts is None else changed_facts(*baseline.facts, window, baseline.week),
        is_told_by_facts=baseline.facts is not None,
        redefined=tuple(
            name for name, version in DEFINITION_VERSIONS.items() if versions.get(name, version) != version
        ),
    )


def definition_breaks(issued: Mapping[str, Mapping[str, int]], window: Window) -> tuple[tuple[str, str], ...]:
    """Return each week from which a definition is another than before, with its name, the earliest week first.

    `issued` holds the definition versions of the reports issued on weeks of the window before its last, which this
    report tells by today's. A week on which no report was issued belongs to the newer definition.
    """
    labels = [week.label for week in window.weeks]
    told = [(week, issued[week]) for week in labels[:-1] if week in issued]
    told += [(week, DEFINITION_VERSIONS) for week in labels[-1:]]
    return tuple(
        (labels[labels.index(week) + 1], name)
        for (week, older), (_, newer) in pairwise(told)
        for name in newer
        if older.get(name, newer[name]) != newer[name]
    )


def restated_sentence(restated: Restated) -> str:
    """Say in a sentence what is told otherwise, and since when."""
    since = f"since {restated.week} was issued (it knew what was known on {restated.as_of:%Y-%m-%d %H:%M} UTC)"
    if restated.redefined:
        since += f"; the definition of {', '.join(restated.redefined)} has changed"
    if not restated.is_told_by_facts:
        since += "; which attempts and rollbacks is not told, since bodies of then were pruned or may not be read"
    if restated.figures.empty and restated.changes.empty:
        return f"Nothing has changed {since}."
    reasons = restated.changes["why"].value_counts(sort=False).sort_index()
    why = ", ".join(f"{word} {count}" for word, count in reasons.items())
    figures, changes = len(restated.figures), len(restated.changes)
    told = f"{figures:,} {'figure' if figures == 1 else 'figures'}"
    if changes:
        told += f", {changes:,} {'attempt or rollback' if changes == 1 else 'attempts and rollbacks'} ({why})"
    return f"{told} {'is' if figures + changes == 1 else 'are'} told otherwise {since}."


class _Issued(msgspec.Struct):
    """An issued report, of whose tables few are looked into: its releases alone may be most of it."""

    tables: dict[str, msgspec.Raw]


def changed_figures(issued: str, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compare an issued report's JSON with today's tables: the weeks that both tell, every figure, exactly."""
    then = msgspec.json.decode(issued, type=_Issued).tables
    rows = []
    for name in _BY_WEEK:
        now = {row["week"]: row for row in records(tables[name])}
        for was in json.loads(bytes(then[name])) if name in then else []:
            current = now.get(was["week"], {})
            rows += [
                {"week": was["week"], "table": name, "figure": figure, "issued": was[figure], "now": current[figure]}
                for figure in current
                if figure in was and figure not in _LEFT_OUT and was[figure] != current[figure]
            ]
    return pd.DataFrame(rows, columns=list(FIGURES), dtype="object").sort_values(
        "week", ascending=False, kind="stable", ignore_index=True
    )


def changed_facts(then: pd.DataFrame, now: pd.DataFrame, window: Window, last_week: str) -> pd.DataFrame:
    """Compare CHANGED_FACTS as known then with those as known now, in the window's weeks up to `last_week`.

    A fact that lay in one of these weeks by either knowledge is compared; its week is that of now.
    """
    both = then.merge(now, on=["subject", "fact_key"], how="outer", suffixes=("_then", ""), indicator=True)
    weeks = pd.DataFrame({name: window.week_of(both[name]).astype("str") for name in ("week_at", "week_at_then")})
    is_told = (weeks["week_at"].le(last_week) | weeks["week_at_then"].le(last_week)) & _is_otherwise(both)
    rows = []
    for row, week in zip(records(both[is_told]), weeks.loc[is_told].itertuples(index=False), strict=True):
        changes = [_change(name, row) for name in _COMPARED if row[f"{name}_then"] != row[name]]
        is_new = row["_merge"] == "right_only"
        about = {name: row[name] if row[name] is not None else row[f"{name}_then"] for name in _ABOUT}
        is_left = row["_merge"] == "left_only"
        words = f"not known then; {row['outcome']}" if is_new else "; ".join(changes)
        known_week = next(label for label in week if isinstance(label, str))
        rows.append(
            {
                "week": known_week,
                **about,
                "change": "no longer known" if is_left else words,
                "why": _why(row, is_new=is_new),
            }
        )
        rows[-1]["subject"] = row["subject"]
    table = pd.DataFrame(rows, columns=list(CHANGES))
    order = ["week", "project_id", "plan_id", "component_id", "subject", "job_id"]
    ascending = [False, *[True] * (len(order) - 1)]
    return table.sort_values(order, ascending=ascending, kind="stable", ignore_index=True)


_ABOUT = ("project_id", "plan_id", "component_id", "component", "batch", "job_id")


def _is_otherwise(both: pd.DataFrame) -> "pd.Series[bool]":
    """Say which facts are known otherwise, or at one time alone."""
    is_other = both["_merge"] != "both"
    for name in _COMPARED:
        was, now = both[f"{name}_then"], both[name]
        is_same = (was == now).astype("boolean").fillna(value=False) | (was.isna() & now.isna())
        is_other |= ~is_same.astype("bool")
    return is_other


def _change(name: str, row: Mapping[str, Any]) -> str:
    return f"{name.removesuffix('_at')} {_text(row[f'{name}_then'])} \N{RIGHTWARDS ARROW} {_text(row[name])}"


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    return str(value)


def _why(row: Mapping[str, Any], *, is_new: bool) -> str:
    """Say why a fact is known otherwise: the first that fits."""
    brought_by = row["first_run_kind"] if is_new else row["last_run_kind"]
    if brought_by == "import":
        return "import"
    if is_new:
        return "late rollback" if row["subject"] == "rollback" else "seen late"
    if row["outcome_then"] not in _OVER and row["outcome"] in _OVER:
        return "late finish"
    if row["outcome_then"] != row["outcome"] and row["outcome"] == "unknown":
        return "replaced unseen"
    return "changed upstream"
