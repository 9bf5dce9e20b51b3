"""What the weekly views share: known weeks, the nights beside them, and how events are counted by week and group."""

from collections.abc import Mapping

from archiver.views.joins import WEEK
from archiver.views.words import DATE, FLOAT, INSTANT, INTEGER, TEXT, Dialect, ViewColumn, escaped, key, total

_NIGHTS = ("nights_planned", "nights_done", "nights_partial", "nights_missed")

COVERAGE = """CASE WHEN v.nights_planned > 0 AND v.nights_done = v.nights_planned THEN 'complete'
    WHEN v.nights_done + v.nights_partial = 0 THEN 'none' ELSE 'partial' END"""


def known_weeks(dialect: Dialect) -> str:
    """Each project's weeks, from its first attempt, run or night to its last run or night."""
    return f"""SELECT {", ".join(f"w.{name}" for name in WEEK)}, k.project_id
  FROM weeks AS w JOIN (
    SELECT r.project_id, min(r.started_at) AS first_run_at, max(r.started_at) AS last_run_at,
      (SELECT min(a.started_at) FROM job_attempts AS a WHERE a.project_id = r.project_id) AS first_attempt_at,
      (SELECT min(n.night_date) FROM nights AS n WHERE n.project_id = r.project_id) AS first_night_date,
      (SELECT max(n.night_date) FROM nights AS n WHERE n.project_id = r.project_id) AS last_night_date
    FROM runs AS r GROUP BY r.project_id) AS k
  ON (w.ends_at > k.first_run_at OR w.ends_at > k.first_attempt_at
      OR {dialect.next_week("w.week_start_date")} > k.first_night_date)
    AND (w.starts_at <= k.last_run_at OR w.week_start_date <= k.last_night_date)"""


def with_nights(dialect: Dialect, rows: str, more: str = "") -> str:
    """Add to rows of (week, project) how many nights were planned, done, done in part and missed."""
    found = f"""FROM nights AS n WHERE n.project_id = r.project_id AND n.night_date >= r.week_start_date
    AND n.night_date < {dialect.next_week("r.week_start_date")}"""
    states = {name: f" AND n.state = '{name.removeprefix('nights_')}'" for name in _NIGHTS[1:]}
    counts = ",\n  ".join(f"(SELECT count(*) {found}{states.get(name, '')}) AS {name}" for name in _NIGHTS)
    return f"SELECT r.*{more},\n  {counts}\nFROM ({rows}) AS r"


def weekly_query(
    dialect: Dialect,
    *,
    row_key: str,
    group: str,
    events: str,
    event_columns: tuple[str, ...],
    sums: Mapping[str, str],
    spread: str | None = None,
    said: Mapping[str, str],
    measures: tuple[str, ...] = (),
) -> str:
    """Return a weekly view's query: events counted by week, project and group, beside the week's nights.

    `events` yields the week, `project_id`, the group and `event_columns`; `sums` count them; `said` are the
    columns shown, of `v`, which also has `spread`; `measures` are the event columns that quantiles are asked of.
    A project's known week without any event is one row without a group.
    """
    week = ", ".join(WEEK)
    grouped = f"{week}, project_id, {group}"
    missing = ", ".join(f"NULL AS {name}" for name in (group, *event_columns))
    rows = f"""SELECT {grouped}, {", ".join(event_columns)}, 1 AS is_event FROM ({events}) AS happened
UNION ALL
SELECT {week}, project_id, {missing}, 0 AS is_event FROM ({known_weeks(dialect)}) AS known"""
    counts = ",\n  ".join(f"{text} AS {name}" for name, text in sums.items())
    counted = f"""SELECT {grouped}, {total("is_event")} AS event_count,
  {counts}
FROM ({dialect.ranked(rows, measures, grouped)}) AS e GROUP BY {grouped}"""
    beside = f"""SELECT c.*, sum(event_count) OVER (PARTITION BY {week}, project_id) AS project_event_count
FROM ({counted}) AS c"""
    kept = f"SELECT b.* FROM ({beside}) AS b WHERE event_count > 0 OR project_event_count = 0"
    shown = ",\n  ".join(f"{text} AS {name}" for name, text in said.items())
    identity = key("v.time_zone", "v.week", escaped("v.project_id"))
    return f"""SELECT {identity} || COALESCE('/' || CAST(v.{group} AS TEXT), '') AS {row_key},
  {", ".join(f"v.{name}" for name in WEEK)}, v.project_id, v.{group},
  {shown},
  v.nights_planned, v.nights_done,
  {COVERAGE} AS coverage
FROM ({with_nights(dialect, kept, f", {spread} AS spread" if spread else "")}) AS v"""


def week_columns(row_key: str, of: str) -> tuple[ViewColumn, ...]:
    """Return the columns with which every weekly view begins."""
    return (
        ViewColumn(row_key, TEXT, f"Stable key of the row: {of}"),
        ViewColumn("time_zone", TEXT, "IANA zone the week is counted in; choose one"),
        ViewColumn("week", TEXT, "ISO week, such as 2026-W47"),
        ViewColumn("week_start_date", DATE, "Its Monday"),
        ViewColumn("starts_at", INSTANT, "Its first instant"),
        ViewColumn("ends_at", INSTANT, "The first instant after it"),
        ViewColumn("project_id", TEXT, "Project"),
    )


def rate_columns(name: str, comment: str) -> tuple[ViewColumn, ...]:
    """Return a rate's column and those of its interval."""
    return (
        ViewColumn(name, FLOAT, f"{comment}; NULL where nothing finished"),
        ViewColumn("ci_low", FLOAT, "Lower bound of its 95 % interval (Wilson)"),
        ViewColumn("ci_high", FLOAT, "Upper bound of its 95 % interval (Wilson)"),
    )


NIGHT_COLUMNS = (
    ViewColumn("nights_planned", INTEGER, "Nights of the project that fell due in the week"),
    ViewColumn("nights_done", INTEGER, "Those that a complete run served"),
)
COVERAGE_COLUMN = ViewColumn(
    "coverage", TEXT, "complete (nights were planned, all are done), none (not one, even in part), else partial"
)
COMPONENT_COLUMNS = (
    ViewColumn("component_id", TEXT, "Component; NULL in the one row of a week in which nothing was"),
    ViewColumn("component", TEXT, "The component's latest name: in the plan where it started last"),
)
