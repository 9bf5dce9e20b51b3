"""The SQL of each definition against the report's own figures, over random archives, on both databases."""

from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from random_archives import random_archive
from report_builders import run, save
from sqlalchemy import text

from archiver import schema
from archiver.failures import write_all_failures
from archiver.ledger import write_weeks
from archiver.viewing import refresh_views
from reports.batch_timing import batch_timing, batch_trend
from reports.definition_sql import SQL
from reports.definitions import DEFINITION_VERSIONS
from reports.delivery import delivery
from reports.failure_rates import failure_rates
from reports.failures import failure_templates, rollback_failures
from reports.flagged import flagged_components
from reports.flaky import flaky_components
from reports.frames import load_frames
from reports.groups import Selection
from reports.messages import load_failures
from reports.quality import quality
from reports.quality_frames import load_quality
from reports.reading import reading
from reports.recovery import recovery
from reports.rollbacks import rollback_rates
from reports.survival import batch_survival
from reports.tables import plain, records
from reports.verdict import verdict
from reports.weekly import weekly_window
from reports.window import Window

ZONE, WEEK, MONDAY = "Asia/Shanghai", "2026-W45", date(2026, 11, 2)
AS_OF = datetime(2027, 6, 1, tzinfo=UTC)


class Told:
    """One archive's SQL and reports, of one week of one zone."""

    def __init__(self, engine, zone):
        self.engine, self.zone = engine, ZoneInfo(zone)
        self.window = weekly_window(MONDAY, self.zone)
        self.week = Window.of_weeks(MONDAY, 1, self.zone)
        self.frames = load_frames(engine, self.window)

    def sql(self, name):
        """Return the rows that a definition's SQL gives."""
        statement = text(SQL[name][self.engine.dialect.name])
        asked = {"time_zone": self.zone.key, "week": WEEK}
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(statement, asked).mappings()]

    def of_week(self, metric, **other):
        """Return the one row that a metric by week gives of the week."""
        (row,) = records(metric(self.frames, Selection(self.week), **other))
        return row


@pytest.fixture(scope="module")
def _archive_rows():
    archive = random_archive(11, plans=120)
    for number, row in enumerate([*archive["attempts"], *archive["rollbacks"]]):
        row["fail_message"] = f"step {'abcdefgh'[number % 8] * (number % 9 + 1)} failed after {number} s"
    return archive


@pytest.fixture(params=["sqlite_archive", "postgres_archive"])
def told(request, _archive_rows):
    engine = request.getfixturevalue(request.param)
    days = sorted(row["night_date"] for row in _archive_rows["nights"])
    noons = [datetime.combine(day, time(12), UTC) for day in (days[0], days[-1])]
    runs = [
        run(project, run_id=f"{project}-{noon}") | dict.fromkeys(("started_at", "ended_at"), noon)
        for project in ("p1", "p2")
        for noon in noons
    ]
    save(engine, **_archive_rows, runs=runs)
    with engine.begin() as connection:
        write_known_failures(connection)
        write_all_failures(connection)
        write_weeks(connection, [ZONE], noons[-1])
        refresh_views(connection, "public")
    return Told(engine, ZONE)


def write_known_failures(connection):
    """Write four nights up to the Monday after the week, and what failed in each.

    The second was served twice: in the run that ended later, `fresh` did not fail. The last night is after the week.
    """
    nights = {
        "1": ("2026-11-05", {"always": None, "changed": "403", "fresh": "403", "late": "403"}),
        "2a": ("2026-11-06", {"always": None, "changed": "403", "fresh": "403", "late": "403"}),
        "2b": ("2026-11-06", {"always": None, "changed": "403", "late": "403"}),
        "3": ("2026-11-08", {"always": None, "changed": "500", "fresh": "403", "late": "403"}),
        "4": ("2026-11-09", {"always": None, "changed": "500", "fresh": "403"}),
        "5": ("2026-11-10", {"late": "403"}),
    }
    for number, (name, (day, failed)) in enumerate(nights.items()):
        started = datetime.combine(date.fromisoformat(day), time(2 + number), UTC)
        served = {"night_date": date.fromisoformat(day), "outcome": "partial", "started_at": started}
        connection.execute(schema.runs.insert(), run("p1", run_id=f"night-{name}") | served | {"ended_at": started})
        for plan, code in failed.items():
            failure = {"fetch_failure_key": f"{name}-{plan}", "run_id": f"night-{name}", "project_id": "p1"}
            failure |= {"plan_id": plan, "stage": "deploy_info", "error_code": code, "message": f"{plan} {code}"}
            connection.execute(schema.fetch_failures.insert(), failure | {"failed_at": started})


def assert_same(found, expected):
    """Assert that each figure the SQL gives is the one expected; counts exactly."""
    for name, value in found.items():
        wanted = expected[name]
        assert (value is None) == (wanted is None), name
        if isinstance(wanted, float):
            assert float(value) == pytest.approx(wanted, abs=1e-6), name
        else:
            assert value == wanted, name


