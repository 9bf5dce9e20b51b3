"""Several archivers on one PostgreSQL archive share its projects out between them: each is archived once a night."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from archiver import schema
from archiver.lease import acquire
from archiver.simulator import Fault, Faults, Simulator, build_history, running

ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
HISTORY = build_history(9, ends_at=ENDS_AT, weeks=1, projects=20, plans_per_week=3)
ARCHIVERS = 4


@pytest.fixture
def settings(archive):
    """Serve twenty projects, each list after a second, and return the settings of an archiver of them."""
    slow = Faults([Fault("delay", match="release-plans$", pause_seconds=1.0)])
    with running(Simulator(HISTORY, now=lambda: ENDS_AT, faults=slow)) as base_url:
        yield {
            "ARCHIVER_DATABASE_URL": archive.url,
            "ARCHIVER_ENDPOINT": base_url,
            "ARCHIVER_PROJECT_ID": ",".join(HISTORY.project_ids),
            "ARCHIVER_TOKEN": "t",
            "ARCHIVER_REQUESTS_PER_SECOND": "0",
        }


def started(command, settings):
    return subprocess.Popen(
        [sys.executable, "-m", "archiver", command, "--log-format", "json"],
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def states(archive):
    return Counter(row["state"] for row in archive.rows(schema.nights))


@pytest.mark.parametrize("archive", ["postgresql"], indirect=True)
def test_four_archivers_do_the_night_of_twenty_projects_once(archive, settings):
    archivers = [started("schedule", settings) for _ in range(ARCHIVERS)]
    deadline = time.monotonic() + 150
    while states(archive)["done"] < len(HISTORY.project_ids) and time.monotonic() < deadline:
        time.sleep(0.5)
    for one in archivers:
        one.send_signal(signal.SIGTERM)
    logs = [one.communicate(timeout=60)[1] for one in archivers]

    assert [one.returncode for one in archivers] == [0] * ARCHIVERS
    assert states(archive) == {"done": 20}
    runs = archive.rows(schema.runs)
    assert sorted(row["project_id"] for row in runs) == sorted(HISTORY.project_ids)
    assert {(row["kind"], row["outcome"]) for row in runs} == {("scheduled", "complete")}
    plans = Counter(row["project_id"] for row in archive.rows(schema.plans))
    assert {project: plans[project] for project in HISTORY.project_ids} == {
        row["project_id"]: row["plans_listed"] for row in runs
    }
    shares = [log.count('"ingest.run_ended"') for log in logs]
    assert sum(shares) == 20
    assert sum(share > 0 for share in shares) > 1


@contextmanager
def held(archive, projects):
    with archive.engine.begin() as connection:
        leases = [acquire(connection, f"project:{project}") for project in projects]
    yield
    for lease in leases:
        lease.release(archive.engine)


@pytest.mark.parametrize("archive", ["postgresql"], indirect=True)
def test_a_run_takes_the_projects_that_no_other_holds_and_exits_75_where_there_are_none(archive, settings):
    *others, free = HISTORY.project_ids
    with held(archive, HISTORY.project_ids):
        process = started("run", settings)
        process.communicate(timeout=60)
        assert process.returncode == 75
    assert archive.rows(schema.runs) == []
    with held(archive, others):
        process = started("run", settings)
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert [row["project_id"] for row in archive.rows(schema.runs)] == [free]
