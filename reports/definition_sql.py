"""The SQL that gives each metric on the archive: the same text on SQLite and PostgreSQL wherever that can be.

`:time_zone` and `:week` stand for a zone and a week of the table `weeks`, such as UTC and 2026-W47.
"""

from collections.abc import Mapping

DATABASES = ("sqlite", "postgresql")
REPORT_WEEKS = 26  # over which the weekly report reckons a trend


def _in_week(instant: str) -> str:
    return (
        f"JOIN weeks AS w ON w.time_zone = :time_zone AND w.week = :week\n"
        f"  AND {instant} >= w.starts_at AND {instant} < w.ends_at"
    )


def _last_weeks(count: int) -> str:
    """Return a query for the weeks up to `:week`, with how far back each lies (1 is the week itself)."""
    return f"""SELECT * FROM (
    SELECT week, starts_at, ends_at, row_number() OVER (ORDER BY week_start_date DESC) AS back
    FROM weeks WHERE time_zone = :time_zone AND week <= :week) AS w
  WHERE back <= {count}"""


def _quantile(share: float, value: str, place: str = "place", top: str = "top") -> str:
    """Interpolate linearly: each value weighs as much as it is near to the place looked for (0 is the least)."""
    off = f"abs({place} - {share} * {top})"
    return f"sum({value} * CASE WHEN {off} < 1 THEN 1 - {off} ELSE 0 END)"


def _everywhere(text: str) -> Mapping[str, str]:
    return dict.fromkeys(DATABASES, text)


_IS_FINISHED = "c.outcome IN ('succeeded', 'failed')"
_IS_CHANGE_FAILURE = "c.outcome = 'failed' OR c.outcome = 'succeeded' AND c.rolled_back = 1"
_ATTEMPT_START = (
    "COALESCE(a.started_at, CASE WHEN a.outcome = 'failed' THEN COALESCE(p.executed_at, a.first_seen_at) END)"
)
_SAME_PLACE = (
    "{0}.plan_key = {1}.plan_key AND {0}.component_id = {1}.component_id\n"
    "      AND ({0}.batch = {1}.batch OR {0}.batch IS NULL AND {1}.batch IS NULL)"
)

_FAILURE_RATES = """SELECT sum(failed) AS failed, sum(finished) AS finished,
  1.0 * sum(failed) / NULLIF(sum(finished), 0) AS failure_rate,
  sum(unfinished) AS unfinished, sum(aborted) AS aborted, sum(unknown) AS unknown
FROM weekly_failure_rates WHERE time_zone = :time_zone AND week = :week"""

_RELEASE_FAILURE_RATES = """SELECT sum(failed) AS failed, sum(finished) AS finished,
  1.0 * sum(failed) / NULLIF(sum(finished), 0) AS failure_rate
FROM weekly_rollbacks WHERE time_zone = :time_zone AND week = :week"""

_ROLLBACKS = """SELECT sum(rolled_back) AS rolled_back, sum(finished) AS finished,
  1.0 * sum(rolled_back) / NULLIF(sum(finished), 0) AS rollback_rate,
  sum(rollbacks) AS rollbacks, sum(rollbacks_failed) AS rollbacks_failed
FROM weekly_rollbacks WHERE time_zone = :time_zone AND week = :week"""

_ROLLBACK_FAILURES = f"""SELECT r.project_id, r.plan_id, r.batch, r.component_id, r.rollback_job_id,
  COALESCE(r.started_at, r.first_seen_at) AS started_at, r.ended_at, r.fail_message
FROM rollbacks AS r {_in_week("COALESCE(r.started_at, r.first_seen_at)")}
WHERE r.outcome = 'failed' ORDER BY 6 DESC"""

_RECOVERY = f"""WITH failures AS (
  SELECT c.rolled_back, c.recovery_seconds,
    CASE WHEN c.rollback_outcome = 'succeeded' OR EXISTS (
      SELECT 1 FROM component_releases AS good
      JOIN component_releases AS plan ON plan.plan_key = good.plan_key AND plan.started_at < w.ends_at
      WHERE good.project_id = c.project_id AND good.component_id = c.component_id
        AND good.started_at > c.started_at AND good.outcome = 'succeeded' AND good.rolled_back = 0
    ) THEN 1 ELSE 0 END AS is_over
  FROM component_releases AS c {_in_week("c.started_at")}
  WHERE {_IS_CHANGE_FAILURE}
), ranked AS (
  SELECT f.*, row_number() OVER (ORDER BY recovery_seconds NULLS LAST) - 1 AS place,
    count(recovery_seconds) OVER () - 1 AS top
  FROM failures AS f
)
SELECT count(*) AS change_failures, count(*) FILTER (WHERE is_over = 1) AS recovered,
  count(*) FILTER (WHERE is_over = 0 AND rolled_back = 1) AS open_rollbacks,
  count(*) FILTER (WHERE is_over = 0 AND rolled_back = 0) AS open_failures,
  {_quantile(0.5, "recovery_seconds")} AS recovery_p50_seconds,
  {_quantile(0.9, "recovery_seconds")} AS recovery_p90_seconds
FROM ranked"""

