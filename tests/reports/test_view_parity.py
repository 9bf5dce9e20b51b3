"""The views against the reports and against plain Python, over random archives, on both databases, in six zones."""

import math
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from oracle import Oracle
from random_archives import random_archive
from report_builders import attempt, frames, night, rollback, run, save
from sqlalchemy import select

from archiver.failures import write_all_failures
from archiver.ledger import write_weeks
from archiver.viewing import refresh_views
from archiver.views import TABLES
from reports.batch_timing import batch_timing
from reports.failure_rates import failure_rates
from reports.failures import failure_templates
from reports.groups import Selection
from reports.messages import load_failures
from reports.passes import batch_passes
from reports.reading import reading
from reports.releases import component_releases
from reports.rollbacks import rollback_rates
from reports.tables import plain, records
from reports.window import Window

ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")
PROJECTS = ("p1", "p2")
PLACE = ("project_id", "plan_id", "component_id", "batch")
AS_OF = datetime(2027, 6, 1, tzinfo=UTC)
# The end of summer time in Europe and America; the turn of a year of 53 weeks; the start of summer time.
FIRST_DAYS = (date(2026, 10, 12), date(2026, 12, 14), date(2026, 3, 2))
NOTHING_FAILED = {"template_id": None, "template": None, "count": 0, "components": 0} | dict.fromkeys(
    ("first_seen_at", "last_seen_at", "is_new")
)
NAMES = {"component": "component_id", "batch": "batch"}


@pytest.fixture(params=["sqlite_archive", "postgres_archive"])
def engine(request):
    return request.getfixturevalue(request.param)


def fill(engine, archive):
    """Write an archive, the weeks of all zones, a run of each project before and after, and the views."""
    days = [row["night_date"] for row in archive["nights"]]
    projects = {row["project_id"] for name in ("nights", "attempts") for row in archive[name]}
    runs = [
        run(project, run_id=f"{project}-{day}") | dict.fromkeys(("started_at", "ended_at"), at_noon(day))
        for project in sorted(projects)
        for day in dict.fromkeys((min(days), max(days)))
    ]
    save(engine, **archive, runs=runs)
    with engine.begin() as connection:
        write_all_failures(connection)
        write_weeks(connection, ZONES, at_noon(max(days)))
        refresh_views(connection, "public")


def small(attempts, rollbacks=(), nights=None):
    """Return an archive of a few rows, with a night of the default project in 2026-W47."""
    nights = nights or [night("2026-11-17", project_id="p")]
    return {"attempts": attempts, "rollbacks": list(rollbacks), "components": [], "nights": nights}


def at_noon(day):
    return datetime.combine(day, time(12), UTC)


def view_rows(engine, name, **equal):
    table = TABLES[name]
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET jit = off")  # compiling a view takes longer than its few rows
        query = select(table).where(*(table.c[column] == value for column, value in equal.items()))
        return [dict(row) for row in connection.execute(query).mappings()]


def window_of(weeks, zone):
    first, last = min(row["week_start_date"] for row in weeks), max(row["week_start_date"] for row in weeks)
    return Window.between(first, last + timedelta(days=7), ZoneInfo(zone))


def assert_same(found, expected):
    """Compare what is expected of each row, by key: numbers to 3 decimals of a second and 9 of a rate."""
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        for name, wanted in row.items():
            value = found[key][name]
            if isinstance(value, datetime) and isinstance(wanted, str):  # the reports' rows have instants as text
                value = plain(value)
            if isinstance(wanted, float) and value is not None:
                tolerance = 5e-4 if name.endswith("_seconds") else 5e-10
                assert math.isclose(value, wanted, rel_tol=0, abs_tol=tolerance), (key, name, value, wanted)
            else:
                assert value == wanted, (key, name, value, wanted)


def report_rows(table, group, view):
    """Return a report's rows by week and group, with the columns that the view has too."""
    shared = [name for name in table.columns if name in TABLES[view].c and name not in {"project_id", "week"}]
    return {(row["week"], row[group]): {name: row[name] for name in shared} for row in records(table)}


