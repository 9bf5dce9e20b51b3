"""The weekly views: failure rates and rollbacks by component, timing by batch, and what was collected at all."""

from archiver.views.batches import passes_of_plan
from archiver.views.joins import WEEK, in_week, inferred_start, latest_name
from archiver.views.releases import release_rows
from archiver.views.weekly import (
    COMPONENT_COLUMNS,
    COVERAGE,
    COVERAGE_COLUMN,
    NIGHT_COLUMNS,
    known_weeks,
    rate_columns,
    week_columns,
    weekly_query,
    with_nights,
)
from archiver.views.words import (
    FLOAT,
    INTEGER,
    Dialect,
    View,
    ViewColumn,
    count_if,
    escaped,
    key,
    rate,
    wilson,
    wilson_spread,
)


def _weekly_failure_rates(dialect: Dialect) -> str:
    attempts = "SELECT a.component_id, a.outcome FROM job_attempts AS a"
    events = f"""{attempts} WHERE a.project_id = w.project_id AND {in_week("a.started_at")}
UNION ALL
{attempts} JOIN plans AS p ON p.plan_key = a.plan_key
WHERE a.project_id = w.project_id AND a.started_at IS NULL AND a.outcome = 'failed'
  AND {in_week(inferred_start("a", "p"))}"""
    low, high = wilson("v.failed", "v.finished", "v.spread")
    return weekly_query(
        dialect,
        row_key="weekly_failure_rate_key",
        group="component_id",
        events=events,
        counts={
            "finished": count_if("outcome IN ('succeeded', 'failed')"),
            "failed": count_if("outcome = 'failed'"),
            "unfinished": count_if("outcome IN ('running', 'pending')"),
            "aborted": count_if("outcome = 'aborted'"),
            "unknown": count_if("outcome = 'unknown'"),
        },
        spread=wilson_spread(dialect, "r.failed", "r.finished"),
        said={
            "component": latest_name(dialect, "v"),
            "finished": "v.finished",
            "failed": "v.failed",
            "failure_rate": rate("v.failed", "v.finished"),
            "ci_low": low,
            "ci_high": high,
            **{name: f"v.{name}" for name in ("unfinished", "aborted", "unknown")},
        },
    )


def _weekly_rollbacks(dialect: Dialect) -> str:
    sums = ("rolled_back", "rollbacks", "rollbacks_failed")
    # Not from the view: SQLite would make all of it before it ranks one week's recoveries.
    events = release_rows(
        dialect,
        ("component_id", "outcome", *sums, "recovery_seconds"),
        within_week=True,
        where="a.project_id = w.project_id AND l.outcome IN ('succeeded', 'failed')",
    )
    low, high = wilson("v.rolled_back", "v.finished", "v.spread")
    quantiles = {f"recovery_p{share}_seconds": dialect.quantile(share / 100, "recovery_seconds") for share in (50, 90)}
    return weekly_query(
        dialect,
        row_key="weekly_rollback_key",
        group="component_id",
        events=events,
        counts={
            "finished": "count(*)",
            "failed": count_if("outcome = 'failed'"),
            "change_failures": count_if("outcome = 'failed' OR rolled_back = 1"),
            **{name: f"sum({name})" for name in sums},
            "recoveries": "count(recovery_seconds)",
        },
        measures=quantiles,
        ranked=("recovery_seconds",),
        spread=wilson_spread(dialect, "r.rolled_back", "r.finished"),
        said={
            "component": latest_name(dialect, "v"),
            "finished": "v.finished",
            "rolled_back": "v.rolled_back",
            "rollback_rate": rate("v.rolled_back", "v.finished"),
            "ci_low": low,
            "ci_high": high,
            **{
                name: f"v.{name}"
                for name in ("rollbacks", "rollbacks_failed", *quantiles, "recoveries", "failed", "change_failures")
            },
        },
    )


def _weekly_batch_timing(dialect: Dialect) -> str:
    measures = {
        **{f"p{share}_seconds": dialect.quantile(share / 100, "duration_seconds") for share in (50, 90, 99)},
        "mean_seconds": "avg(duration_seconds)",
        "max_seconds": "max(duration_seconds)",
        "gap_p50_seconds": dialect.quantile(0.5, "gap_seconds"),
        "total_seconds": "sum(duration_seconds)",
    }
    counts = {"batches": "count(*)", "gaps": "count(gap_seconds)"}
    # By plan, not by its start: each batch would have all passes of its plan worked out again. The plus keeps SQLite
    # from the index of starts; its parser has no room for the passes themselves.
    source, plan, started_at = f"plans AS p JOIN LATERAL ({passes_of_plan(dialect)}) AS b ON true", "p", "b.started_at"
    if dialect.is_sqlite:
        source, plan, started_at = "batch_runs AS b", "b", "+b.started_at"
    events = f"""SELECT b.batch, b.duration_seconds, b.gap_seconds FROM {source}
WHERE b.is_finished AND {in_week(started_at)} AND {plan}.plan_key IN (
  SELECT f.plan_key FROM job_attempts AS f
  WHERE f.project_id = w.project_id AND f.attempt = 1 AND {in_week("f.started_at")})"""
    return weekly_query(
        dialect,
        row_key="weekly_batch_timing_key",
        group="batch",
        events=events,
        counts=counts,
        measures=measures,
        ranked=("duration_seconds", "gap_seconds"),
        said={name: f"v.{name}" for name in ("batches", *measures, "gaps")},
    )


