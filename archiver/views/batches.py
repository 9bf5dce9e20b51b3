"""The first pass of each batch as SQL: the same rules as `batch_passes` in `reports/releases.py`."""

from archiver.views.joins import WEEK, in_week, of_place
from archiver.views.words import BOOLEAN, FLOAT, INSTANT, INTEGER, TEXT, Dialect, View, ViewColumn, count_if, key

_PLAN = ("project_id", "plan_id", "plan_key")


def pass_rows(dialect: Dialect, *, weekly: bool = False) -> str:
    """Return a query for every batch that had components; `weekly` those of the plans at work in each week.

    Layer upon layer, each read once, so that what is asked of a week or a plan reaches the innermost.
    """
    week = WEEK if weekly else ()
    own = ", ".join((*week, *_PLAN))
    touched = (
        f"""SELECT {", ".join(f"w.{name}" for name in week)}, f.project_id, f.plan_id, f.plan_key
    FROM weeks AS w CROSS JOIN job_attempts AS f WHERE f.attempt = 1 AND {in_week("f.started_at")}
    GROUP BY {", ".join(f"w.{name}" for name in week)}, f.project_id, f.plan_id, f.plan_key"""
        if weekly
        else f"SELECT {own} FROM plans"
    )

    def of_row(names: tuple[str, ...], row: str) -> str:
        return ", ".join(f"{row}.{name}" for name in names)

    places = "c.project_id = {0}.project_id AND c.plan_id = {0}.plan_id"
    first = f"LEFT JOIN job_attempts AS f ON {of_place(dialect, 'f', 'c')} AND f.attempt = 1"
    begun = f"""SELECT {of_row((*week, *_PLAN), "t")}, c.batch, min(f.started_at) AS batch_started_at
  FROM ({touched}) AS t JOIN components AS c ON {places.format("t")} {first}
  GROUP BY {of_row((*week, *_PLAN), "t")}, c.batch"""
    sightings = " UNION ALL ".join(
        f"""SELECT x.first_seen_at FROM {table} AS x
    WHERE x.project_id = b.project_id AND x.plan_id = b.plan_id AND x.first_seen_at >= b.batch_started_at"""
        for table in ("components", "job_attempts")
    )
    looked = f"""SELECT b.*, (SELECT min(s.first_seen_at) FROM ({sightings}) AS s) AS first_look_at
  FROM ({begun}) AS b"""
    is_over = (
        "f.outcome IN ('succeeded', 'failed', 'aborted') AND f.duration_seconds IS NOT NULL AND f.ended_at IS NOT NULL"
    )
    passes = f"""SELECT {of_row((*week, *_PLAN, "batch"), "k")},
    count(*) AS components, {count_if("f.outcome = 'failed'")} AS failed,
    {count_if(is_over)} = count(*) AS is_finished, min(f.started_at) AS started_at, max(f.ended_at) AS ended_at
  FROM ({looked}) AS k JOIN components AS c ON {places.format("k")} AND {dialect.same("c.batch", "k.batch")} {first}
  WHERE NOT (c.gone_at IS NOT NULL AND COALESCE(c.gone_at <= k.batch_started_at, true))
    AND NOT COALESCE(c.first_seen_at > k.first_look_at, false)
  GROUP BY {of_row((*week, *_PLAN, "batch"), "k")}"""
    lower = f"OVER (PARTITION BY {own} ORDER BY batch NULLS LAST)"
    beside = f"""SELECT g.*, lag(g.is_finished) {lower} AS is_lower_finished, lag(g.ended_at) {lower} AS lower_ended_at
  FROM ({passes}) AS g"""
    return f"""SELECT {own}, batch, components, failed, started_at,
  CASE WHEN is_finished THEN ended_at END AS ended_at,
  CASE WHEN is_finished THEN {dialect.seconds("started_at", "ended_at")} END AS duration_seconds,
  CASE WHEN is_lower_finished AND batch IS NOT NULL
    THEN {dialect.seconds("lower_ended_at", "started_at")} END AS gap_seconds,
  is_finished
FROM ({beside}) AS passes"""


def _batch_runs(dialect: Dialect) -> str:
    return f"""SELECT {key("b.plan_key", "COALESCE(CAST(b.batch AS TEXT), '')")} AS batch_run_key, b.plan_key,
  b.project_id, b.plan_id, b.batch, p.name AS plan_name, p.creator, p.action,
  CAST(NULL AS TEXT) AS team, CAST(NULL AS TEXT) AS environment, CAST(NULL AS TEXT) AS tier,
  b.components, b.failed, b.started_at, b.ended_at, b.duration_seconds, b.gap_seconds, b.is_finished
FROM ({pass_rows(dialect)}) AS b JOIN plans AS p ON p.plan_key = b.plan_key"""


BATCH_RUNS = View(
    name="batch_runs",
    grain="A row is the first pass of one batch of a plan: the first attempts of the components that were there "
    "when it started.",
    columns=(
        ViewColumn("batch_run_key", TEXT, "Stable key of the row: plan key and batch"),
        ViewColumn("plan_key", TEXT, "The plan's row in `plans`"),
        ViewColumn("project_id", TEXT, "Project the release belongs to"),
        ViewColumn("plan_id", TEXT, "Release task (the vendor's release plan)"),
        ViewColumn("batch", INTEGER, "Release batch (`seq`); NULL when it was no number"),
        ViewColumn("plan_name", TEXT, "Name of the release task"),
        ViewColumn("creator", TEXT, "Who created the plan"),
        ViewColumn("action", TEXT, "create, upgrade or clone, as it came"),
        ViewColumn("team", TEXT, "Label; NULL if unlabelled"),
        ViewColumn("environment", TEXT, "Label; NULL if unlabelled"),
        ViewColumn("tier", TEXT, "Label; NULL if unlabelled"),
        ViewColumn("components", INTEGER, "Components that were there at its start"),
        ViewColumn("failed", INTEGER, "Those whose first attempt failed"),
        ViewColumn("started_at", INSTANT, "Earliest start of their first attempts; NULL if none has one"),
        ViewColumn("ended_at", INSTANT, "Latest end of their first attempts; NULL while it is not finished"),
        ViewColumn("duration_seconds", FLOAT, "ended_at - started_at; NULL while it is not finished"),
        ViewColumn(
            "gap_seconds",
            FLOAT,
            "Start minus the end of the plan's nearest lower batch; may be negative; NULL if that isn't finished",
        ),
        ViewColumn("is_finished", BOOLEAN, "Whether each component has a first attempt that is over, times possible"),
    ),
    question="Which batch of each release took longest?",
    example="SELECT plan_name, batch, duration_seconds FROM batch_runs AS b WHERE duration_seconds = "
    "(SELECT max(o.duration_seconds) FROM batch_runs AS o WHERE o.plan_key = b.plan_key)",
    query=_batch_runs,
)
