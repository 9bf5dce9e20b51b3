"""The first pass of each batch as SQL: the same rules as `batch_passes` in `reports/releases.py`."""

from archiver.views.joins import of_place
from archiver.views.words import BOOLEAN, FLOAT, INSTANT, INTEGER, TEXT, Dialect, View, ViewColumn, count_if, key

_IS_OVER = (
    "f.outcome IN ('succeeded', 'failed', 'aborted') AND f.duration_seconds IS NOT NULL AND f.ended_at IS NOT NULL"
)
_LABELS = ("team", "environment", "tier")
_PASS = (
    "batch",
    *_LABELS,
    "components",
    "failed",
    "started_at",
    "ended_at",
    "duration_seconds",
    "gap_seconds",
    "is_finished",
    "head_key",
)


def _of_plan(row: str, plan: str = "p") -> str:
    return f"{row}.project_id = {plan}.project_id AND {row}.plan_id = {plan}.plan_id"


def passes_of_plan(dialect: Dialect) -> str:
    """Return a query for the batches of the plan `p` around it that had components; each starts with `head_key`."""
    first = f"LEFT JOIN job_attempts AS f ON {of_place(dialect, 'f', 'c')} AND f.attempt = 1"
    begun = f"""SELECT c.batch, min(f.started_at) AS batch_started_at
    FROM components AS c {first} WHERE {_of_plan("c")} GROUP BY c.batch"""
    looks = [
        f"""SELECT min(x.first_seen_at) FROM {table} AS x
      WHERE {_of_plan("x")} AND x.first_seen_at >= b.batch_started_at"""
        for table in ("components", "job_attempts")
    ]
    looked = f"""SELECT b.*, ({looks[0]}) AS component_look_at, ({looks[1]}) AS attempt_look_at
    FROM ({begun}) AS b"""
    # A batch of several teams is no team's.
    labels = ", ".join(
        f"CASE WHEN count(lb.{name}) = count(*) AND min(lb.{name}) = max(lb.{name}) THEN min(lb.{name}) END AS {name}"
        for name in _LABELS
    )
    passes = f"""SELECT k.batch, {labels}, count(*) AS components, {count_if("f.outcome = 'failed'")} AS failed,
      min(f.started_at) AS started_at, {dialect.key_of_earliest("f.started_at", "f.attempt_key")} AS head_key,
      max(f.ended_at) AS ended_at, {count_if(_IS_OVER)} = count(*) AS is_finished
    FROM ({looked}) AS k
    JOIN components AS c ON {_of_plan("c")} AND {dialect.same("c.batch", "k.batch")} {first}
    LEFT JOIN component_labels AS lb ON lb.component_key = c.component_key AND f.attempt_key IS NOT NULL
    WHERE NOT (c.gone_at IS NOT NULL AND COALESCE(c.gone_at <= k.batch_started_at, true))
      AND NOT COALESCE(c.first_seen_at > k.component_look_at, false)
      AND NOT COALESCE(c.first_seen_at > k.attempt_look_at, false)
    GROUP BY k.batch"""
    lower = "OVER (ORDER BY o.batch NULLS LAST)"
    beside = f"""SELECT o.*, lag(o.is_finished) {lower} AS is_lower_finished, lag(o.ended_at) {lower} AS lower_ended_at
    FROM ({passes}) AS o"""
    return f"""SELECT i.batch, {", ".join(f"i.{name}" for name in _LABELS)}, i.components, i.failed, i.started_at,
    CASE WHEN i.is_finished THEN i.ended_at END AS ended_at,
    CASE WHEN i.is_finished THEN {dialect.seconds("i.started_at", "i.ended_at")} END AS duration_seconds,
    CASE WHEN i.is_lower_finished AND i.batch IS NOT NULL
      THEN {dialect.seconds("i.lower_ended_at", "i.started_at")} END AS gap_seconds,
    i.is_finished, i.head_key
  FROM ({beside}) AS i"""


def _batch_runs(dialect: Dialect) -> str:
    """Return the query. The start is a column of the attempt `h` that a batch starts with: so it is found by index.

    What is asked of `h` beside its key holds for each such attempt. It leaves few others in a span of time for whose
    plans the passes are worked out: none that was preceded by one whose component was seen no later and is not gone.
    """
    join, written = dialect.for_each(_PASS, passes_of_plan(dialect), "b")
    measured = ", ".join(f"{(written | {'started_at': 'h.started_at'})[name]} AS {name}" for name in _PASS[1:-1])
    identity = key("p.plan_key", f"COALESCE(CAST({written['batch']} AS TEXT), '')")
    earlier_key = f"e.attempt_key {dialect.by_code} < h.attempt_key {dialect.by_code}"
    preceding = f"""SELECT 1 FROM job_attempts AS e JOIN components AS ec ON {of_place(dialect, "ec", "e")}
  WHERE {_of_plan("e", "h")} AND {dialect.same("e.batch", "h.batch")} AND e.attempt = 1
    AND (e.started_at < h.started_at OR e.started_at = h.started_at AND {earlier_key}) AND ec.gone_at IS NULL
    AND ec.first_seen_at <= (SELECT hc.first_seen_at FROM components AS hc WHERE {of_place(dialect, "hc", "h")})
  LIMIT 1"""
    return f"""SELECT {identity} AS batch_run_key, p.plan_key, p.project_id,
  p.plan_id, {written["batch"]} AS batch, p.name AS plan_name, p.creator, p.action, {measured}
FROM plans AS p
{join}
LEFT JOIN job_attempts AS h ON h.attempt_key = {written["head_key"]}
  AND {_of_plan("h")} AND h.attempt = 1 AND ({preceding}) IS NULL
WHERE {written["components"]} > 0"""


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
        ViewColumn("team", TEXT, "Label that all its components share; NULL if there is none"),
        ViewColumn("environment", TEXT, "Label that all its components share; NULL if there is none"),
        ViewColumn("tier", TEXT, "Label that all its components share; NULL if there is none"),
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
    question="How long did each batch of one day's releases take?",
    example="SELECT plan_name, batch, duration_seconds, gap_seconds FROM batch_runs "
    "WHERE started_at >= '2026-11-16' AND started_at < '2026-11-17' ORDER BY plan_name, batch",
    query=_batch_runs,
)
