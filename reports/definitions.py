"""The definitions that the figures follow, each with a version: equal versions give the same figures for ever."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Definition:
    """What a metric is. `name` is its anchor in the dictionary; `version` is raised whenever it would tell otherwise.

    `columns` are the columns it defines, by table; `numerator` and `denominator` are None where it is no ratio.
    """

    name: str
    version: int
    title: str
    text: str
    unit: str
    columns: Mapping[str, tuple[str, ...]]
    numerator: str | None = None
    denominator: str | None = None
    beside: str = ""  # what the SQL leaves to the program
    see: tuple[str, ...] = field(default=())


_INTERVAL = ("ci_low", "ci_high")
_ATTEMPT_COLUMNS = ("finished", "failed", "failure_rate", *_INTERVAL, "unfinished", "aborted", "unknown")
_BATCH_COLUMNS = (
    *("batches", "p50_seconds", "p90_seconds", "p99_seconds", "mean_seconds", "max_seconds"),
    "gap_p50_seconds",
)
_BY_WEEK = (
    *("failure-rates", "component-weeks", "release-rates", "rollbacks", "batch-timing", "batch-timing-by-week-batch"),
    *("delivery", "recovery", "coverage-by-project"),
)
_FINISHED_RELEASES = "Component releases that started in the week and succeeded or failed in the end."
_CHANGE_FAILURES = "Those that failed in the end, or of which there was a rollback of any state."

DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        name="verdict",
        version=2,
        title="Verdict, and rollbacks at equal age",
        text="Better, worse, no clear change or too little data: change failures and rollbacks of the week, counted "
        "within 7 days of each release's end, against the four weeks before, of which none is younger than that. Whole "
        "plans are permuted between the week and the weeks before, since the components of one plan fail together; "
        "each of the two rates is tested at 2.5 %. Worse: one of them rose and none fell; better likewise. A week that "
        "ended less than 7 days before what is known is provisional, and never called better. Too little data: under "
        "10 finished releases or 5 plans on either side. The intervals are clustered by plan. The chart of rollbacks, "
        "the table beside it and the table release-rates count every week so.",
        numerator="Finished component releases that failed in the end or were rolled back within 7 days of their end "
        "(change failures), and those that were so rolled back (rollbacks).",
        denominator=_FINISHED_RELEASES,
        unit="word; rates 0 to 1",
        columns={
            "verdict": (
                *("measure", "hits", "rate", *_INTERVAL, "hits_before", "rate_before"),
                *("ci_low_before", "ci_high_before", "change", "change_ci_low", "change_ci_high", "p_value"),
                *("finished", "plans", "finished_before", "plans_before"),
            ),
            "release-rates": (
                *("rolled_back", "rollback_rate", "rollback_ci_low", "rollback_ci_high", "provisional"),
                *("change_failures", "change_failure_rate", "change_failure_ci_low", "change_failure_ci_high"),
            ),
        },
        beside="It gives the counts of the week and of the four before; the test and the intervals are reckoned from "
        "the counts of each plan.",
        see=("delivery", "rollbacks"),
    ),
    Definition(
        name="failure-rates",
        version=1,
        title="Failure rate of attempts",
        text="An attempt is one deployment of a component in a plan, and belongs to the week it started in. A failed "
        "attempt without a start takes the plan's execution time, else the time it was first seen. Attempts that are "
        "running or pending (unfinished), aborted, or of unknown outcome are counted beside it, and are in neither "
        "number. What was replaced between two observations is unseen: the rate is a lower bound. The interval is "
        "Wilson's, 95 %; a component with fewer than 10 finished attempts is too few to say.",
        numerator="Finished attempts that failed.",
        denominator="Attempts that succeeded or failed (finished).",
        unit="rate, 0 to 1",
        columns={
            "failure-rates": _ATTEMPT_COLUMNS,
            "failure-rates-by-component": (*_ATTEMPT_COLUMNS, "is_too_few"),
        },
    ),
    Definition(
        name="release-failure-rates",
        version=1,
        title="Failure rate of component releases",
        text="A component release is a component's place in a plan (project, plan, component, batch) with an attempt. "
        "It belongs to the week in which its first attempt with a start began, and ended as its last attempt did: a "
        "failure that was tried again with success is no failed release. A rollback does not change its outcome. The "
        "interval is Wilson's, 95 %; in the table release-rates and the charts it is clustered by plan, since the "
        "components of one plan fail together. On the command line: reports failure-rates --unit release.",
        numerator="Finished component releases whose last attempt failed.",
        denominator=_FINISHED_RELEASES,
        unit="rate, 0 to 1",
        columns={
            "failure-rates --unit release": _ATTEMPT_COLUMNS,
            "component-weeks": _ATTEMPT_COLUMNS,
            "release-rates": ("finished", "plans", "failed", "failure_rate", "failure_ci_low", "failure_ci_high"),
        },
    ),
    Definition(
        name="rollbacks",
        version=1,
        title="Rollback rate",
        text="Every column is in the week in which the release started, whenever the rollback came; a week stays "
        "provisional while late rollbacks are looked for (ARCHIVER_RECHECK_DAYS after its end). A rollback belongs to "
        "the release that holds the job it rolled back, else to that of its place, else to the component's latest in "
        "the plan. The interval is Wilson's, 95 %.",
        numerator="Finished component releases with at least one rollback, of any state.",
        denominator=_FINISHED_RELEASES,
        unit="rate, 0 to 1",
        columns={
            "rollbacks": ("finished", "rolled_back", "rollback_rate", *_INTERVAL, "rollbacks", "provisional"),
        },
        see=("recovery", "rollback-failures"),
    ),
    Definition(
        name="rollback-failures",
        version=2,
        title="Rollbacks failed",
        text="A rollback job that failed: what was deployed is bad, and what was there before did not come back. "
        "Counted in the week of the release (in the table of rollbacks), and listed one by one in the week in which "
        "the rollback itself started, or was first seen where it has no start. Weeks are compared by those that began "
        "within 7 days of their release's end (in the table release-rates), by an exact Poisson test.",
        unit="count",
        columns={
            "rollbacks": ("rollbacks_failed",),
            "release-rates": ("rollbacks_failed",),
            "rollback-failures": ("started_at", "batch", "rollback_job_id", "ended_at", "template_id", "message"),
        },
    ),
    Definition(
        name="recovery",
        version=1,
        title="Recovery time",
        text="From the end of the attempt that was rolled back to the end of the first successful rollback of the "
        "release; unknown where either is unknown or it would be negative. Median (p50) and 90th percentile (p90), "
        "interpolated linearly. What has not recovered is counted, not dropped: a change failure is open until a "
        "rollback of it succeeds, or a later release of the component succeeds and is not rolled back.",
        unit="seconds",
        columns={
            "rollbacks": ("recovery_p50_seconds", "recovery_p90_seconds"),
            "delivery": ("recovery_p50_seconds",),
            "delivery-by-team": ("recovery_p50_seconds",),
            "recovery": (
                *("change_failures", "recovered", "open_rollbacks", "open_failures"),
                *("recovery_p50_seconds", "recovery_p90_seconds"),
            ),
        },
    ),
    Definition(
        name="batch-timing",
        version=1,
        title="Batch timing",
        text="A batch's time is that of its first pass: from the earliest start to the latest end of the first "
        "attempts of the components that were there at its start. It counts once each of them has one that is over "
        "(succeeded, failed or aborted) with possible times, in the week it started in. Redeployments are rework, and "
        "are not in it. Quantiles are interpolated linearly. The gap is the batch's start minus the end of the nearest "
        "lower batch of the plan; it may be negative, and is unknown where that one isn't finished. The slowest "
        "component is the one whose first attempt most often took longest.",
        unit="seconds",
        columns={
            "batch-timing": _BATCH_COLUMNS,
            "batch-timing-by-batch": _BATCH_COLUMNS,
            "batch-timing-by-week-batch": _BATCH_COLUMNS,
            "slowest-components": ("batches", "component_id", "component", "times_slowest", "p50_seconds"),
        },
    ),
    Definition(
        name="batch-trend",
        version=1,
        title="Trend of batch timing",
        text="How the median of a batch's first pass moves: the Theil-Sen slope over the weekly medians of the "
        "report's 26 weeks, which is the median of the slopes between every two weeks. One odd week does not bend it. "
        "The interval is Sen's, 95 %. Weeks without such a batch keep their place; under two weeks there is no slope.",
        unit="seconds a week",
        columns={"batch-trend": ("weeks", "slope_seconds_per_week", *_INTERVAL)},
        beside="It gives the slopes; the interval is reckoned from the same slopes between weeks.",
    ),
    Definition(
        name="batch-survival",
        version=1,
        title="Batch survival",
        text="In which batch of a plan a failure surfaces first, over the plans that started in the report's 26 weeks. "
        "A batch is told by its rank in its plan (1 is the lowest). A plan's first failure is the failed attempt that "
        "ended first; the plan is at risk in each batch it reached up to the one in which that was. The survival rate "
        "is the share that passes this batch and all before it without a failure (Kaplan-Meier). What had shipped by "
        "then are shares of all the plan's places. The interval is Wilson's, 95 %.",
        numerator="Plans whose first failure surfaced in the batch.",
        denominator="Plans that reached the batch without a failure before it (at risk).",
        unit="rate, 0 to 1",
        columns={
            "batch-survival": (
                *("batch_rank", "reached", "at_risk", "surfaced", "surfaced_rate", *_INTERVAL, "survival_rate"),
                *("shipped_before_p50_rate", "shipped_before_mean_rate", "shipped_beside_mean_rate"),
                "started_mean_rate",
            )
        },
        beside="It gives the plans; the survival rate is the product of what is left by batch, and the shares shipped "
        "are reckoned plan by plan.",
    ),
    Definition(
        name="delivery",
        version=1,
        title="Releases and change failures",
        text="Component releases that started in the week, finished or not; and of the finished ones the change "
        "failures, which failed in the end or were rolled back, once, ever. Attempts don't count here: they would "
        "punish a retry. The interval is Wilson's, 95 %.",
        numerator=_CHANGE_FAILURES,
        denominator=_FINISHED_RELEASES,
        unit="count; rate, 0 to 1",
        columns={
            "delivery": ("releases", "finished", "change_failures", "change_failure_rate", *_INTERVAL),
            "delivery-by-team": ("releases", "finished", "change_failures", "change_failure_rate", *_INTERVAL),
        },
    ),
    Definition(
        name="rework",
        version=1,
        title="Rework rate",
        text="How many deployments repeat an earlier one of the same place (project, plan, component, batch). The "
        "first attempt is the first known one: what was replaced before the archive looked is unseen, and the rate a "
        "lower bound.",
        numerator="Attempts after the first known one of their place.",
        denominator="Attempts that started in the week, of any outcome.",
        unit="rate, 0 to 1",
        columns=dict.fromkeys(("delivery", "delivery-by-team"), ("attempts", "rework_attempts", "rework_rate")),
    ),
    Definition(
        name="flaky-components",
        version=1,
        title="Flaky rate",
        text="Failed, then succeeded in the same place on the same version, with nothing changed between. An unknown "
        "version is never the same. Reruns count, in all releases, the attempts of a version that had already failed "
        "in that place. An attempt replaced unseen can hide one: the rate is a lower bound. Wilson's interval, 95 %.",
        numerator="Finished component releases in which an attempt failed and a later one of the same version "
        "succeeded.",
        denominator=_FINISHED_RELEASES,
        unit="rate, 0 to 1",
        columns={"flaky-components": ("finished", "flaky", "flaky_rate", *_INTERVAL, "reruns")},
    ),
    Definition(
        name="flagged-components",
        version=1,
        title="Flagged components",
        text="Components whose failures changed against up to 12 weeks before, by Fisher's exact test (two-sided). A "
        "component counts once a plan, in the week of its first finished release there: a plan in which it fails in "
        "five batches is one event. Benjamini-Hochberg runs over all components tested, and flagged is q under 5 %: of "
        "those flagged, one in twenty is by chance. Under 10 plans the rate itself is too few to say.",
        numerator="Plans in which one of the component's finished releases failed in the end.",
        denominator="Plans in which the component has a finished release.",
        unit="rate, 0 to 1",
        columns={
            "flagged-components": (
                *("finished", "failed", "failure_rate", "finished_before", "failed_before", "failure_rate_before"),
                *("p_value", "q_value", "is_flagged", "is_worse", "is_too_few"),
            )
        },
        beside="It gives the counts of each component; the tests are reckoned from them.",
    ),
    Definition(
        name="failures",
        version=2,
        title="Failures by message",
        text="Failed attempts and failed rollbacks grouped by what their messages have in common: numbers, ids and "
        "hashes, addresses, hosts, paths, times, quotes and the component's name in that plan are masked, by rules and "
        "not by learning, so that a template's id never depends on what else was archived. Only the first 2,000 "
        "characters count. New is a template of which no failure was known before the week.",
        unit="count",
        columns={
            "failures": ("template_id", "template", "count", "components", "first_seen_at", "last_seen_at", "is_new")
        },
        beside="The masking is the program's: the table failures holds each failure's template, and the view "
        "failure_templates the counts by week and project.",
    ),
    Definition(
        name="coverage",
        version=1,
        title="Coverage",
        text="Which nights were archived. A night that no run served is missed, one that only a partial run served is "
        "not done. Complete: nights were planned, and all are done. None: not one is done, even in part. It never "
        "suppresses or alters a count.",
        numerator="Planned nights of the week that a complete run served (nights done).",
        denominator="Nights that fell due in the week (nights planned), of all projects in question.",
        unit="count; word",
        columns={
            **dict.fromkeys(_BY_WEEK, ("nights_planned", "nights_done", "coverage")),
            "nights": ("night_date", "state", "run_id", "plans_listed", "plans_fetched", "plans_failed"),
        },
        see=("quality",),
    ),
    Definition(
        name="known-failures",
        version=1,
        title="Known failures",
        text="Plans that the newest night up to the one that ends the week could not archive, and that failed alike, "
        "with the same stage and error code, in at least three nights in a row up to it. A night is told by the last "
        "run that served it, in full or in part; one without such a run is passed over, and a plan that a run did not "
        "get to has not failed. What they did since is missing from every other figure.",
        unit="count of nights, by plan",
        columns={"known-failures": ("stage", "error_code", "since_night", "nights_count", "message")},
        see=("coverage", "quality"),
    ),
    Definition(
        name="quality",
        version=1,
        title="Quality checks",
        text="What the archive does not know, or doubts, counted by project, week and check. Each check:",
        unit="count; hours for observation_gap_p90_hours",
        columns={"quality": ("check", "count")},
        beside="It gives the first two checks; each of the others is a condition in reports/quality_frames.py, and "
        "reports quality gives them all.",
    ),
)

# What issued reports keep beside their figures. A table would tell other figures of the same facts: raise its version.
DEFINITION_VERSIONS: Mapping[str, int] = {definition.name: definition.version for definition in DEFINITIONS}


def definition_of(table: str, column: str) -> Definition | None:
    """Return the definition of a table's column; None for one that only names a group, such as `week`.

    >>> definition_of("delivery", "rework_rate").title
    'Rework rate'
    """
    return next((one for one in DEFINITIONS if column in one.columns.get(table, ())), None)
