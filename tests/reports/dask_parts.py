"""Random archives in memory, as Dask DataFrames in other parts, and as a data set; and every metric of them."""

from datetime import date
from pathlib import Path

import dask.dataframe as dd
import pandas as pd
from random_archives import random_archive
from report_builders import UTC_ZONE, at, failure, failures, frames, run, save

from archiver.exporting import export
from archiver.failures import write_all_failures
from archiver.ledger import write_weeks
from archiver.viewing import refresh_views
from reports.batch_timing import batch_timing, batch_trend, slowest_components
from reports.behind import releases_behind
from reports.clustered import release_rates
from reports.delivery import delivery
from reports.distributed import dask_frames
from reports.failure_rates import failure_rates
from reports.failures import failure_templates, rollback_failures
from reports.flagged import flagged_components
from reports.flaky import flaky_components
from reports.groups import Selection
from reports.recovery import recovery
from reports.rollbacks import rollback_rates
from reports.spread import at_last, known
from reports.survival import batch_survival
from reports.verdict import Verdict, verdict
from reports.weekly import weekly_report
from reports.window import Window

MONDAY = date(2026, 11, 16)
NOW = at("2026-11-29 02:20")
WEEKS = Window.of_weeks(MONDAY, 10, UTC_ZONE)
WEEKLY, ALL = Selection(WEEKS), Selection(WEEKS, by=())
DATA = Path("data")


def in_memory(seed, plans=60):
    """Return a random archive's frames and failures."""
    archive = random_archive(seed, plans=plans)
    said = [
        failure(
            f"{word} after {row['attempt']} s",
            None,
            **{name: row[name] for name in ("project_id", "plan_id", "component_id", "batch", "version", "job_id")},
            kind=kind,
            started_at=row["started_at"] or row["first_seen_at"],
        )
        for number, row in enumerate(archive["attempts"])
        if row["outcome"] == "failed"
        for word, kind in [("exit", "attempt") if number % 3 else ("reset", "rollback")]
    ]
    return frames(**archive, last_run_ended_at=NOW), failures(*said)


def in_dask(memory, said, parts=(5, 2, 3, 4)):
    """Return the same as Dask DataFrames, each in so many parts."""
    given = (memory.attempts, memory.rollbacks, memory.components, said)
    spread = [dd.from_pandas(one, npartitions=count, sort=False) for one, count in zip(given, parts, strict=True)]
    return dask_frames(*spread[:3], memory, spread[3])


def every_metric(frames, failures):
    """Ask every metric, all at once, and return its table by name."""
    seven = {"as_of": NOW, "recheck_days": 14}
    by = {"all": ALL, "week": WEEKLY, "batch": Selection(WEEKS, by=("week", "batch"))}
    by["creator of p1"] = Selection(WEEKS, by=("creator", "action"), where={"project": ("p1",)})
    asked = {}
    for name, selection in by.items():
        asked |= {
            f"failure rates by {name}": failure_rates(frames, selection),
            f"release failure rates by {name}": failure_rates(frames, selection, unit="release"),
            f"rollbacks by {name}": rollback_rates(frames, selection, **seven),
            f"rollbacks within 3 days by {name}": rollback_rates(frames, selection, **seven, within_days=3),
            f"delivery by {name}": delivery(frames, selection),
            f"recovery by {name}": recovery(frames, selection),
            f"batch timing by {name}": batch_timing(frames, selection),
            f"batch trend by {name}": batch_trend(frames, selection),
            f"slowest components by {name}": slowest_components(frames, selection),
            f"flaky components by {name}": flaky_components(frames, selection),
        }
    for key in ("component", "version", "project", "team"):
        asked[f"failure rates by {key}"] = failure_rates(frames, Selection(WEEKS, by=("week", key)))
    asked |= {
        "release rates": release_rates(frames, WEEKLY, as_of=NOW),
        "verdict": at_last(Verdict.table)(verdict(frames, WEEKS, as_of=NOW)),
        "flagged components": flagged_components(frames, WEEKS),
        "batch survival": batch_survival(frames, WEEKS),
        "releases behind": releases_behind(frames, failures, WEEKS),
        "failures": failure_templates(failures, WEEKLY),
        "rollback failures": rollback_failures(failures, WEEKLY),
    }
    return known(frames, asked)[0]


def assert_equal(tables, expected):
    """Integers, words and quantiles are equal; other numbers to 1e-9."""
    assert list(tables) == list(expected)
    for name, table in expected.items():
        pd.testing.assert_frame_equal(tables[name], table, rtol=1e-9, atol=0, obj=name)
        exact = [column for column in table if "_p50_" in column or column[:4] in ("p50_", "p90_", "p99_", "max_")]
        pd.testing.assert_frame_equal(tables[name][exact], table[exact], check_exact=True, obj=name)


def assert_same_report(report, expected):
    """Two reports say the same, but for what a data set can't know."""
    assert_equal(report.tables, expected.tables)
    pd.testing.assert_frame_equal(report.behind, expected.behind)
    for name in ("result", "sentences", "unknowns", "as_of", "banner", "week"):
        assert getattr(report, name) == getattr(expected, name)
    assert (report.verdict.word, report.verdict.sentence) == (expected.verdict.word, expected.verdict.sentence)
    assert (report.settled and report.settled.sentence) == (expected.settled and expected.settled.sentence)


def weekly_of(frames, failures):
    return weekly_report(frames, MONDAY, UTC_ZONE, recheck_days=14, failures=failures)


def export_random(engine, seed, plans=60):
    """Save a random archive, and export it."""
    save(engine, **random_archive(seed, plans=plans), runs=[run("p1", run_id="r1"), run("p2", run_id="r2")])
    with engine.begin() as connection:
        write_weeks(connection, ["UTC"], NOW)
        refresh_views(connection, "public")
        write_all_failures(connection)
    export_again(engine)


def export_again(engine):
    with engine.connect() as connection:
        export(connection, DATA, UTC_ZONE, ["p1", "p2"])
