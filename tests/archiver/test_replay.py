"""The archive again from its bodies, and the audit that reads them all."""

from datetime import UTC, datetime
from hashlib import sha256

import pytest
import zstandard
from played import simulated
from sqlalchemy import delete, select, text, update

from archiver import schema
from archiver.audit import findings
from archiver.replay import FACTS, replay
from archiver.simulator import build_history

NIGHT_COUNT = 5


@pytest.fixture
async def lived_in(archive):
    """Return an archive of some simulated nights: redeployments, rollbacks, edited, moved and deleted plans."""
    history = build_history(3, ends_at=datetime(2026, 11, 23, tzinfo=UTC), weeks=1, projects=1, plans_per_week=20)
    async with simulated(archive, history) as (one_more_night, _):
        for _ in range(NIGHT_COUNT):
            await one_more_night()
    return archive


def facts(archive):
    return {table.name: archive.rows(table) for table in FACTS}


async def test_a_replay_of_a_live_archive_changes_no_row(lived_in):
    before = facts(lived_in)
    assert min(len(rows) for rows in before.values()) > 0

    with lived_in.engine.begin() as connection:
        found = replay(connection)

    assert (found.rows_written, found.rows_removed, found.plans_kept) == (0, 0, 0)
    assert found.plans_rebuilt == len(before["plans"])
    assert facts(lived_in) == before


async def test_a_replay_makes_lost_and_altered_facts_again(lived_in):
    before = facts(lived_in)
    attempt_key = before["job_attempts"][0]["attempt_key"]
    with lived_in.engine.begin() as connection:
        connection.execute(delete(schema.status_changes))
        connection.execute(delete(schema.rollbacks))
        connection.execute(update(schema.job_attempts).values(outcome="failed", version="?"))
        stray = before["job_attempts"][0] | {"attempt_key": "stray"}
        connection.execute(schema.job_attempts.insert(), stray)

    with lived_in.engine.begin() as connection:
        found = replay(connection)

    assert facts(lived_in) == before
    assert found.rows_removed == 1
    assert attempt_key in {row["attempt_key"] for row in before["job_attempts"]}


async def test_a_plan_with_a_pruned_body_is_kept_as_it_is(lived_in):
    plan_id = lived_in.rows(schema.snapshots)[0]["plan_id"]
    with lived_in.engine.begin() as connection:
        pruned = update(schema.snapshots).where(schema.snapshots.c.plan_id == plan_id).values(body=None)
        connection.execute(pruned)
        altered = update(schema.plans).where(schema.plans.c.plan_id == plan_id).values(name="kept")
        connection.execute(altered)

    with lived_in.engine.begin() as connection:
        found = replay(connection)

    assert (found.plans_kept, found.rows_written) == (1, 0)
    assert [row["name"] for row in lived_in.rows(schema.plans, plan_id=plan_id)] == ["kept"]


async def test_a_sound_archive_has_no_findings(lived_in):
    with lived_in.engine.connect() as connection:
        assert list(findings(connection)) == []


async def test_the_audit_names_what_is_wrong(lived_in):
    first, second, third = (row["snapshot_id"] for row in lived_in.rows(schema.snapshots)[:3])
    table = schema.snapshots

    def damage(snapshot_id, **values):
        return update(table).where(table.c.snapshot_id == snapshot_id).values(values)

    with lived_in.engine.begin() as connection:
        connection.execute(damage(first, body=b"no frame"))
        connection.execute(damage(second, body=zstandard.compress(b'{"id": "another"}')))
        connection.execute(damage(third, canonical_sha256="0" * 64))
    with lived_in.engine.connect() as connection:
        found = "\n".join(findings(connection))

    assert f"the body of snapshot {first} can't be read" in found
    assert f"the body of snapshot {second} is not the one that was stored" in found
    assert f"the canonical hash of snapshot {third} is not that of its body" in found


async def test_the_audit_finds_rows_that_their_bodies_do_not_say(lived_in):
    with lived_in.engine.begin() as connection:
        one = connection.execute(select(schema.job_attempts.c.attempt_key).limit(1)).scalar_one()
        altered = update(schema.job_attempts).where(schema.job_attempts.c.attempt_key == one)
        connection.execute(altered.values(version="?"))
    with lived_in.engine.connect() as connection:
        found = list(findings(connection))

    assert found == ["1 rows differ from what their bodies say, 0 have no body: run `archiver replay`"]


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("UPDATE snapshots SET body = NULL", "is missing, and was not pruned"),
        ("UPDATE snapshots SET last_captured_at = {long_ago}", "ends before it begins"),
        ("UPDATE snapshots SET last_captured_at = {far_off}", "begins before that of"),
        ("UPDATE snapshots SET recorded_at = {long_ago}", "not during its run"),
        ("UPDATE snapshots SET gone_run_id = run_id WHERE gone_at IS NULL", "in part alone that its plan was gone"),
        ("UPDATE snapshots SET gone_at = last_captured_at, gone_run_id = 'none'", "can't have found its plan gone"),
        ("UPDATE snapshots SET gone_at = {long_ago}, gone_run_id = run_id", "was gone before its range ends"),
        (
            "INSERT INTO sights SELECT {seen} FROM snapshots LIMIT 1",
            "2020-01-01T00:00:00.000Z, and no range of its",
        ),
        ("UPDATE plans SET deploy_snapshot_id = list_snapshot_id", "deploy_snapshot_id of plan"),
        ("UPDATE runs SET ended_at = NULL", "is over, and has no end"),
        ("UPDATE issued_reports SET report = 'altered'", "is not the one that went out"),
        ("INSERT INTO plans SELECT 'k', project_id, 'invented' {rest} FROM plans LIMIT 1", "was never seen"),
    ],
)
async def test_the_audit_reads_the_books_too(lived_in, damage, finding):
    is_sqlite = lived_in.engine.dialect.name == "sqlite"
    others = [column.name for column in schema.plans.columns][3:]
    long_ago, far_off = (
        f"'{year}-01-01T00:00:00.000Z'" if is_sqlite else f"timestamptz '{year}-01-01'" for year in (2020, 2040)
    )
    rest = "".join(f", {name}" for name in others)
    seen = f"'k', project_id, plan_id, kind, canonical_sha256, {long_ago}, recorded_at, run_id"
    at = datetime(2026, 11, 20, tzinfo=UTC)
    issued = {"issued_report_key": "k", "time_zone": "UTC", "week": "2026-W47", "as_of": at, "issued_at": at}
    issued |= {"archiver_version": "0", "definition_versions": "{}", "report": "{}"}
    with lived_in.engine.begin() as connection:
        digest = sha256(b"{}").hexdigest()
        connection.execute(schema.issued_reports.insert(), issued | {"report_sha256": digest})
    with lived_in.engine.connect() as connection:
        assert list(findings(connection)) == []
    with lived_in.engine.begin() as connection:
        connection.execute(text(damage.format(long_ago=long_ago, far_off=far_off, rest=rest, seen=seen)))
    with lived_in.engine.connect() as connection:
        assert any(finding in found for found in findings(connection))


@pytest.mark.parametrize("archive", ["postgresql"], indirect=True)
async def test_the_audit_follows_every_reference_where_the_database_has_no_check_of_its_own(lived_in):
    with lived_in.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.execute(delete(schema.runs))
    with lived_in.engine.connect() as connection:
        found = "\n".join(findings(connection))

    assert "rows of status_changes point by run_id to rows of runs that are not there" in found
    assert "rows of snapshots point by run_id to rows of runs that are not there" in found
