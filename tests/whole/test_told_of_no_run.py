"""What keeps a run from beginning, credentials or the archive itself: everyone is told of it, once."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
import structlog
from receivers import web_server

from archiver import schema
from archiver.alarm import NIGHT
from archiver.clock import ManualClock
from archiver.schedule import ScheduleCounts, keep_nights
from archiver.simulator import Credentials, Simulator, build_history, running

# Apprise looks for this module of the standard library when it loads its services.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
HISTORY = build_history(7, ends_at=ENDS_AT, weeks=1, projects=2, plans_per_week=4)
TOKEN = "hunter2-do-not-show"


@pytest.fixture
def web():
    with web_server() as server:
        yield server


@pytest.fixture
def token(sqlite_archive_file, web, tmp_path, monkeypatch):
    """Serve both projects to whoever has the token, and return the file it should be in; there is none yet."""
    told = f"127.0.0.1:{web.server_address[1]}"
    file = tmp_path / "token"
    with running(Simulator(HISTORY, now=lambda: ENDS_AT, credentials=Credentials(tokens=(TOKEN,)))) as base_url:
        for name, value in {
            "ENDPOINT": base_url,
            "PROJECT_ID": ",".join(HISTORY.project_ids),
            "TOKEN_FILE": str(file),
            "REQUESTS_PER_SECOND": "0",
            "NOTIFY_URLS": f"json://{told}/ok",
            "PING_URL": f"http://{told}/key",
        }.items():
            monkeypatch.setenv(f"ARCHIVER_{name}", value)
        yield file


def run(*options):
    done = subprocess.run(
        [sys.executable, "-m", "archiver", "run", *options], capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return done.returncode, done.stdout, [line for line in done.stderr.splitlines() if line.startswith("error:")]


def told(web):
    """Return what was told since this was last asked: messages, and pings."""
    messages, pings = [one["message"] for one in web.taken], [path for path in web.paths if path != "/ok"]
    web.taken.clear()
    web.paths.clear()
    return messages, pings


def test_a_run_without_its_token_exits_2_in_one_line_and_tells_it_once_and_so_its_recovery(token, web):
    code, out, errors = run()
    first = told(web)
    again = run(), told(web)
    token.write_text(TOKEN)
    recovered = run(), told(web)

    line = f"ARCHIVER_TOKEN_FILE: can't read {token}: No such file or directory"
    assert (code, errors) == (2, [f"error: {line}"])
    assert [part.split("  ")[1].partition(":")[0] for part in out.splitlines()] == ["failed"] * 2
    [message], pings = first
    assert [part.partition(": nothing was archived: ")[0] for part in message.splitlines()] == [
        f"- {project_id}" for project_id in sorted(HISTORY.project_ids)
    ]
    assert message.count("can't read") == 2
    assert pings == ["/key/start", "/key/fail"]
    assert (again[0][0], again[1]) == (2, ([], ["/key/start", "/key/fail"]))
    assert recovered[0][0] == 0
    assert [part.startswith("- over: ") for part in recovered[1][0][0].splitlines()] == [True, True]
    assert recovered[1][1] == ["/key/start", "/key"]


def test_of_one_project_json_says_that_it_failed_and_why(token, monkeypatch):
    monkeypatch.setenv("ARCHIVER_PROJECT_ID", HISTORY.project_ids[0])
    token.write_text("\n")

    code, out, errors = run("--json")

    said = json.loads(out)
    assert (code, errors) == (2, [f"error: ARCHIVER_TOKEN_FILE: {token} is empty"])
    assert (said["outcome"], said["plans_listed"], said["requests"]) == ("failed", 0, 0)
    assert said["error"] == f"ARCHIVER_TOKEN_FILE: {token} is empty"


async def test_a_scheduler_that_stays_up_says_so_at_its_start_tells_it_once_and_archives_when_the_token_comes(
    token, web, sqlite_archive_file
):
    clock, counts, heard = ManualClock(ENDS_AT), ScheduleCounts(), []

    async def rings():
        for comes in (False, False, True, False):
            if comes:
                token.write_text(TOKEN)
            yield frozenset({NIGHT})
            heard.append(told(web))
            clock.advance(15 * 60)

    with structlog.testing.capture_logs() as log:
        await keep_nights(None, clock, counts=counts, ringing=rings())

    assert [entry["event"] for entry in log if entry["log_level"] == "error"] == [
        "schedule.credentials_not_read",
        *["schedule.project_failed"] * 4,
    ]
    assert [len(messages) for messages, _ in heard] == [1, 0, 1, 0]
    assert [pings[-1:] for _, pings in heard] == [["/key/fail"], ["/key/fail"], ["/key"], []]
    assert [row["state"] for row in sqlite_archive_file.rows(schema.nights)] == ["done"] * 2
    assert counts.errors == 0


@pytest.fixture
def ruined(token, sqlite_archive_file, tmp_path, monkeypatch):
    """Let the archive be a file that is none, and return the URL of one that is sound."""
    token.write_text(TOKEN)
    file = tmp_path / "ruined.db"
    file.write_bytes(b"no database at all " * 99)
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", f"sqlite:///{file}")
    return sqlite_archive_file.url


def test_a_run_tells_of_an_archive_that_can_not_be_opened(ruined, web):
    code, out, [error] = run()

    [message], pings = told(web)
    assert (code, out) == (3, "")
    assert "not a database" in error
    assert message.startswith("- nothing can be archived: ")
    assert "not a database" in message
    assert pings == ["/key/fail"]


async def test_a_scheduler_tells_once_of_an_archive_that_can_not_be_opened_and_once_that_it_can(
    ruined, web, monkeypatch
):
    clock, counts, heard = ManualClock(ENDS_AT), ScheduleCounts(), []

    async def rings():
        for is_sound in (False, False, True, True):
            if is_sound:
                monkeypatch.setenv("ARCHIVER_DATABASE_URL", ruined)
            yield frozenset({NIGHT})
            clock.advance(15 * 60)
            heard.append(told(web))

    await keep_nights(None, clock, counts=counts, ringing=rings())

    heard.append(told(web))
    told_in_all = [message for messages, _ in heard for message in messages]
    assert [message.partition(":")[0] for message in told_in_all] == ["- nothing can be archived", "- over"]
    assert [path for _, pings in heard for path in pings] == ["/key/fail", "/key/start", "/key"]
    assert counts.errors == 2


def test_what_needs_only_the_database_needs_no_token(token):
    done = subprocess.run(
        [sys.executable, "-m", "archiver", "database", "check"],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
