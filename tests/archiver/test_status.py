"""The archive's health: freshness, nights (written or not), failures in a row, counts, and how all of it is told."""

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from builders import component, deploy_info, plan_item

from archiver import schema
from archiver.clock import ManualClock
from archiver.database import is_sqlite, parse_url
from archiver.errors import GiveUpPlanError
from archiver.importing import import_saved
from archiver.lease import acquire
from archiver.ledger import Night, RunCounts, close_run, open_nights, open_run, save_failures, settle_night
from archiver.saved import Observation
from archiver.status import known_projects, load_status
from archiver.status_text import status_lines

NIGHT = Night("15 2 * * *", ZoneInfo("UTC"))
FIRST_NIGHT = datetime(2026, 11, 18, 2, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Told:
    """An archive whose runs a test writes, with a clock that stands where the last one ended."""

    def __init__(self, archive):
        """Begin on the first night."""
        self.archive = archive
        self.clock = ManualClock(FIRST_NIGHT)

    def ran(self, outcome="complete", *, kind="scheduled", project="p1", failed=(), ends=True, error=None):
        """Write a run of ten minutes from now on, as a real one does."""
        with self.archive.engine.begin() as connection:
            started_at = self.clock.now()
            is_night = kind in ("scheduled", "manual")
            night_date = open_nights(connection, project, NIGHT, started_at) if is_night else None
            run_id = open_run(connection, project, kind, started_at, self.archive.revision, night_date)
            if not ends:
                return
            self.clock.advance(600)
            failures = [(plan_id, GiveUpPlanError("no answer", stage="deploy_info", status=500)) for plan_id in failed]
            save_failures(connection, project, run_id, failures, self.clock.now())
            counts = RunCounts(plans_listed=9, plans_fetched=9 - len(failed), plans_failed=len(failed))
            close_run(connection, run_id, outcome, self.clock.now(), counts, error)
            if night_date is not None:
                settle_night(connection, project, night_date, run_id, outcome)

    def status(self, *projects, configured=("p1",), max_age_hours=26):
        """Load the status of these projects, by default of the configured ones, as of now."""
        with self.archive.engine.connect() as connection:
            return load_status(
                connection,
                self.archive.url,
                "release_archive",
                NIGHT,
                self.clock.now(),
                project_ids=projects or configured,
                configured=configured,
                max_age_hours=max_age_hours,
            )

    def project(self):
        """Load the status of the one project."""
        return self.status().projects[0]


@pytest.fixture
def told(archive):
    return Told(archive)


def lines(told):
    return list(status_lines(told.status(), "archive.db"))


def test_a_project_is_fresh_until_its_run_ended_the_allowed_hours_ago(told):
    told.ran("partial")
    ended_at = told.clock.now()

    told.clock.set(ended_at + 26 * HOUR)
    assert (told.project().is_fresh, told.project().age_hours) == (True, 26)
    told.clock.advance(0.001)
    assert not told.project().is_fresh
    assert [project.project_id for project in told.status().stale] == ["p1"]
    assert told.status(max_age_hours=27).stale == []


@pytest.mark.parametrize(
    ("kind", "outcome", "is_fresh"),
    [
        ("watch", "complete", True),
        ("manual", "partial", True),
        ("import", "complete", False),
        ("scheduled", "failed", False),
        ("scheduled", "interrupted", False),
    ],
)
def test_what_collected_the_present_makes_fresh_and_nothing_else(told, kind, outcome, is_fresh):
    told.ran(outcome, kind=kind)

    assert told.project().is_fresh is is_fresh


def test_a_failed_run_does_not_hide_the_saved_one_before(told):
    told.ran("complete")
    completed_at = told.clock.now()
    told.clock.set(FIRST_NIGHT + 24 * HOUR)
    told.ran("failed", error="the list is forbidden")

    found = told.project()
    assert (found.is_fresh, found.age_hours, found.last_complete_at) == (True, 24, completed_at)
    assert [run.result.outcome for run in found.recent_runs] == ["failed", "complete"]


def test_a_configured_project_the_archive_never_saw_is_shown_and_stale(told):
    told.ran(project="p2")

    found = told.status("p1", "p2")

    assert [(one.project_id, one.is_configured, one.is_fresh) for one in found.projects] == [
        ("p1", True, False),
        ("p2", False, True),
    ]
    assert [one.project_id for one in found.stale] == ["p1"]
    assert "p1  NEVER RUN" in list(status_lines(found, "archive"))
    assert found.projects[0].as_json()["last_run"] is None


def test_five_runs_are_told_newest_first(told):
    for hour in range(7):
        told.clock.set(FIRST_NIGHT + hour * HOUR)
        told.ran(kind="watch")

    started = [run.result.started_at for run in told.project().recent_runs]
    assert started == [FIRST_NIGHT + hour * HOUR for hour in (6, 5, 4, 3, 2)]


def test_nights_that_no_process_wrote_are_told_as_the_next_run_will_write_them(told):
    told.ran("complete")
    told.clock.set(FIRST_NIGHT + 24 * HOUR)
    told.ran("failed")  # the night of the 19th stays due
    told.clock.set(datetime(2026, 11, 23, 8, tzinfo=UTC))

    dead = told.project()
    before = told.archive.rows(schema.nights)
    told.ran("failed")
    after = told.project()

    # The nights of the 18th to the 23rd; those of the 20th to the 23rd stand in no book.
    assert len(before) == 2
    counted = {"planned": 6, "done": 1, "partial": 0, "missed": 4, "due": 1}
    assert dead.as_json()["nights"] == counted | {"unwritten": 4}
    assert after.as_json()["nights"] == counted | {"unwritten": 0}
    assert dead.missed_nights == after.missed_nights == [date(2026, 11, day) for day in (22, 21, 20, 19)]


def test_a_night_of_today_is_not_yet_missed(told):
    told.ran()
    told.clock.set(FIRST_NIGHT + 24 * HOUR)

    assert told.project().missed_nights == []
    assert told.project().as_json()["nights"] == {
        "planned": 2,
        "done": 1,
        "partial": 0,
        "missed": 0,
        "due": 1,
        "unwritten": 1,
    }


def test_at_most_ten_missed_nights_are_named_and_all_are_counted(told):
    told.ran()
    told.clock.set(FIRST_NIGHT + 40 * 24 * HOUR)

    found = told.project()
    assert (found.nights.missed, len(found.missed_nights), found.missed_nights[0]) == (39, 10, date(2026, 12, 27))


def test_no_night_falls_due_of_a_project_that_was_given_up(told):
    told.ran()
    told.clock.set(FIRST_NIGHT + 72 * HOUR)

    assert told.status("p1", configured=("p2",)).projects[0].nights.unwritten == 0
    assert told.status("p1", configured=()).projects[0].nights.unwritten == 3


def test_a_failed_plan_says_in_how_many_runs_in_a_row_it_failed(told):
    for night, failed in enumerate((["a", "b"], ["a"], ["a", "b", None])):
        told.clock.set(FIRST_NIGHT + night * 24 * HOUR)
        told.ran("partial", failed=failed)
    told.ran("partial", kind="watch", failed=["w"])  # it tries few plans: what it says of the others is nothing

    found = told.project()
    assert [(plan.plan_id, plan.stage, plan.since_nights) for plan in found.failed_plans] == [
        (None, "deploy_info", 1),
        ("a", "deploy_info", 3),
        ("b", "deploy_info", 1),
    ]
    assert (found.failed_plans_count, found.failed_plans[1].message) == (3, "no answer")


def test_a_failed_plan_is_told_with_its_cause_and_how_often(told):
    for night in range(2):
        told.clock.set(FIRST_NIGHT + night * 24 * HOUR)
        told.ran("partial", failed=["3fa85f64-5717-4562-b3fc-2c963f66afa6"])

    at = lines(told).index(f"{' ' * 12}3fa85f64-5717-4562-b3fc-2c963f66afa6, 2 runs in a row")
    assert lines(told)[at + 1] == f"{' ' * 14}deploy_info: no answer"


def test_a_name_can_not_command_the_terminal(told):
    told.ran("partial", failed=["red\x1b[31m\x9b\u202e"])

    shown = lines(told)

    assert all(line.isprintable() for line in shown)
    assert any("red\\x1b[31m\\x9b\\u202e" in line for line in shown)


def test_a_plan_that_failed_alike_for_three_nights_is_listed_as_known(told):
    for night in range(4):
        told.clock.set(FIRST_NIGHT + night * 24 * HOUR)
        told.ran("partial", failed=["a"] if night == 0 else ["a", "b"])

    known = told.project().as_json()["known_failures"]
    assert known[0] == {
        "plan_id": "a",
        "stage": "deploy_info",
        "error_code": "500",
        "message": "no answer",
        "since_night": "2026-11-18",
        "nights_count": 4,
        "failed_at": "2026-11-21T02:25:00.000Z",
    }
    assert [(one["plan_id"], one["nights_count"]) for one in known] == [("a", 4), ("b", 3)]
    at = lines(told).index("  known     2 plans fail alike, night after night: known failures")
    assert lines(told)[at + 1] == f"{' ' * 12}a: 500, 4 nights, since 2026-11-18"


def test_a_plan_that_did_not_fail_in_the_latest_run_is_not_told(told):
    told.ran("partial", failed=["a"])
    told.clock.set(FIRST_NIGHT + 24 * HOUR)
    told.ran()

    assert told.project().failed_plans == []


def test_a_run_in_progress_is_told_from_one_that_died(told):
    told.ran(ends=False)

    died = told.project()
    with told.archive.engine.begin() as connection:
        acquire(connection, "project:p1")
    alive = told.project()

    assert [died.recent_runs[0].is_in_progress, alive.recent_runs[0].is_in_progress] == [False, True]
    assert any("in progress" in line for line in lines(told))


def test_a_run_that_died_is_said_to_have_died(told):
    told.ran(ends=False)

    assert any("DIED" in line for line in lines(told))


def test_rows_and_growth_are_counted_by_project(told):
    recently_ms = int((FIRST_NIGHT - 27 * 24 * HOUR).timestamp() * 1000)
    redeployed = component(
        "c2", job_id="J2", start_time=recently_ms, rollback_job_id="R1", rollback_job_status="FAILED"
    )
    seen_at = FIRST_NIGHT - 29 * 24 * HOUR
    bodies = [
        Observation("old", "list_item", json.dumps(plan_item("old")).encode(), seen_at),
        Observation("old", "deploy_info", deploy_info("old", component("c1"), redeployed), seen_at),
        Observation("new", "list_item", json.dumps(plan_item("new", status="RUNNING")).encode(), FIRST_NIGHT),
    ]
    import_saved(told.archive.engine, "p1", told.archive.revision, bodies, FIRST_NIGHT - 28 * 24 * HOUR)
    import_saved(told.archive.engine, "p2", told.archive.revision, bodies[:1], FIRST_NIGHT - 29 * 24 * HOUR)

    one, two = (project.as_json() for project in told.status("p1", "p2").projects)

    names = ("plans", "plans_gone", "plans_unsettled", "attempts", "rollbacks", "snapshots")
    assert [one[name] for name in names] == [2, 0, 1, 2, 1, 3]
    assert one["growth"] == {"plans_28_days": 1, "attempts_28_days": 1, "snapshots_28_days": 3}
    assert [two[name] for name in names] == [1, 0, 0, 0, 0, 1]
    assert two["growth"] == {"plans_28_days": 0, "attempts_28_days": 0, "snapshots_28_days": 0}


def test_the_size_is_that_of_the_files_or_of_the_schemas_tables(told):
    told.ran()
    size = told.status().size_bytes

    if is_sqlite(parse_url(told.archive.url)):
        files = [path for path in Path().iterdir() if path.name in ("archive.db", "archive.db-wal")]
        assert size == sum(path.stat().st_size for path in files) > 4096
    else:
        # Every table and index has a page of 8 kB at least once it holds a row.
        assert size >= 3 * 8192
        assert size % 8192 == 0


def test_json_has_the_documented_keys_and_times_as_the_archive_writes_them(told):
    told.ran("partial", failed=["a"])

    found = json.loads(json.dumps(told.status().as_json()))

    assert list(found) == ["checked_at", "database", "max_age_hours", "is_fresh", "projects"]
    assert list(found["database"]) == ["kind", "size_bytes", "schema_revision"]
    assert (found["checked_at"], found["is_fresh"]) == ("2026-11-18T02:25:00.000Z", True)
    project = found["projects"][0]
    assert list(project) == [
        *("project_id", "target", "is_configured", "is_fresh", "age_hours", "last_run", "last_complete_at"),
        *("recent_runs", "nights", "missed_nights", "failed_plans_count", "failed_plans", "known_failures"),
        *("plans", "plans_gone", "plans_unsettled", "attempts", "rollbacks", "snapshots", "growth"),
    ]
    assert project["last_complete_at"] is None
    assert project["last_run"] == project["recent_runs"][0]
    run = project["last_run"]
    assert (run["kind"], run["night_date"], run["started_at"]) == (
        "scheduled",
        "2026-11-18",
        "2026-11-18T02:15:00.000Z",
    )
    assert project["failed_plans"] == [
        {
            "plan_id": "a",
            "stage": "deploy_info",
            "message": "no answer",
            "failed_at": "2026-11-18T02:25:00.000Z",
            "since_nights": 1,
        }
    ]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_the_text_stays_within_80_columns_and_names_every_project(told, count):
    projects = [f"{number:032x}" for number in range(count)]
    for project in projects:
        told.clock.set(FIRST_NIGHT)
        for _ in range(3):
            failed = [f"plan-{'x' * 90}-{number}" for number in range(8)]
            told.ran("partial", project=project, failed=failed, error="e " * 90)
            told.clock.advance(86_400)
    told.clock.advance(40 * 86_400)

    with told.archive.engine.connect() as connection:
        known = known_projects(connection)
    shown = list(status_lines(told.status(configured=projects), "archive.db"))

    assert known == projects
    assert [line for line in shown if len(line) > 80] == []
    assert all(f"{project}  STALE" in shown for project in projects)


def test_the_cause_of_an_unhappy_run_is_told(told):
    told.ran("failed", error="the list call is forbidden")

    assert any("scheduled 2026-11-18 02:15Z failed: the list call is" in line for line in lines(told))


def run(*arguments, **variables):
    """Run the command; return exit code, standard output, standard error."""
    settings = {f"ARCHIVER_{name}": value for name, value in variables.items()}
    done = subprocess.run(
        [sys.executable, "-m", "archiver", "status", *arguments],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def collected(archive):
    """Give an archive in which p1 was collected an hour ago, and p2 two days ago; return its URL."""
    told = Told(archive)
    for project, hours in (("p2", 48), ("p1", 1)):
        told.clock.set(datetime.now(UTC) - hours * HOUR)
        told.ran(project=project)
    archive.engine.dispose()
    return archive.url


def test_status_exits_1_only_where_a_configured_project_is_stale(collected):
    assert run(DATABASE_URL=collected, PROJECT_ID="p1")[0] == 0
    assert run(DATABASE_URL=collected, PROJECT_ID="p1,p2")[0] == 1
    assert run("--max-age-hours", "60", DATABASE_URL=collected, PROJECT_ID="p1,p2")[0] == 0
    assert run("--project", "p1", DATABASE_URL=collected, PROJECT_ID="p1,p2")[0] == 0
    assert run(DATABASE_URL=collected, PROJECT_ID="p1,p3")[0] == 1


def test_status_shows_every_project_and_exits_0_where_none_is_configured(collected):
    code, out, _ = run("--json", DATABASE_URL=collected)

    assert code == 0
    found = json.loads(out)
    assert [(one["project_id"], one["is_configured"]) for one in found["projects"]] == [("p1", False), ("p2", False)]
    assert "no project is configured" in run(DATABASE_URL=collected)[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--max-age-hours", "soon"), "--max-age-hours"),
        (("--max-age-hours", "nan"), "--max-age-hours"),
        (("--max-age-hours", "0"), "--max-age-hours"),
        (("--project", "nobody"), "'nobody' is neither configured nor in the archive"),
    ],
)
def test_a_status_that_can_not_be_meant_exits_2(sqlite_archive_file, arguments, message):
    code, out, err = run(*arguments, DATABASE_URL=sqlite_archive_file.url)

    assert (code, out) == (2, "")
    assert message in err


def test_status_exits_3_in_one_line_where_there_is_no_archive_and_makes_none(tmp_path):
    code, out, err = run(PROJECT_ID="p1")

    assert (code, out, len(err.splitlines())) == (3, "", 1)
    assert "there is no archive" in err
    assert list(tmp_path.iterdir()) == []


def test_status_exits_3_in_one_line_where_the_database_is_out_of_reach():
    code, out, err = run(DATABASE_URL="postgresql+psycopg://u:secret@127.0.0.1:1/x")

    assert (code, out, len(err.splitlines())) == (3, "", 1)
    assert "does not serve" in err
    assert "secret" not in err


def test_status_exits_3_where_the_schema_is_of_another_release(archive):
    with archive.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'later'")
    archive.engine.dispose()

    code, _, err = run(DATABASE_URL=archive.url)

    assert code == 3
    assert "newer than this program" in err
