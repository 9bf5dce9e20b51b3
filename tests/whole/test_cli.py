"""The command line as a process: what it prints where, and the exit code that says how it went."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, text

from archiver import schema
from archiver.lease import acquire
from archiver.simulator import Credentials, Fault, Faults, Simulator, build_history, running

ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
HISTORY = build_history(7, ends_at=ENDS_AT, weeks=1, projects=2, plans_per_week=8)
FIRST, SECOND = HISTORY.project_ids
SECRET = "hunter2-do-not-show"
COUNTS = (
    *("plans_listed", "plans_fetched", "plans_changed", "plans_unchanged", "plans_skipped", "plans_gone"),
    *("plans_failed", "requests", "retries"),
)


def start(*arguments, **variables):
    """Start the command in the working directory, with these settings and no others."""
    settings = {f"ARCHIVER_{name}": value for name, value in variables.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "archiver", *arguments],
        env=os.environ | {"PYTHONWARNINGS": "error"} | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments, **variables):
    """Run the command; return exit code, standard output, standard error. A traceback is never right."""
    process = start(*arguments, **variables)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert SECRET not in out + err
    return process.returncode, out, err


def errors(err):
    return [line for line in err.splitlines() if line.startswith("error:")]


@pytest.fixture
def cloud():
    """Serve the history; return the settings that reach it."""
    opened = []

    def serve(*faults, projects=(FIRST,), tokens=("right",)):
        credentials = Credentials(tokens=tokens)
        simulator = Simulator(HISTORY, now=lambda: ENDS_AT, faults=Faults(faults), credentials=credentials)
        context = running(simulator)
        opened.append(context)
        settings = {
            "ENDPOINT": context.__enter__(),
            "PROJECT_ID": ",".join(projects),
            "TOKEN": "right",
            "REQUESTS_PER_SECOND": "0",
            "RETRY_SECONDS": "1",
        }
        return simulator, settings

    yield serve
    for context in opened:
        context.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("variables", "word"),
    [
        ({}, "ARCHIVER_PROJECT_ID"),
        ({"PROJECT_ID": "p", "REGION": "r", "TOKEN": SECRET, "ACCESS_KEY": "a", "SECRET_KEY": SECRET}, "two kinds"),
        ({"DATABASE_URL": SECRET}, "ARCHIVER_DATABASE_URL"),
    ],
)
def test_wrong_settings_are_one_line_and_exit_2_and_make_no_file(variables, word, tmp_path):
    code, out, err = run("run", **variables)

    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert word in err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_command_or_option_exits_2():
    assert run("frobnicate")[0] == 2
    assert run("run", "--token", "x")[0] == 2


def test_a_run_makes_a_private_archive_and_says_what_it_did(cloud, tmp_path):
    _, settings = cloud()

    code, out, err = run("run", **settings)

    assert code == 0
    assert out.startswith(f"{FIRST}  complete: ")
    assert len(out.splitlines()) == 1
    assert "ingest.run_ended" in err
    assert stat.S_IMODE((tmp_path / "archive.db").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["archive.db"]
    assert "right" not in out + err


def test_json_holds_the_keys_of_the_contract_and_its_sums_are_right(cloud):
    _, settings = cloud()
    rows = []
    for _ in range(2):
        code, out, _ = run("run", "--json", **settings)
        assert code == 0
        rows.append(json.loads(out))

    for row in rows:
        assert {"run_id", "project_id", "outcome", "started_at", "ended_at", *COUNTS} <= set(row)
        assert row["plans_fetched"] == row["plans_changed"] + row["plans_unchanged"]
        assert row["plans_listed"] == row["plans_fetched"] + row["plans_skipped"] + row["plans_failed"]
        assert row["requests"] == 1 + row["plans_fetched"] + row["retries"]
        assert (row["outcome"], row["project_id"]) == ("complete", FIRST)
        assert row["started_at"] <= row["ended_at"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["ended_at"])
    assert rows[0]["plans_changed"] == rows[0]["plans_listed"] > 0
    assert rows[1]["plans_changed"] == 0


def test_metrics_go_to_a_file_and_one_that_can_not_be_written_is_said(cloud, tmp_path):
    _, settings = cloud()

    written = run("run", "--metrics-textfile", "archiver.prom", **settings)
    failed = run("run", "--metrics-textfile", "missing/archiver.prom", **settings)

    assert (written[0], failed[0]) == (0, 1)
    lines = (tmp_path / "archiver.prom").read_text().splitlines()
    assert f'archiver_last_run_outcome{{project_id="{FIRST}",outcome="complete"}} 1.0' in lines
    assert errors(failed[2]) == [
        "error: --metrics-textfile: can't write missing/archiver.prom: No such file or directory"
    ]


def test_logs_can_be_json_lines(cloud):
    _, settings = cloud()

    _, _, err = run("run", "--log-format", "json", **settings)

    entries = [json.loads(line) for line in err.splitlines()]
    assert entries[-1]["event"] == "ingest.run_ended"
    assert len({(entry["run_id"], entry["project_id"]) for entry in entries}) == 1
    assert all(entry["timestamp"].endswith("Z") and entry["level"] for entry in entries)


def test_a_failed_plan_is_logged_with_its_run(cloud):
    plan = HISTORY.timelines[FIRST][0].plan_id
    _, settings = cloud(Fault("status", plan_id=plan, match="deploy-info", status=403))

    _, out, err = run("run", "--json", "--log-format", "json", **settings)

    [entry] = [
        entry for line in err.splitlines() if line[0] == "{" and (entry := json.loads(line))["level"] == "warning"
    ]
    assert (entry["event"], entry["plan_id"]) == ("ingest.plan_failed", plan)
    assert entry["run_id"] == json.loads(out)["run_id"]


def test_a_run_in_part_exits_1_and_says_why(cloud):
    plan = HISTORY.timelines[FIRST][0].plan_id
    _, settings = cloud(Fault("wrong_json", plan_id=plan, match="deploy-info"))

    code, out, err = run("run", "--json", **settings)

    row = json.loads(out)
    assert (code, row["outcome"], row["plans_failed"]) == (1, "partial", 1)
    assert row["plans_listed"] == row["plans_fetched"] + 1
    assert errors(err) == [f"error: {FIRST}: 1 of {row['plans_listed']} plans could not be archived"]


def test_a_plan_that_fails_every_night_is_no_reason_to_exit_1_where_that_is_asked_for(cloud, sqlite_archive_file):
    plan = HISTORY.timelines[FIRST][0].plan_id
    _, settings = cloud(Fault("status", plan_id=plan, match="deploy-info", status=403))
    codes = []
    for night in ("2026-10-01", "2026-10-02", "2026-10-03"):
        code, out, _ = run("run", "--json", "--known-failures-ok", **settings)
        codes.append((code, json.loads(out)["outcome"]))
        with sqlite_archive_file.engine.begin() as connection:  # as if it had been that night
            connection.execute(text("DELETE FROM nights"))
            connection.execute(text("UPDATE runs SET night_date = :n WHERE night_date > '2026-11-01'"), {"n": night})

    assert codes == [(1, "partial"), (1, "partial"), (0, "partial")]
    assert run("run", **settings)[0] == 1


def test_a_wrong_token_exits_3_with_one_line_that_says_what_to_do(cloud):
    _, settings = cloud()

    code, out, err = run("run", "--json", **settings | {"TOKEN": SECRET})

    assert (code, json.loads(out)["outcome"]) == (3, "failed")
    (line,) = errors(err)
    assert "ARCHIVER_TOKEN" in line


def test_an_endpoint_that_is_down_exits_3():
    settings = {"ENDPOINT": "http://127.0.0.1:1", "PROJECT_ID": "p", "TOKEN": "t", "RETRY_SECONDS": "0.3"}
    began = time.monotonic()

    code, _, err = run("run", **settings)

    assert code == 3
    assert len(errors(err)) == 1
    assert time.monotonic() - began < 20


def test_a_second_writer_exits_75(cloud, sqlite_archive_file):
    _, settings = cloud()
    with sqlite_archive_file.engine.begin() as connection:
        acquire(connection, f"project:{FIRST}")

    code, out, err = run("run", "--json", **settings)

    assert code == 75
    assert f"process {os.getpid()} " in errors(err)[0]
    said = json.loads(out)
    assert {name for name, value in said.items() if value is None} == {"run_id", "started_at", "ended_at", *COUNTS}
    assert (said["project_id"], said["outcome"]) == (FIRST, "failed")
    assert errors(err) == [f"error: {FIRST}: {said['error']}"]


@pytest.mark.parametrize(
    ("forbidden", "held", "code", "outcomes"),
    [
        ((), (), 0, ["complete", "complete"]),
        ((FIRST,), (), 1, ["failed", "complete"]),
        ((FIRST, SECOND), (), 3, ["failed", "failed"]),
        ((), (FIRST,), 0, ["complete"]),
        ((), (FIRST, SECOND), 75, []),
    ],
)
def test_several_projects_are_summed_up(cloud, sqlite_archive_file, forbidden, held, code, outcomes):
    faults = [Fault("status", match=project, status=403) for project in forbidden]
    _, settings = cloud(*faults, projects=(FIRST, SECOND))
    for project in held:
        with sqlite_archive_file.engine.begin() as connection:
            acquire(connection, f"project:{project}")

    exit_code, out, _ = run("run", "--json", **settings)

    said = json.loads(out)
    assert exit_code == code
    assert [row["outcome"] for row in said["runs"]] == outcomes
    assert said["outcome"] in ("complete", "partial", "failed")


def test_postgresql_is_migrated_by_its_own_command_alone(cloud, postgres_url):
    _, settings = cloud()
    settings |= {"DATABASE_URL": postgres_url}

    refused = run("run", **settings)
    nothing = run("database", "check", DATABASE_URL=postgres_url)
    made = run("database", "upgrade", DATABASE_URL=postgres_url)
    done = run("run", **settings)
    checked = run("database", "check", DATABASE_URL=postgres_url)
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("UPDATE release_archive.alembic_version SET version_num = 'eeeeeeeeeeee'"))
    engine.dispose()
    ahead = run("run", **settings)

    assert refused[0] == nothing[0] == 3
    assert "archiver database upgrade" in errors(refused[2])[0]
    assert (made[0], done[0]) == (0, 0)
    assert checked == (0, "the database equals the models\n", "")
    assert ahead[0] == 3
    assert "install a newer release-archiver" in errors(ahead[2])[0]


def test_a_database_that_does_not_serve_exits_3(cloud, tmp_path):
    _, settings = cloud()
    places = [
        f"postgresql+psycopg://u:{SECRET}@127.0.0.1:1/d",
        f"sqlite:///{tmp_path / 'missing' / 'archive.db'}",
    ]
    for place in places:
        code, out, err = run("run", **settings | {"DATABASE_URL": place})
        assert (code, out) == (3, "")
        assert len(errors(err)) == 1


def test_a_reading_command_makes_no_file(tmp_path):
    code, _, err = run("database", "check")

    assert code == 3
    assert "there is no archive" in err
    assert list(tmp_path.iterdir()) == []


def test_a_difference_from_the_models_exits_1(sqlite_archive_file):
    with sqlite_archive_file.engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_runs_project_id_started_at"))

    code, out, _ = run("database", "check")

    assert code == 1
    assert "ix_runs_project_id_started_at" in out


def test_the_sql_for_an_administrator_is_printed_and_nothing_is_made(tmp_path):
    code, out, _ = run("database", "upgrade", "--sql")

    assert code == 0
    assert 'CREATE SCHEMA "release_archive"' in out
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_error_exits_70_in_one_line(tmp_path):
    # A module that the run needs is broken.
    broken = "import sys; sys.modules['archiver.nightly'] = None; from archiver.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", broken, "run"], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert done.returncode == 70
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: unexpected ")


@pytest.fixture
def stuck_run(cloud, sqlite_archive_file):
    """Start a run that has three answers and waits for the fourth; return it and settings that work."""
    simulator, settings = cloud(Fault("delay", match="deploy-info", after=3, pause_seconds=60))
    process = start("run", **settings | {"CONCURRENCY": "1"})
    deadline = time.monotonic() + 20
    while simulator.seen["deploy_info"] < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    yield process, cloud()[1]
    process.kill()
    process.communicate()


def test_a_run_that_is_terminated_ends_at_once_and_keeps_whole_plans(stuck_run, sqlite_archive_file):
    process, settings = stuck_run
    began = time.monotonic()

    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)

    assert time.monotonic() - began < 10
    assert process.returncode == 1
    assert len(errors(err)) == 1
    assert "Traceback" not in err
    kept = {row["plan_id"] for row in sqlite_archive_file.rows(schema.plans)}
    assert len(kept) == 3
    assert {row["plan_id"] for row in sqlite_archive_file.rows(schema.components)} == kept
    (first,) = sqlite_archive_file.rows(schema.runs)
    assert (first["outcome"], first["plans_fetched"]) == ("interrupted", 3)

    code, out, _ = run("run", "--json", **settings)

    row = json.loads(out)
    assert (code, row["outcome"], row["plans_failed"]) == (0, "complete", 0)
    assert len(sqlite_archive_file.rows(schema.plans)) == row["plans_listed"]
    (after,) = sqlite_archive_file.rows(schema.runs, run_id=first["run_id"])
    assert after == first


def test_a_run_that_is_killed_is_marked_by_the_next_one_which_does_it_all(stuck_run, sqlite_archive_file):
    process, settings = stuck_run
    process.kill()
    process.communicate()
    (dead,) = sqlite_archive_file.rows(schema.runs)
    assert dead["outcome"] == "running"

    code, out, _ = run("run", "--json", **settings)

    assert code == 0
    (marked,) = sqlite_archive_file.rows(schema.runs, run_id=dead["run_id"])
    assert marked["outcome"] == "interrupted"
    assert marked["ended_at"] is not None
    assert len(sqlite_archive_file.rows(schema.plans)) == json.loads(out)["plans_listed"]


@pytest.fixture
def slow_schedule(cloud, sqlite_archive_file):
    """Start a scheduler whose fourth answer takes some seconds; return a function that does so once it waits for it."""
    started = []

    def begin(pause_seconds):
        simulator, settings = cloud(Fault("delay", match="deploy-info", after=3, pause_seconds=pause_seconds))
        process = start("schedule", **settings | {"CONCURRENCY": "1", "RETRY_SECONDS": "90"})
        started.append(process)
        deadline = time.monotonic() + 20
        while simulator.seen["deploy_info"] < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("pause_seconds", "signals", "plans"), [(2, 1, 4), (60, 2, 3)])
def test_a_scheduler_ends_after_the_plan_in_hand_and_when_told_twice_at_once(
    slow_schedule, sqlite_archive_file, pause_seconds, signals, plans
):
    process = slow_schedule(pause_seconds)

    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    _, err = process.communicate(timeout=20)

    assert process.returncode == 0
    assert "Traceback" not in err
    assert len(sqlite_archive_file.rows(schema.plans)) == plans
    (run_row,) = sqlite_archive_file.rows(schema.runs)
    assert (run_row["outcome"], run_row["plans_fetched"]) == ("interrupted", plans)
    assert [row["state"] for row in sqlite_archive_file.rows(schema.nights)] == ["due"]


def test_the_scheduler_does_the_night_at_start_and_ends_when_told_to(cloud, sqlite_archive_file):
    _, settings = cloud()
    process = start("schedule", **settings)
    deadline = time.monotonic() + 20
    while not sqlite_archive_file.rows(schema.nights, state="done") and time.monotonic() < deadline:
        time.sleep(0.05)

    process.terminate()
    _, err = process.communicate(timeout=20)

    assert [row["state"] for row in sqlite_archive_file.rows(schema.nights)] == ["done"]
    assert process.returncode == 0
    assert "Traceback" not in err