def test_rates_and_counts_of_the_week_are_those_of_the_reports(told):
    as_of = {"as_of": AS_OF, "recheck_days": 14}
    for name, metric, other in (
        ("failure-rates", failure_rates, {}),
        ("release-failure-rates", failure_rates, {"unit": "release"}),
        ("rollbacks", rollback_rates, as_of),
        ("recovery", recovery, {}),
        ("batch-timing", batch_timing, {}),
        ("delivery", delivery, {}),
        ("rework", delivery, {}),
        ("flaky-components", flaky_components, {}),
    ):
        (row,) = told.sql(name)
        expected = told.of_week(metric, **other)
        # A table without the metric would agree with anything that is empty.
        assert all(value is not None for value in row.values()), name
        assert_same(row, expected)


def test_coverage_and_missed_nights_are_those_of_the_reports(told):
    (row,) = told.sql("coverage")
    with reading(told.engine) as archive:
        checks = quality(load_quality(archive, told.week), told.week)
    counts = {(one["project_id"], one["check"]): one["count"] for one in records(checks)}

    assert_same({name: row[name] for name in ("nights_planned", "nights_done")}, told.of_week(failure_rates))
    assert row["nights_missed"] == sum(counts[project, "nights_missed"] for project in ("p1", "p2")) > 0
    for one in told.sql("quality"):
        for name in ("nights_missed", "nights_partial"):
            assert one[name] == counts[one["project_id"], name]


def test_the_trend_of_each_batch_is_that_of_the_report(told):
    found = {row["batch"]: row["slope_seconds_per_week"] for row in told.sql("batch-trend")}
    table = records(batch_trend(told.frames, Selection(told.window, ("batch",))))
    expected = {row["batch"]: row["slope_seconds_per_week"] for row in table if row["weeks"] > 1}

    assert len(found) > 2
    assert {batch: float(slope) for batch, slope in found.items()} == pytest.approx(expected)


def test_batch_survival_is_that_of_the_report(told):
    names = ("batch_rank", "reached", "at_risk", "surfaced")
    expected = [{name: row[name] for name in names} for row in records(batch_survival(told.frames, told.window))]

    assert told.sql("batch-survival") == expected
    assert expected[0]["surfaced"] > 0


def test_the_components_that_are_compared_have_the_reports_counts(told):
    names = ("project_id", "component_id", "finished", "failed", "finished_before", "failed_before")
    table = flagged_components(told.frames, told.window)

    def place(row):
        return row["project_id"], row["component_id"]

    expected = sorted(({name: row[name] for name in names} for row in records(table)), key=place)
    assert sorted(told.sql("flagged-components"), key=place) == expected
    assert sum(row["failed"] for row in expected) > 0


def test_the_verdicts_counts_are_those_of_the_report(told):
    rows = {row["week"]: row for row in told.sql("verdict")}
    now = rows.pop(WEEK)
    found = verdict(told.frames, told.window, as_of=AS_OF)
    measures = {measure.measure: asdict(measure) for measure in found.measures}

    assert (now["finished"], found.finished_before) == (found.finished, sum(row["finished"] for row in rows.values()))
    assert set(rows) < set(found.weeks_before)  # the archive begins three weeks before
    for column, measure in (("rolled_back", "rollback_rate"), ("change_failures", "change_failure_rate")):
        assert now[column] == measures[measure]["hits"] > 0
        assert sum(row[column] for row in rows.values()) == measures[measure]["hits_before"]


def test_failures_and_failed_rollbacks_are_those_of_the_report(told):
    with reading(told.engine) as archive:
        failures = load_failures(archive, told.window)
    table = failure_templates(failures, Selection(told.week))
    listed = records(rollback_failures(failures, Selection(told.week)))

    def job(row):
        return row["project_id"], row["plan_id"], row["component_id"], row["rollback_job_id"]

    expected = records(table)
    found = told.sql("failures")
    assert [row["template_id"] for row in found] == [row["template_id"] for row in expected] != []
    for row, wanted in zip(found, expected, strict=True):
        for name in ("first_seen_at", "last_seen_at"):
            row[name] = plain(row[name])
        assert_same(row, wanted)
    assert {row["is_new"] for row in found} == {0, 1}
    assert sorted(map(job, told.sql("rollback-failures"))) == sorted(map(job, listed)) != []


def test_known_failures_are_those_of_the_report(told):
    with reading(told.engine) as archive:
        table = archive.known_failures(MONDAY + timedelta(days=7))

    found = [row | {"since_night": str(row["since_night"])} for row in told.sql("known-failures")]
    assert [(row["plan_id"], row["since_night"], row["nights_count"]) for row in found] == [("always", "2026-11-05", 4)]
    assert found == records(table)


def test_every_definition_has_sql_that_gives_rows(told):
    assert all(told.sql(name) for name in DEFINITION_VERSIONS)
    assert set(SQL) == set(DEFINITION_VERSIONS)
