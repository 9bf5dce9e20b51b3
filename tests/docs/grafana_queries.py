"""The SQL of the Grafana dashboard's panels and variables, with Grafana's macros and variables in it."""

# Of the rows of a weekly view: the zone, projects and span that the dashboard shows. A week is shown where it begins.
_CHOSEN = "time_zone = ${time_zone:sqlstring} AND project_id IN (${project:sqlstring}) AND $__timeFilter(starts_at)"


def _wilson(hits: str, total: str, sign: str) -> str:
    """Return a bound of Wilson's 95 percent interval over sums, as the views have it for each component."""
    spread = f"sqrt({hits} * ({total} - {hits}) / {total} + 0.960364705173531)"
    return f"({hits} + 1.920729410347062 {sign} 1.959963984540054 * {spread}) / ({total} + 3.841458820694124)"


def _rate(view: str, hits: str, total: str, name: str) -> str:
    # NULL where nothing finished, also the bounds (greatest and least pass over NULL): a gap in the line, not 0.
    low, high = (_wilson("hits", "total", sign) for sign in "-+")
    return f"""SELECT starts_at AS "time", hits / total AS {name},
  CASE WHEN total > 0 THEN greatest(0, {low}) END AS ci_low,
  CASE WHEN total > 0 THEN least(1, {high}) END AS ci_high
FROM (
  SELECT starts_at, CAST(sum({hits}) AS double precision) AS hits,
    CAST(NULLIF(sum({total}), 0) AS double precision) AS total
  FROM ${{schema:raw}}.{view}
  WHERE {_CHOSEN}
  GROUP BY starts_at) AS w
ORDER BY starts_at"""


def _batches(column: str) -> str:
    return f"""SELECT starts_at AS "time", substr(project_id, 1, 8) || ' batch ' || batch AS metric, {column} AS value
FROM ${{schema:raw}}.weekly_batch_timing
WHERE {_CHOSEN}
  AND batch IN (${{batch:csv}})
ORDER BY starts_at, metric"""


QUERIES = {
    "freshness": """SELECT project_id, max(ended_at) AS last_saved_at,
  extract(epoch FROM now() - max(ended_at)) / 3600 AS hours_ago
FROM ${schema:raw}.runs
WHERE outcome IN ('complete', 'partial') AND kind <> 'import' AND project_id IN (${project:sqlstring})
GROUP BY project_id
ORDER BY hours_ago DESC""",
    "coverage": f"""SELECT starts_at AS "time", sum(nights_done) AS done, sum(nights_partial) AS partial,
  sum(nights_missed) AS missed
FROM ${{schema:raw}}.coverage
WHERE {_CHOSEN}
GROUP BY starts_at
ORDER BY starts_at""",
    "failure_rate": _rate("weekly_failure_rates", "failed", "finished", "failure_rate"),
    "attempts": f"""SELECT starts_at AS "time", sum(finished) AS finished, sum(failed) AS failed
FROM ${{schema:raw}}.weekly_failure_rates
WHERE {_CHOSEN}
GROUP BY starts_at
ORDER BY starts_at""",
    "rollback_rate": _rate("weekly_rollbacks", "rolled_back", "finished", "rollback_rate"),
    "rollbacks": f"""SELECT starts_at AS "time", sum(rollbacks) AS rollbacks, sum(rollbacks_failed) AS failed
FROM ${{schema:raw}}.weekly_rollbacks
WHERE {_CHOSEN}
GROUP BY starts_at
ORDER BY starts_at""",
    "batch_p50": _batches("p50_seconds"),
    "batch_p90": _batches("p90_seconds"),
    "components": f"""SELECT max(component) AS component, sum(failed) AS failed, sum(finished) AS finished,
  CAST(sum(failed) AS double precision) / NULLIF(sum(finished), 0) AS failure_rate
FROM ${{schema:raw}}.weekly_failure_rates
WHERE {_CHOSEN}
GROUP BY project_id, component_id
HAVING sum(failed) > 0
ORDER BY failed DESC, failure_rate DESC, component
LIMIT 20""",
    "failure_templates": f"""SELECT template, sum(count) AS failures, max(components) AS components_in_a_week,
  bool_or(is_new) AS is_new, max(last_seen_at) AS last_seen_at
FROM ${{schema:raw}}.failure_templates
WHERE {_CHOSEN}
  AND template IS NOT NULL
GROUP BY template_id, template
ORDER BY failures DESC, last_seen_at DESC
LIMIT 20""",
    "fetch_failures": """SELECT failed_at, project_id, plan_id, stage, error_code, message
FROM ${schema:raw}.fetch_failures
WHERE project_id IN (${project:sqlstring}) AND $__timeFilter(failed_at)
ORDER BY failed_at DESC
LIMIT 100""",
    "variable_project": "SELECT DISTINCT project_id FROM ${schema:raw}.runs ORDER BY project_id",
    "variable_time_zone": "SELECT DISTINCT time_zone FROM ${schema:raw}.weeks ORDER BY time_zone",
    # The first twenty: to look for those that are there would read every component.
    "variable_batch": "SELECT generate_series(1, 20)",
}