_BATCH_TIMING = f"""WITH ranked AS (
  SELECT b.duration_seconds, b.gap_seconds,
    row_number() OVER (ORDER BY b.duration_seconds) - 1 AS place, count(*) OVER () - 1 AS top,
    row_number() OVER (ORDER BY b.gap_seconds NULLS LAST) - 1 AS gap_place, count(b.gap_seconds) OVER () - 1 AS gap_top
  FROM batch_runs AS b {_in_week("b.started_at")}
  WHERE b.duration_seconds IS NOT NULL AND b.plan_key IN (
    SELECT f.plan_key FROM job_attempts AS f {_in_week("f.started_at")} WHERE f.attempt = 1)
)
SELECT count(*) AS batches,
  {_quantile(0.5, "duration_seconds")} AS p50_seconds,
  {_quantile(0.9, "duration_seconds")} AS p90_seconds,
  {_quantile(0.99, "duration_seconds")} AS p99_seconds,
  avg(duration_seconds) AS mean_seconds, max(duration_seconds) AS max_seconds,
  {_quantile(0.5, "gap_seconds", "gap_place", "gap_top")} AS gap_p50_seconds
FROM ranked"""

_BATCH_TREND = f"""WITH span AS (
  {_last_weeks(REPORT_WEEKS)}
), ranked AS (
  SELECT b.batch, s.back, b.duration_seconds,
    row_number() OVER (PARTITION BY b.batch, s.back ORDER BY b.duration_seconds) - 1 AS place,
    count(*) OVER (PARTITION BY b.batch, s.back) - 1 AS top
  FROM batch_runs AS b JOIN span AS s ON b.started_at >= s.starts_at AND b.started_at < s.ends_at
  WHERE b.duration_seconds IS NOT NULL
), medians AS (
  SELECT batch, back, {_quantile(0.5, "duration_seconds")} AS p50_seconds FROM ranked GROUP BY batch, back
), slopes AS (
  SELECT new.batch, (new.p50_seconds - old.p50_seconds) / (old.back - new.back) AS slope
  FROM medians AS new JOIN medians AS old
    ON old.back > new.back AND (old.batch = new.batch OR old.batch IS NULL AND new.batch IS NULL)
), placed AS (
  SELECT batch, slope, row_number() OVER (PARTITION BY batch ORDER BY slope) - 1 AS place,
    count(*) OVER (PARTITION BY batch) - 1 AS top
  FROM slopes
)
SELECT batch, {_quantile(0.5, "slope")} AS slope_seconds_per_week FROM placed GROUP BY batch ORDER BY batch"""

_BATCH_SURVIVAL = f"""WITH span AS (
  SELECT min(starts_at) AS starts_at, max(ends_at) AS ends_at FROM ({_last_weeks(REPORT_WEEKS)}) AS w
), tried AS (
  SELECT a.plan_key, a.batch, a.outcome, a.ended_at,
    {_ATTEMPT_START} AS started_at
  FROM job_attempts AS a JOIN plans AS p ON p.plan_key = a.plan_key WHERE a.batch IS NOT NULL
), begun AS (
  SELECT t.plan_key FROM (SELECT plan_key, min(started_at) AS started_at FROM tried GROUP BY plan_key) AS t
  JOIN span AS s ON t.started_at >= s.starts_at AND t.started_at < s.ends_at
), batches AS (
  SELECT plan_key, batch, row_number() OVER (PARTITION BY plan_key ORDER BY batch) AS batch_rank
  FROM (SELECT plan_key, batch FROM tried UNION SELECT plan_key, batch FROM components WHERE batch IS NOT NULL) AS b
  WHERE plan_key IN (SELECT plan_key FROM begun)
), failures AS (
  SELECT t.plan_key, b.batch_rank, row_number() OVER (
    PARTITION BY t.plan_key ORDER BY COALESCE(t.ended_at, t.started_at) NULLS LAST, b.batch_rank) AS place
  FROM tried AS t JOIN batches AS b ON b.plan_key = t.plan_key AND b.batch = t.batch WHERE t.outcome = 'failed'
), reached AS (
  SELECT DISTINCT t.plan_key, b.batch_rank
  FROM tried AS t JOIN batches AS b ON b.plan_key = t.plan_key AND b.batch = t.batch WHERE t.started_at IS NOT NULL
)
SELECT r.batch_rank, count(*) AS reached,
  count(*) FILTER (WHERE f.batch_rank IS NULL OR f.batch_rank >= r.batch_rank) AS at_risk,
  count(*) FILTER (WHERE f.batch_rank = r.batch_rank) AS surfaced
FROM reached AS r LEFT JOIN failures AS f ON f.plan_key = r.plan_key AND f.place = 1
GROUP BY r.batch_rank ORDER BY r.batch_rank"""

