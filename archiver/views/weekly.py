"""What the weekly views share: known weeks, the nights beside them, and how events are counted by week and group."""

from collections.abc import Mapping

from archiver.views.joins import WEEK, inferred_start
from archiver.views.words import DATE, FLOAT, INSTANT, INTEGER, TEXT, Dialect, ViewColumn, escaped, key

_NIGHTS = ("nights_planned", "nights_done", "nights_partial", "nights_missed")

COVERAGE = """CASE WHEN v.nights_planned > 0 AND v.nights_done = v.nights_planned THEN 'complete'
    WHEN v.nights_done + v.nights_partial = 0 THEN 'none' ELSE 'partial' END"""


def known_weeks(dialect: Dialect) -> str:
    """Each project's weeks, from its first attempt, run or night to its last."""
    sources = {
        "attempt_at": ("a.started_at", "job_attempts AS a WHERE a.project_id = r.project_id"),
        "inferred_at": (
            inferred_start("a", "p"),
            """job_attempts AS a JOIN plans AS p ON p.plan_key = a.plan_key
        WHERE a.project_id = r.project_id AND a.started_at IS NULL AND a.outcome = 'failed'""",
        ),
        "night_date": ("n.night_date", "nights AS n WHERE n.project_id = r.project_id"),
    }
    bounds = ",\n      ".join(
        f"(SELECT {aggregate}({value}) FROM {source}) AS {end}_{name}"
        for name, (value, source) in sources.items()
        for end, aggregate in (("first", "min"), ("last", "max"))
    )
    return f"""SELECT {", ".join(f"w.{name}" for name in WEEK)}, k.project_id
  FROM weeks AS w JOIN (
    SELECT r.project_id, min(r.started_at) AS first_run_at, max(r.started_at) AS last_run_at,
      {bounds}
    FROM runs AS r GROUP BY r.project_id) AS k
  ON (w.ends_at > k.first_run_at OR w.ends_at > k.first_attempt_at OR w.ends_at > k.first_inferred_at
      OR {dialect.next_week("w.week_start_date")} > k.first_night_date)
    AND (w.starts_at <= k.last_run_at OR w.starts_at <= k.last_attempt_at OR w.starts_at <= k.last_inferred_at
      OR w.week_start_date <= k.last_night_date)"""


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
    counts: Mapping[str, str],
    measures: Mapping[str, str] | None = None,
    ranked: tuple[str, ...] = (),
    spread: str | None = None,
    said: Mapping[str, str],
) -> str:
    """Return a weekly view's query: events counted by week, project and group, beside the week's nights.

    `events` yields what happened in the week and project of `w`: the group and what `counts` (0 without events)
    and `measures` (NULL without) aggregate, the quantiles among them of the columns `ranked`. `said` are the
    columns shown, of `v`, which also has `spread`. A project's known week without any event is one row without
    a group.
    """
    sums = {**counts, **(measures or {})}
    counted = f"""SELECT {group}, {", ".join(f"{text} AS {name}" for name, text in sums.items())}
FROM ({dialect.ranked(events, ranked, group)}) AS e GROUP BY {group}"""
    join, written = dialect.for_each((group, *sums), counted, "g")
    shown = [f"{written[group]} AS {group}"]
    shown += [f"CAST(COALESCE({written[name]}, 0) AS BIGINT) AS {name}" for name in counts]
    shown += [f"{written[name]} AS {name}" for name in measures or {}]
    rows = f"""SELECT w.*, {", ".join(shown)}
FROM ({known_weeks(dialect)}) AS w
{join}"""
    columns = ",\n  ".join(f"{text} AS {name}" for name, text in said.items())
    identity = key("v.time_zone", "v.week", escaped("v.project_id"))
    return f"""SELECT {identity} || COALESCE('/' || CAST(v.{group} AS TEXT), '') AS {row_key},
  {", ".join(f"v.{name}" for name in WEEK)}, v.project_id, v.{group},
  {columns},
  v.nights_planned, v.nights_done,
  {COVERAGE} AS coverage
FROM ({with_nights(dialect, rows, f", {spread} AS spread" if spread else "")}) AS v"""


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
        ViewColumn("ci_low", FLOAT, "Lower bound of its Wilson interval at 95 percent"),
        ViewColumn("ci_high", FLOAT, "Upper bound of its Wilson interval at 95 percent"),
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
