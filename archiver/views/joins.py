"""What rows have to do with each other: attempts, places, starts, names, and the week they lie in.

Each is a probe by (project, plan, component), never a window over a table: a question about one week then
touches that week's plans alone, on both databases.
"""

from archiver.views.words import Dialect

WEEK = ("time_zone", "week", "week_start_date", "starts_at", "ends_at")


def in_week(instant: str) -> str:
    """Whether an instant lies in the week `w`."""
    return f"{instant} >= w.starts_at AND {instant} < w.ends_at"


def inferred_start(attempt: str, plan: str) -> str:
    """Return where a failed attempt without a start belongs in time."""
    return f"COALESCE({plan}.executed_at, {attempt}.first_seen_at)"


def start_of(attempt: str, plan: str) -> str:
    """Return an attempt's start, real or inferred."""
    return (
        f"CASE WHEN {attempt}.started_at IS NOT NULL THEN {attempt}.started_at "
        f"WHEN {attempt}.outcome = 'failed' THEN {inferred_start(attempt, plan)} END"
    )


def of_component(one: str, other: str) -> str:
    """Whether two rows are of the same component in the same plan."""
    return " AND ".join(f"{one}.{name} = {other}.{name}" for name in ("project_id", "plan_id", "component_id"))


def of_place(dialect: Dialect, one: str, other: str) -> str:
    """Whether two rows are of the same component in the same batch of the same plan."""
    return f"{of_component(one, other)} AND {dialect.same(f'{one}.batch', f'{other}.batch')}"


def is_head(dialect: Dialect, attempt: str) -> str:
    """Whether a release starts with this attempt: its first with a start, else its first."""

    def has_start(row: str) -> str:
        return f"({row}.started_at IS NOT NULL OR {row}.outcome = 'failed')"

    return f"""NOT EXISTS (
    SELECT 1 FROM job_attempts AS e WHERE {of_place(dialect, "e", attempt)}
      AND ({has_start("e")} AND NOT {has_start(attempt)}
        OR {has_start("e")} = {has_start(attempt)} AND e.attempt < {attempt}.attempt))"""


def release_key(row: str, batch: str) -> str:
    """Return a component release's key."""
    return f"{row}.plan_key || '/' || COALESCE(CAST({row}.{batch} AS TEXT), '') || '/' || {row}.component_id"


def latest_name(dialect: Dialect, row: str) -> str:
    """Return a component's name in the plan where it started last."""

    def among(condition: str, order: str) -> str:
        return f"""(
    SELECT c.name FROM job_attempts AS n JOIN components AS c ON {of_component("c", "n")}
    WHERE n.project_id = {row}.project_id AND n.component_id = {row}.component_id
      AND n.started_at {condition} AND c.name IS NOT NULL
    ORDER BY {order}c.last_seen_at DESC, c.first_seen_at DESC, c.component_key {dialect.by_code} LIMIT 1)"""

    # In two steps, since PostgreSQL walks an index backwards only where NULL can't be.
    return f"COALESCE({among('IS NOT NULL', 'n.started_at DESC, ')}, {among('IS NULL', '')})"