_DELIVERY = f"""SELECT count(*) AS releases,
  count(*) FILTER (WHERE {_IS_FINISHED}) AS finished,
  count(*) FILTER (WHERE {_IS_CHANGE_FAILURE}) AS change_failures,
  1.0 * count(*) FILTER (WHERE {_IS_CHANGE_FAILURE})
    / NULLIF(count(*) FILTER (WHERE {_IS_FINISHED}), 0) AS change_failure_rate
FROM component_releases AS c {_in_week("c.started_at")}"""

_REWORK = f"""SELECT count(*) AS attempts, count(*) FILTER (WHERE attempt > 1) AS rework_attempts,
  1.0 * count(*) FILTER (WHERE attempt > 1) / NULLIF(count(*), 0) AS rework_rate
FROM (
  SELECT a.attempt, {_ATTEMPT_START} AS started_at
  FROM job_attempts AS a JOIN plans AS p ON p.plan_key = a.plan_key
) AS t {_in_week("t.started_at")}"""

_FLAKY = f"""SELECT count(*) AS finished, sum(is_flaky) AS flaky,
  1.0 * sum(is_flaky) / NULLIF(count(*), 0) AS flaky_rate
FROM (
  SELECT CASE WHEN EXISTS (
    SELECT 1 FROM job_attempts AS f JOIN job_attempts AS s
      ON {_SAME_PLACE.format("s", "f")}
    WHERE {_SAME_PLACE.format("f", "c")}
      AND f.outcome = 'failed' AND s.outcome = 'succeeded' AND s.attempt > f.attempt AND s.version = f.version
  ) THEN 1 ELSE 0 END AS is_flaky
  FROM component_releases AS c {_in_week("c.started_at")}
  WHERE {_IS_FINISHED}
) AS t"""

_FAILURES = """SELECT f.template_id, min(f.template) AS template,
  count(*) FILTER (WHERE f.started_at >= w.starts_at) AS count,
  count(DISTINCT CASE WHEN f.started_at >= w.starts_at THEN f.project_id || '/' || f.component_id END) AS components,
  min(f.started_at) AS first_seen_at, max(f.started_at) AS last_seen_at,
  min(CASE WHEN f.started_at >= w.starts_at THEN 1 ELSE 0 END) AS is_new
FROM failures AS f JOIN weeks AS w ON w.time_zone = :time_zone AND w.week = :week AND f.started_at < w.ends_at
GROUP BY f.template_id HAVING max(f.started_at) >= max(w.starts_at)
ORDER BY is_new DESC, count DESC, last_seen_at DESC, f.template_id"""

# An instant seven days after another is the one thing that the two databases say differently.
_AFTER_7_DAYS = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', c.ended_at, '+7 days')",
    "postgresql": "c.ended_at + interval '7 days'",
}
_VERDICT = """WITH span AS (
  {weeks}
), releases AS (
  SELECT s.week, c.outcome, CASE WHEN EXISTS (
    SELECT 1 FROM rollback_releases AS r
    WHERE r.project_id = c.project_id AND r.plan_id = c.plan_id AND r.component_id = c.component_id
      AND COALESCE(r.release_batch, -1) = COALESCE(c.batch, -1) AND r.started_at <= {after_7_days}
  ) THEN 1 ELSE 0 END AS is_rolled_back
  FROM component_releases AS c JOIN span AS s ON c.started_at >= s.starts_at AND c.started_at < s.ends_at
  WHERE {is_finished}
)
SELECT week, count(*) AS finished, sum(is_rolled_back) AS rolled_back,
  count(*) FILTER (WHERE outcome = 'failed' OR is_rolled_back = 1) AS change_failures
FROM releases GROUP BY week ORDER BY week"""