def assert_weekly_views(engine, archive, zone):
    loaded = frames(**archive)
    for project in PROJECTS:
        window = window_of(view_rows(engine, "coverage", time_zone=zone, project_id=project), zone)
        own = {name: [row for row in archive[name] if row["project_id"] == project] for name in archive}
        span = {"since": window.since_date, "until": window.until_date, "zone": ZoneInfo(zone)}
        oracle = Oracle(own["attempts"], own["rollbacks"], own["components"], **span)
        for view, group, report, counted in (
            ("weekly_failure_rates", "component", failure_rates, oracle.failure_rates),
            ("weekly_rollbacks", "component", _rollback_rates, oracle.rollback_rates),
            ("weekly_batch_timing", "batch", batch_timing, oracle.batch_timing),
        ):
            column = NAMES[group]
            rows = view_rows(engine, view, time_zone=zone, project_id=project)
            found = {(row["week"], row[column]): row for row in rows}
            selection = Selection(window, ("week", "project", group), {"project": (project,)})
            assert len(found) == len(rows) == len({row[next(iter(row))] for row in rows})
            assert_same(found, counted(("week", column)))
            assert_same(found, report_rows(report(loaded, selection), column, view))
            weeks = {week.label: (week.start_date, week.starts_at, week.ends_at) for week in window.weeks}
            assert {row["week"]: (row["week_start_date"], row["starts_at"], row["ends_at"]) for row in rows} == weeks


def _rollback_rates(loaded, selection):
    return rollback_rates(loaded, selection, as_of=AS_OF, recheck_days=14)


@pytest.mark.parametrize("seed", range(6))
def test_the_weekly_views_equal_the_reports_and_the_oracle(seed, engine):
    archive = random_archive(500 + seed, first_day=FIRST_DAYS[seed % 3], plans=20)
    fill(engine, archive)

    for zone in (ZONES[seed], ZONES[seed - 3]):
        assert_weekly_views(engine, archive, zone)


@pytest.mark.parametrize("seed", range(6))
def test_releases_and_batches_equal_those_of_the_reports(seed, engine):
    archive = random_archive(600 + seed, plans=60)
    fill(engine, archive)
    loaded = frames(**archive)

    releases = {tuple(row[name] for name in PLACE): row for row in view_rows(engine, "component_releases")}
    passes = {(row["project_id"], row["plan_id"], row["batch"]): row for row in view_rows(engine, "batch_runs")}

    expected = records(component_releases(loaded.attempts, loaded.rollbacks))
    names = [name for name in expected[0] if name != "component"]
    assert_same(releases, {tuple(row[name] for name in PLACE): {name: row[name] for name in names} for row in expected})
    finished = records(batch_passes(loaded.attempts, loaded.components))
    known = {(row["project_id"], row["plan_id"], row["batch"]): row for row in finished}
    for row in finished:
        if not row["is_finished"]:
            row |= {"ended_at": None, "duration_seconds": None}
        for name in ("creator", "action"):  # the reports know them of plans with attempts only
            del row[name]
    assert_same(passes, known)


@pytest.mark.parametrize("seed", range(6))
def test_the_templates_of_each_week_and_project_equal_the_report(seed, engine):
    archive = random_archive(700 + seed, first_day=FIRST_DAYS[seed % 3], plans=60)
    for number, row in enumerate([*archive["attempts"], *archive["rollbacks"]]):
        name, step = row["component_id"], number % 7
        row["fail_message"] = None if step == 0 else f"{name}: exit code {number} in step {'abcdef'[step - 1]}"
    fill(engine, archive)

    for project in PROJECTS:
        rows = view_rows(engine, "failure_templates", time_zone=ZONES[seed], project_id=project)
        found = {(row["week"], row["template_id"]): row for row in rows}
        window = window_of(rows, ZONES[seed])
        with reading(engine, [project]) as told:
            failures = load_failures(told, window)
        expected = {}
        for week in window.weeks:
            of_week = Window.of_weeks(week.start_date, 1, ZoneInfo(ZONES[seed]))
            told = records(failure_templates(failures, Selection(of_week)))
            expected |= {(week.label, row["template_id"]): row for row in told or [NOTHING_FAILED]}
        assert len(found) == len(rows) == len({row["failure_template_key"] for row in rows})
        assert_same(found, expected)
        assert len({key[1] for key in expected}) > 5


