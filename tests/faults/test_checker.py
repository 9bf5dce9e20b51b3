"""The checker finds what is planted: a check that can't fail proves nothing."""

import sqlite3
from contextlib import closing

import pytest
from program import Case
from upstream import Upstream

DAMAGE = {
    "orphan": "DELETE FROM snapshots WHERE kind = 'deploy_info' AND plan_id = 'plan-01'",
    "foreign_key_check": "DELETE FROM plans WHERE plan_id = 'plan-01'",
    "double: 2 rows of job_attempts": (
        "INSERT INTO job_attempts SELECT 'another key', plan_key, project_id, plan_id, component_id, batch, job_id, 2, "
        "version, job_status, outcome, started_at, ended_at, duration_seconds, fail_message, first_seen_at, "
        "last_seen_at, first_snapshot_id, last_snapshot_id FROM job_attempts WHERE job_id = 'plan-01-web-1'"
    ),
    "torn: the body of snapshot": (
        "UPDATE snapshots SET body = (SELECT body FROM snapshots WHERE plan_id = 'plan-02') WHERE plan_id = 'plan-01'"
    ),
    "torn: snapshot": "UPDATE snapshots SET last_captured_at = '2000-01-01T00:00:00.000Z' WHERE plan_id = 'plan-01'",
    "torn: times of job_attempts": "UPDATE job_attempts SET duration_seconds = -1 WHERE job_id = 'plan-01-web-1'",
    "torn: the plan": "UPDATE status_changes SET new_status = 'ELSE' WHERE subject = 'plan' AND old_status IS NULL",
    "torn: the attempt": "UPDATE job_attempts SET outcome = 'failed' WHERE job_id = 'plan-01-web-1'",
    "silent: run": "UPDATE runs SET outcome = 'running', ended_at = NULL",
    "books: run": "UPDATE runs SET outcome = 'partial', error = 'some', plans_failed = 1",
    "books: the night": "UPDATE nights SET state = 'missed'",
    "lost: plan plan-05": (
        "UPDATE snapshots SET content_sha256 = 'x', body = NULL WHERE plan_id = 'plan-05' AND kind = 'deploy_info'"
    ),
    "silent: plan plan-28": "UPDATE plans SET gone_at = NULL",
    "lost: plans are called gone": "UPDATE plans SET gone_at = last_seen_at",
}


@pytest.fixture
def sound(sqlite_archive_file, nights, tmp_path):
    """Return an archive of two nights, and a connection that may damage it."""
    case = Case(sqlite_archive_file.url, Upstream().show(nights.first_night), tmp_path)
    assert case.run_here().code == 0
    assert case.turn_to(nights.second_night).run_here().code == 0
    assert case.problems(is_recovered=True) == []
    with closing(sqlite3.connect(tmp_path / "archive.db", isolation_level=None)) as connection:
        yield case, connection


@pytest.mark.parametrize("finding", DAMAGE)
def test_planted_damage_is_found(sound, finding):
    case, connection = sound

    connection.execute(DAMAGE[finding])

    assert any(problem.startswith(finding) for problem in case.problems(is_recovered=True))


@pytest.mark.parametrize(
    "planted",
    [
        "UPDATE job_attempts SET version = '9' WHERE job_id = 'plan-01-web-1'",
        "DELETE FROM job_attempts WHERE job_id = 'plan-00-web-1'",
        "UPDATE components SET gone_at = NULL WHERE gone_at IS NOT NULL",
        "DELETE FROM rollbacks WHERE plan_id = 'plan-01'",
    ],
)
def test_a_fact_that_is_lost_or_altered_is_other_than_without_faults(sound, flawless, planted):
    """A later run does not bring it back: upstream shows no more of it, or nothing new."""
    case, connection = sound

    connection.execute(planted)

    assert any(line.startswith("other than without faults") for line in case.losses(flawless[2]))