_FLAGGED = f"""WITH span AS (
  {_last_weeks(13)}
), plans_of AS (
  SELECT c.project_id, c.component_id, c.plan_id, max(s.back) AS back,
    max(CASE WHEN c.outcome = 'failed' THEN 1 ELSE 0 END) AS failed
  FROM component_releases AS c JOIN span AS s ON c.started_at >= s.starts_at AND c.started_at < s.ends_at
  WHERE {_IS_FINISHED} GROUP BY c.project_id, c.component_id, c.plan_id
)
SELECT project_id, component_id,
  count(*) FILTER (WHERE back = 1) AS finished, count(*) FILTER (WHERE back = 1 AND failed = 1) AS failed,
  count(*) FILTER (WHERE back > 1) AS finished_before, count(*) FILTER (WHERE back > 1 AND failed = 1) AS failed_before
FROM plans_of GROUP BY project_id, component_id
HAVING count(*) FILTER (WHERE back = 1) > 0 ORDER BY project_id, component_id"""

_COVERAGE = """SELECT sum(nights_planned) AS nights_planned, sum(nights_done) AS nights_done,
  sum(nights_partial) AS nights_partial, sum(nights_missed) AS nights_missed
FROM coverage WHERE time_zone = :time_zone AND week = :week"""

_MONDAY_AFTER = {"sqlite": "date(w.week_start_date, '+7 days')", "postgresql": "w.week_start_date + 7"}
_KNOWN_FAILURES = """WITH served AS (
  SELECT r.run_id, r.project_id, r.night_date,
    row_number() OVER (PARTITION BY r.project_id, r.night_date ORDER BY r.started_at DESC) AS latest
  FROM runs AS r
  JOIN weeks AS w ON w.time_zone = :time_zone AND w.week = :week AND r.night_date <= {monday_after}
  WHERE r.kind IN ('scheduled', 'manual') AND r.outcome IN ('complete', 'partial')
), counted AS (
  SELECT run_id, project_id, night_date,
    row_number() OVER (PARTITION BY project_id ORDER BY night_date DESC) AS back
  FROM served WHERE latest = 1
), failed AS (
  SELECT n.project_id, n.night_date, n.back, f.plan_id, f.stage, f.error_code, f.message
  FROM counted AS n JOIN fetch_failures AS f ON f.run_id = n.run_id
  WHERE f.plan_id IS NOT NULL AND f.stage <> 'not_tried'
), alike AS (
  SELECT newest.project_id, newest.plan_id, newest.stage, newest.error_code, newest.message, f.night_date, f.back,
    row_number() OVER (PARTITION BY newest.project_id, newest.plan_id ORDER BY f.back) AS place
  FROM failed AS newest JOIN failed AS f
    ON f.project_id = newest.project_id AND f.plan_id = newest.plan_id AND f.stage = newest.stage
      AND (f.error_code = newest.error_code OR f.error_code IS NULL AND newest.error_code IS NULL)
  WHERE newest.back = 1
)
SELECT project_id, plan_id, stage, error_code, min(night_date) AS since_night, count(*) AS nights_count, message
FROM alike WHERE back = place GROUP BY project_id, plan_id, stage, error_code, message
HAVING count(*) >= 3 ORDER BY project_id, plan_id"""

_QUALITY = """SELECT project_id, nights_missed, nights_partial
FROM coverage WHERE time_zone = :time_zone AND week = :week ORDER BY project_id"""

# By definition, then by database.
SQL: Mapping[str, Mapping[str, str]] = {
    "verdict": {
        name: _VERDICT.format(weeks=_last_weeks(5), after_7_days=after_7_days, is_finished=_IS_FINISHED)
        for name, after_7_days in _AFTER_7_DAYS.items()
    },
    "failure-rates": _everywhere(_FAILURE_RATES),
    "release-failure-rates": _everywhere(_RELEASE_FAILURE_RATES),
    "rollbacks": _everywhere(_ROLLBACKS),
    "rollback-failures": _everywhere(_ROLLBACK_FAILURES),
    "recovery": _everywhere(_RECOVERY),
    "batch-timing": _everywhere(_BATCH_TIMING),
    "batch-trend": _everywhere(_BATCH_TREND),
    "batch-survival": _everywhere(_BATCH_SURVIVAL),
    "delivery": _everywhere(_DELIVERY),
    "rework": _everywhere(_REWORK),
    "flaky-components": _everywhere(_FLAKY),
    "flagged-components": _everywhere(_FLAGGED),
    "failures": _everywhere(_FAILURES),
    "coverage": _everywhere(_COVERAGE),
    "known-failures": {
        name: _KNOWN_FAILURES.format(monday_after=monday_after) for name, monday_after in _MONDAY_AFTER.items()
    },
    "quality": _everywhere(_QUALITY),
}