def _coverage(dialect: Dialect) -> str:
    return f"""SELECT {key("v.time_zone", "v.week", escaped("v.project_id"))} AS coverage_key,
  {", ".join(f"v.{name}" for name in WEEK)}, v.project_id,
  v.nights_planned, v.nights_done, v.nights_partial, v.nights_missed,
  {COVERAGE} AS coverage
FROM ({with_nights(dialect, known_weeks(dialect))}) AS v"""


WEEKLY_FAILURE_RATES = View(
    name="weekly_failure_rates",
    grain="A row is one component in one week of one zone, over the attempts that started in it; "
    "a week in which a project had none is one row without component.",
    columns=(
        *week_columns("weekly_failure_rate_key", "zone, week, project and component"),
        *COMPONENT_COLUMNS,
        ViewColumn("finished", INTEGER, "Attempts that succeeded or failed"),
        ViewColumn("failed", INTEGER, "Attempts that failed"),
        *rate_columns("failure_rate", "failed / finished"),
        ViewColumn("unfinished", INTEGER, "Attempts running or pending"),
        ViewColumn("aborted", INTEGER, "Attempts aborted"),
        ViewColumn("unknown", INTEGER, "Attempts whose outcome is unknown"),
        *NIGHT_COLUMNS,
        COVERAGE_COLUMN,
    ),
    question="Which components failed most in one week?",
    example="SELECT component, failed, finished, failure_rate, ci_low, ci_high FROM weekly_failure_rates "
    "WHERE time_zone = 'UTC' AND week = '2026-W47' AND failed > 0 ORDER BY failed DESC, component",
    query=_weekly_failure_rates,
)

WEEKLY_ROLLBACKS = View(
    name="weekly_rollbacks",
    grain="A row is one component in one week of one zone, over the finished component releases that started in it; "
    "a week in which a project had none is one row without component.",
    columns=(
        *week_columns("weekly_rollback_key", "zone, week, project and component"),
        *COMPONENT_COLUMNS,
        ViewColumn("finished", INTEGER, "Component releases that succeeded or failed in the end"),
        ViewColumn("rolled_back", INTEGER, "Those with a rollback of any state"),
        *rate_columns("rollback_rate", "rolled_back / finished"),
        ViewColumn("rollbacks", INTEGER, "Their rollback jobs"),
        ViewColumn("rollbacks_failed", INTEGER, "Their rollback jobs that failed"),
        ViewColumn("recovery_p50_seconds", FLOAT, "Median recovery; NULL where none is known"),
        ViewColumn("recovery_p90_seconds", FLOAT, "90th percentile of recovery; NULL where none is known"),
        ViewColumn("recoveries", INTEGER, "Releases whose recovery is known"),
        ViewColumn("failed", INTEGER, "Finished component releases that failed in the end"),
        ViewColumn("change_failures", INTEGER, "Those that failed in the end or were rolled back"),
        *NIGHT_COLUMNS,
        COVERAGE_COLUMN,
    ),
    question="How did the rollback rate of a project go, week by week?",
    example="SELECT week_start_date, sum(rolled_back) AS rolled_back, sum(finished) AS finished FROM weekly_rollbacks "
    "WHERE time_zone = 'UTC' GROUP BY week_start_date ORDER BY week_start_date",
    query=_weekly_rollbacks,
)

WEEKLY_BATCH_TIMING = View(
    name="weekly_batch_timing",
    grain="A row is one batch number in one week of one zone and project, over the finished first passes that "
    "started in it; a week in which a project had none is one row without batch and with 0 batches.",
    columns=(
        *week_columns("weekly_batch_timing_key", "zone, week, project and batch"),
        ViewColumn("batch", INTEGER, "Release batch (`seq`); NULL when it was no number, or nothing was"),
        ViewColumn("batches", INTEGER, "Finished first passes"),
        ViewColumn("p50_seconds", FLOAT, "Median duration"),
        ViewColumn("p90_seconds", FLOAT, "90th percentile of the durations"),
        ViewColumn("p99_seconds", FLOAT, "99th percentile of the durations"),
        ViewColumn("mean_seconds", FLOAT, "Mean duration"),
        ViewColumn("max_seconds", FLOAT, "Longest duration"),
        ViewColumn("gap_p50_seconds", FLOAT, "Median gap after the nearest lower batch; NULL where none is known"),
        ViewColumn("total_seconds", FLOAT, "Sum of the durations"),
        ViewColumn("gaps", INTEGER, "Batches whose gap is known"),
        *NIGHT_COLUMNS,
        COVERAGE_COLUMN,
    ),
    question="Is the first batch getting slower?",
    example="SELECT week_start_date, project_id, p50_seconds, p90_seconds FROM weekly_batch_timing "
    "WHERE time_zone = 'UTC' AND batch = 1 ORDER BY project_id, week_start_date",
    query=_weekly_batch_timing,
)

COVERAGE_VIEW = View(
    name="coverage",
    grain="A row is one week of one zone and project, from the project's first attempt, run or night to its last "
    "run or night.",
    columns=(
        *week_columns("coverage_key", "zone, week and project"),
        *NIGHT_COLUMNS,
        ViewColumn("nights_partial", INTEGER, "Those that only a partial run served"),
        ViewColumn("nights_missed", INTEGER, "Those that no run served"),
        COVERAGE_COLUMN,
    ),
    question="In which weeks did the archive not look every night?",
    example="SELECT week, project_id, nights_planned, nights_done, nights_missed FROM coverage "
    "WHERE time_zone = 'UTC' AND nights_planned > nights_done ORDER BY week, project_id",
    query=_coverage,
)