def test_of_two_releases_that_started_together_a_stray_rollback_is_of_the_higher_batch(engine):
    attempts = [attempt(batch=batch, job_id=f"job-{batch}") for batch in (1, None, 2)]
    fill(engine, small(attempts, [rollback(batch=7, job_id=None)]))

    releases = view_rows(engine, "component_releases")

    # No batch is higher than any.
    assert {row["batch"]: row["rollbacks"] for row in releases} == {1: 0, 2: 0, None: 1}


def test_a_week_after_the_last_run_is_there_for_an_attempt_that_says_it_started_in_it(engine):
    fill(engine, small([attempt(start="2026-12-09 10:00")]))

    rows = view_rows(engine, "weekly_failure_rates", time_zone="UTC")

    # The runs and the night lie in week 47, the attempt in week 50.
    assert [(row["week"], row["component_id"], row["finished"], row["coverage"]) for row in rows] == [
        ("2026-W47", None, 0, "complete"),
        ("2026-W48", None, 0, "none"),
        ("2026-W49", None, 0, "none"),
        ("2026-W50", "api", 1, "none"),
    ]


def test_coverage_tells_nights_done_in_part_and_missed(engine):
    states = {"2026-11-16": "done", "2026-11-17": "partial", "2026-11-18": "missed", "2026-11-19": "due"}
    fill(engine, small([], nights=[night(day, state, "p1") for day, state in states.items()]))

    (row,) = view_rows(engine, "coverage", time_zone="UTC", project_id="p1")

    counts = {name: row[f"nights_{name}"] for name in ("planned", "done", "partial", "missed")}
    assert counts == {"planned": 4, "done": 1, "partial": 1, "missed": 1}
    assert row["coverage"] == "partial"


def test_a_key_tells_a_project_with_a_slash_from_a_component_with_one(engine):
    pairs = [("a/b", "c"), ("a", "b/c")]
    fill(engine, small([attempt(project_id=project, component_id=component) for project, component in pairs]))

    rows = [row for row in view_rows(engine, "weekly_failure_rates", time_zone="UTC") if row["component_id"]]

    assert {row["component_id"] for row in rows} == {"c", "b/c"}
    assert len({row["weekly_failure_rate_key"] for row in rows}) == len(rows) == 2


def test_the_quantiles_of_four_recoveries_worked_by_hand(engine):
    # Recoveries of 60, 120, 180 and 600 seconds: the median lies half way between 120 and 180, the 90th
    # percentile at place 2.7 of 0 to 3: 180 + 0.7 * 420.
    seconds = {"one": 60, "two": 120, "three": 180, "four": 600}
    attempts = [attempt(plan_id=plan, job_id=plan, seconds=0) for plan in seconds]
    undone = [
        rollback(plan_id=plan, job_id=plan, start="2026-11-16 10:00", seconds=took) for plan, took in seconds.items()
    ]
    fill(engine, small(attempts, undone))

    rows = view_rows(engine, "weekly_rollbacks", time_zone="UTC", component_id="api")

    assert [(row["finished"], row["rolled_back"], row["rollback_rate"]) for row in rows] == [(4, 4, 1.0)]
    assert rows[0]["recovery_p50_seconds"] == pytest.approx(150)
    assert rows[0]["recovery_p90_seconds"] == pytest.approx(474)
    # Wilson's interval of 4 out of 4 begins at 4 / (4 + z^2).
    assert (rows[0]["ci_low"], rows[0]["ci_high"]) == (pytest.approx(4 / (4 + 1.959963984540054**2), abs=1e-12), 1.0)
