"""Component releases as SQL: the same rules as `reports/releases.py`."""

from archiver.views.joins import in_week, inferred_start, is_head, latest_name, of_component, of_place, release_key
from archiver.views.words import BOOLEAN, FLOAT, INSTANT, INTEGER, TEXT, Dialect, View, ViewColumn, count_if

_HELD = ("rollbacks", "rollbacks_failed", "rollback_outcome", "recovery_seconds")


def _held_rollbacks(dialect: Dialect) -> str:
    """Return a query for the one row that sums up the rollbacks of the release of attempt `a`."""
    latest = "COALESCE(r.started_at, r.ended_at, r.first_seen_at) DESC"
    earliest = f"""COALESCE(r.started_at, r.ended_at) NULLS LAST, r.first_seen_at,
      r.rollback_job_id {dialect.by_code} NULLS LAST"""
    succeeded = "CASE WHEN r.outcome = 'succeeded' THEN 0 ELSE 1 END"
    held = f"""SELECT r.outcome, r.recovery_seconds,
    row_number() OVER (ORDER BY {succeeded}, {latest}, r.rollback_key {dialect.by_code} DESC) AS latest_place,
    row_number() OVER (ORDER BY {succeeded}, {earliest}) AS earliest_place
  FROM rollback_releases AS r WHERE {of_component("r", "a")} AND {dialect.same("r.release_batch", "a.batch")}"""
    return f"""SELECT count(*) AS rollbacks, {count_if("s.outcome = 'failed'")} AS rollbacks_failed,
    max(CASE WHEN s.latest_place = 1 THEN s.outcome END) AS rollback_outcome,
    max(CASE WHEN s.earliest_place = 1 AND s.outcome = 'succeeded' THEN s.recovery_seconds END) AS recovery_seconds
  FROM ({held}) AS s"""


def release_rows(dialect: Dialect, columns: tuple[str, ...], *, within_week: bool = False, where: str = "true") -> str:
    """Return a query for component releases with the named columns: all, or those of the week `w` around it.

    `where` may ask more of the head attempt `a`, the plan `p` and the last attempt `l`. Releases with a real
    start and the others are apart, so that a span of time finds the former by index.
    """
    join, written = dialect.for_each(_HELD, _held_rollbacks(dialect), "h")
    known = _columns(dialect) | written
    known["rolled_back"] = f"CAST(CASE WHEN {written['rollbacks']} > 0 THEN 1 ELSE 0 END AS BIGINT)"

    def part(started_at: str, is_start_inferred: str, condition: str) -> str:
        said = known | {"started_at": started_at, "is_start_inferred": is_start_inferred}
        chosen = ",\n  ".join(f"{said[name]} AS {name}" for name in columns)
        return f"""SELECT {chosen}
FROM job_attempts AS a
JOIN plans AS p ON p.plan_key = a.plan_key
JOIN job_attempts AS l ON l.attempt_key = (
  SELECT z.attempt_key FROM job_attempts AS z WHERE {of_place(dialect, "z", "a")} ORDER BY z.attempt DESC LIMIT 1)
{join}
WHERE {condition} AND {in_week(started_at) if within_week else "true"} AND {where}
  AND {is_head(dialect, "a")}"""

    begun = part("a.started_at", "a.started_at IS NULL", "a.started_at IS NOT NULL")
    inferred = f"CASE WHEN a.outcome = 'failed' THEN {inferred_start('a', 'p')} END"
    others = part(inferred, "a.started_at IS NULL AND a.outcome = 'failed'", "a.started_at IS NULL")
    return f"{begun}\nUNION ALL\n{others}"


def _label(dialect: Dialect, name: str) -> str:
    """Return a label of the place of attempt `a`."""
    return f"""(SELECT lb.{name}
    FROM components AS lc JOIN component_labels AS lb ON lb.component_key = lc.component_key
    WHERE {of_place(dialect, "lc", "a")})"""


def _columns(dialect: Dialect) -> dict[str, str]:
    return {
        "component_release_key": release_key("a", "batch"),
        "plan_key": "a.plan_key",
        **{name: f"a.{name}" for name in ("project_id", "plan_id", "component_id", "batch")},
        "plan_name": "p.name",
        "component": latest_name(dialect, "a"),
        "creator": "p.creator",
        "action": "p.action",
        **{name: _label(dialect, name) for name in ("team", "environment", "tier")},
        "version": "l.version",
        "attempts": f"(SELECT count(*) FROM job_attempts AS z WHERE {of_place(dialect, 'z', 'a')})",
        "outcome": "l.outcome",
        "ended_at": "l.ended_at",
    }


_COLUMNS = (
    ViewColumn("component_release_key", TEXT, "Stable key of the row: plan key, batch and component"),
    ViewColumn("plan_key", TEXT, "The plan's row in `plans`"),
    ViewColumn("project_id", TEXT, "Project the release belongs to"),
    ViewColumn("plan_id", TEXT, "Release task (the vendor's release plan)"),
    ViewColumn("component_id", TEXT, "Component; `missing:<name or position>` when none was sent"),
    ViewColumn("batch", INTEGER, "Release batch (`seq`); NULL when it was no number"),
    ViewColumn("plan_name", TEXT, "Name of the release task"),
    ViewColumn("component", TEXT, "The component's latest name: in the plan where it started last"),
    ViewColumn("creator", TEXT, "Who created the plan"),
    ViewColumn("action", TEXT, "create, upgrade or clone, as it came"),
    ViewColumn("team", TEXT, "Label; NULL if unlabelled"),
    ViewColumn("environment", TEXT, "Label; NULL if unlabelled"),
    ViewColumn("tier", TEXT, "Label; NULL if unlabelled"),
    ViewColumn("version", TEXT, "Component version of its last attempt"),
    ViewColumn("attempts", INTEGER, "Attempts known"),
    ViewColumn("outcome", TEXT, "How its last attempt ended; a rollback does not change it"),
    ViewColumn("rolled_back", INTEGER, "1 if it has a rollback of any state, else 0"),
    ViewColumn(
        "rollback_outcome", TEXT, "succeeded if any rollback did, else the latest one's outcome; NULL without one"
    ),
    ViewColumn("rollbacks", INTEGER, "Rollback jobs"),
    ViewColumn("rollbacks_failed", INTEGER, "Rollback jobs that failed"),
    ViewColumn("started_at", INSTANT, "Start of its first attempt that has one, real or inferred; NULL without"),
    ViewColumn(
        "is_start_inferred", BOOLEAN, "Whether that start is the plan's executed_at, else when it was first seen"
    ),
    ViewColumn("ended_at", INSTANT, "End of its last attempt"),
    ViewColumn(
        "recovery_seconds",
        FLOAT,
        "From the end of the attempt rolled back to the end of the first successful rollback; "
        "NULL if negative or unknown",
    ),
)

COMPONENT_RELEASES = View(
    name="component_releases",
    grain="A row is one component release: a component's place (project, plan, component, batch) with an attempt.",
    columns=_COLUMNS,
    question="Which releases of last week were rolled back, and how did the rollback end?",
    example="SELECT plan_name, component, outcome, rollback_outcome, recovery_seconds FROM component_releases "
    "WHERE started_at >= '2026-11-16' AND started_at < '2026-11-23' AND rolled_back = 1",
    query=lambda dialect: release_rows(dialect, tuple(column.name for column in _COLUMNS)),
)
