"""Which releases stand behind a figure of the page: the filter under which its list of releases shows them."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

# Longer identifiers are told by their beginning and a hash: a filter needs to tell them apart, not to read them.
_LONGEST_KEY = 40

Filter = Mapping[str, str]

_RELEASES = {
    "releases": "",
    "attempts": "tried",
    "finished": "finished",
    "plans": "finished",
    "failed": "failed",
    "failure_rate": "finished",
    "rolled_back": "rolled-back",
    "rollback_rate": "finished",
    "rollbacks": "rolled-back",
    "rollbacks_failed": "rollback-failed",
    "change_failures": "change-failure",
    "change_failure_rate": "finished",
    "rework_attempts": "reworked",
    "rework_rate": "tried",
    "recovered": "recovered",
    "open_rollbacks": "open-rollback",
    "open_failures": "open-failure",
    "recovery_p50_seconds": "recovery-known",
    "recovery_p90_seconds": "recovery-known",
}
_ATTEMPTS = {
    "finished": "tried-finished",
    "failed": "tried-failed",
    "failure_rate": "tried-finished",
    "unfinished": "tried-unfinished",
    "aborted": "tried-aborted",
    "unknown": "tried-unknown",
}
_BATCHES = dict.fromkeys(
    [
        *("batches", "p50_seconds", "p90_seconds", "p99_seconds", "mean_seconds", "max_seconds", "gap_p50_seconds"),
        *("weeks", "slope_seconds_per_week", "times_slowest"),
    ],
    "timed",
)
_SURVIVAL = {
    **dict.fromkeys(["at_risk", "surfaced_rate", "survival_rate"], "at-risk"),
    **dict.fromkeys(["surfaced", "shipped_before_p50_rate", "shipped_before_mean_rate"], "surfaced"),
    **dict.fromkeys(["shipped_beside_mean_rate", "started_mean_rate"], "surfaced"),
    "reached": "",
}
_FLAKY = {"finished": "finished", "flaky": "flaky", "flaky_rate": "finished", "reruns": "rerun"}
_FLAGGED = {
    **dict.fromkeys(["finished", "failure_rate", "finished_before", "failure_rate_before"], "compared"),
    **dict.fromkeys(["failed", "failed_before"], "compared-failed"),
}

# By table, the count in which a release stands that a figure counts, or that a rate or a quantile is over.
_COUNTS: Mapping[str, Mapping[str, str]] = {
    "failure-rates": _ATTEMPTS,
    "failure-rates-by-component": _ATTEMPTS,
    "batch-timing": _BATCHES,
    "batch-timing-by-batch": _BATCHES,
    "batch-trend": _BATCHES,
    "slowest-components": _BATCHES,
    "batch-survival": _SURVIVAL,
    "flaky-components": _FLAKY,
    "flagged-components": _FLAGGED,
    "failures": dict.fromkeys(["count", "components"], ""),
    "rollback-failures": {},
    "release-rollbacks": _RELEASES | {"rolled_back": "rolled-back-7"},
    "releases": {},
    "coverage-by-project": {},
    "nights": {},
    "known-failures": {},
}
# The verdict counts within so many days of a release's end: by measure, its hits.
HITS = {"change_failure_rate": "change-failure-7", "rollback_rate": "rolled-back-7"}
# These tables are over all weeks, or tell of failures, which may be those of releases of any week.
_OVER_ALL = {"batch-trend", "batch-survival", "flaky-components", "failures", "rollback-failures"}
_OF_ATTEMPTS = {"failure-rates-by-component", "delivery-by-team"}
_PLACES = {
    "component": "component_id",
    "plan": "plan_id",
    "batch": "batch",
    "project": "project_id",
    "rank": "batch_rank",
    "template": "template_id",
    "team": "team",
}
ALL_WEEKS, NONE = "all", "-"


def row_filter(table: str, row: Mapping[str, Any], week: str) -> Filter:
    """Return what every figure of a row is about. Without a week it is this one, `week`."""
    if table in ("releases", "nights", "known-failures"):
        return {}
    columns = {key: column for key, column in _PLACES.items() if column in row}
    if table == "slowest-components":
        columns.pop("component")  # of its batch; only some of its figures are of the component
    if table == "rollback-failures":
        columns.pop("batch")  # the release that was rolled back may be of another
    about = {key: key_of(row[column]) for key, column in columns.items()}
    if table in _OVER_ALL:
        return about | {"week": ALL_WEEKS}
    return about | weeks_filter([row.get("week", week)], week)


def cell_filter(table: str, column: str, row: Mapping[str, Any], before: Iterable[str], week: str) -> Filter | None:
    """Return what a figure adds to its row's filter; None for a cell that counts no releases.

    `before` are the weeks that a figure of `…_before` is over.
    """
    if column == "nights_planned":
        return {"week": row.get("week", week)}  # the nights, not the releases
    of_component = {"component": key_of(row["component_id"])} if table == "slowest-components" else {}
    if column in ("component", "batch", "batch_rank", "team") and table != "releases":
        # A group of attempts may have none but those of releases that began in another week.
        return {"is": "tried"} if table in _OF_ATTEMPTS else of_component if column == "component" else {}
    if table == "verdict":
        stem = column.removesuffix("_before")
        count = HITS[row["measure"]] if stem == "hits" else {"finished": "finished", "plans": "finished"}.get(stem)
        count = "finished" if stem == "rate" else count
    elif table == "restated-figures":
        count = _COUNTS.get(row["table"], _RELEASES).get(row["figure"]) if column in ("issued", "now") else None
    else:
        count = _COUNTS.get(table, _RELEASES).get(column)
    if count is None:
        return None
    found: dict[str, str] = {"is": count} if count else {}
    if column != "batches":
        found |= of_component
    if column.endswith("_before"):
        found |= weeks_filter(before, week)
    return found


def weeks_filter(weeks: Iterable[str], week: str) -> dict[str, str]:
    """Return the filter for some weeks; none is needed for this week alone."""
    named = list(weeks)
    return {} if named == [week] else {"week": ",".join(named)}


def query(*filters: Filter) -> str:
    """Write filters as they stand in the page's address, a later one before an earlier one that has the same key."""
    both = {key: value for one in filters for key, value in one.items()}
    return "&".join(f"{key}={quote(value, safe=',')}" for key, value in both.items())


def key_of(value: Any) -> str:
    """Return an identifier as the filter knows it; a missing one has a sign that no other has.

    >>> key_of("api"), key_of(None), key_of("long " * 20)
    ('api', '-', 'long long long l~ca75507b7305')
    """
    text = NONE if value is None else str(value)
    if value is None or (len(text) <= _LONGEST_KEY and text not in ("", NONE)):
        return text
    return f"{text[: _LONGEST_KEY - 24]}~{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"
