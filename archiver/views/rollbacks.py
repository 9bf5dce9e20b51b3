"""Each rollback beside the release it belongs to, as SQL: the same rules as `reports/releases.py`."""

from archiver.views.joins import is_head, of_component, of_place, release_key, start_of
from archiver.views.words import FLOAT, INSTANT, INTEGER, TEXT, Dialect, View, ViewColumn


def _release_batch(dialect: Dialect) -> str:
    """The batch of the release of rollback `r`: that of its job, else its place, else the latest before it."""
    jobs = f"FROM job_attempts AS j WHERE {of_component('j', 'r')} AND j.job_id = r.job_id"
    # SQLite can't order by what lies outside a subquery: one layer more takes it in.
    latest = f"""SELECT o.batch FROM (
      SELECT h.batch, {start_of("h", "p")} AS started_at,
        CASE WHEN {start_of("h", "p")} < r.started_at THEN 0 ELSE 1 END AS is_later
      FROM job_attempts AS h JOIN plans AS p ON p.plan_key = h.plan_key
      WHERE {of_component("h", "r")} AND {is_head(dialect, "h")}) AS o
    ORDER BY o.is_later, o.started_at DESC NULLS LAST, o.batch DESC NULLS FIRST LIMIT 1"""
    return f"""CASE WHEN EXISTS (SELECT 1 {jobs}) THEN (SELECT j.batch {jobs} LIMIT 1)
    WHEN EXISTS (SELECT 1 FROM job_attempts AS j WHERE {of_place(dialect, "j", "r")}) THEN r.batch
    ELSE ({latest}) END"""


def _undone_ended_at() -> str:
    """The end of the attempt that rollback `b` undid: its job, else the latest that had started before it."""
    job = f"SELECT j.ended_at FROM job_attempts AS j WHERE {of_component('j', 'b')} AND j.job_id = b.job_id LIMIT 1"
    jobless = f"""SELECT o.ended_at FROM (
        SELECT u.ended_at, u.attempt, {start_of("u", "p")} AS started_at
        FROM job_attempts AS u JOIN plans AS p ON p.plan_key = u.plan_key
        WHERE {of_component("u", "b")} AND {{batch}}) AS o
      WHERE o.started_at < b.started_at ORDER BY o.started_at DESC, o.attempt DESC LIMIT 1"""
    return f"CASE WHEN b.job_id IS NOT NULL THEN ({job}) ELSE ({jobless}) END"


def _rollback_releases(dialect: Dialect) -> str:
    columns = (
        "rollback_key, plan_key, project_id, plan_id, component_id, batch, rollback_job_id, job_id, outcome, "
        "started_at, ended_at, first_seen_at"
    )
    owned = f"""SELECT {", ".join(f"r.{name}" for name in columns.split(", "))},
    {_release_batch(dialect)} AS release_batch
  FROM rollbacks AS r"""
    undone = _undone_ended_at().format(batch=dialect.same("u.batch", "b.release_batch"))
    timed = f"SELECT b.*, {undone} AS undone_ended_at FROM ({owned}) AS b"
    seconds = dialect.seconds("t.undone_ended_at", "t.ended_at")
    return f"""SELECT {", ".join(f"t.{name}" for name in columns.split(", "))},
  CASE WHEN EXISTS (SELECT 1 FROM job_attempts AS j WHERE {of_component("j", "t")})
    THEN {release_key("t", "release_batch")} END AS component_release_key,
  t.release_batch, t.undone_ended_at,
  CASE WHEN t.undone_ended_at <= t.ended_at THEN {seconds} END AS recovery_seconds
FROM ({timed}) AS t"""


ROLLBACK_RELEASES = View(
    name="rollback_releases",
    grain="A row is one rollback job, beside the component release that it belongs to: the one that holds its job, "
    "else that of its place, else the component's latest in the plan that started before it.",
    columns=(
        ViewColumn("rollback_key", TEXT, "Stable key of the row, as in `rollbacks`"),
        ViewColumn("plan_key", TEXT, "The plan's row in `plans`"),
        ViewColumn("project_id", TEXT, "Project the release belongs to"),
        ViewColumn("plan_id", TEXT, "Release task (the vendor's release plan)"),
        ViewColumn("component_id", TEXT, "Component; `missing:<name or position>` when none was sent"),
        ViewColumn("batch", INTEGER, "Batch in which the rollback was first seen"),
        ViewColumn("rollback_job_id", TEXT, "Rollback job; NULL if none was sent"),
        ViewColumn("job_id", TEXT, "The deployment job first seen beside it"),
        ViewColumn("outcome", TEXT, "How the rollback ended, our word"),
        ViewColumn("started_at", INSTANT, "When the rollback started"),
        ViewColumn("ended_at", INSTANT, "When the rollback ended"),
        ViewColumn("first_seen_at", INSTANT, "When the archive first saw the rollback"),
        ViewColumn(
            "component_release_key", TEXT, "The release in `component_releases`; NULL if the component has none"
        ),
        ViewColumn("release_batch", INTEGER, "Batch of that release"),
        ViewColumn("undone_ended_at", INSTANT, "End of the attempt rolled back: its job's, else the latest before it"),
        ViewColumn("recovery_seconds", FLOAT, "ended_at - undone_ended_at; NULL if negative or unknown"),
    ),
    question="Which rollbacks failed, and of which release?",
    example="SELECT c.plan_name, c.component, c.version, r.started_at FROM rollback_releases AS r "
    "JOIN component_releases AS c ON c.project_id = r.project_id AND c.plan_id = r.plan_id "
    "AND c.component_id = r.component_id AND COALESCE(c.batch, -1) = COALESCE(r.release_batch, -1) "
    "WHERE r.outcome = 'failed'",
    query=_rollback_releases,
)
