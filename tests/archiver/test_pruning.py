"""Pruning: bodies go, facts stay, and what can still be told is told exactly as before."""

from datetime import UTC, datetime, timedelta

import pytest
from builders import component, deploy_info
from pydantic import SecretStr
from sqlalchemy import delete, select, update

from archiver import schema
from archiver.asof import as_known_at
from archiver.audit import findings
from archiver.clock import ManualClock
from archiver.errors import DatabaseError
from archiver.importing import import_saved
from archiver.nightly import archive_all
from archiver.pruning import last_issued, prune
from archiver.replay import FACTS, replay
from archiver.saved import Observation
from archiver.settings import Settings
from archiver.simulator import Simulator, build_history, serve

NIGHTS = 6


@pytest.fixture
async def nights(archive):
    """Return a function that archives one more simulated night, and the clock; six nights are archived."""
    history = build_history(3, ends_at=datetime(2026, 11, 23, tzinfo=UTC), weeks=2, projects=1, plans_per_week=16)
    clock = ManualClock(history.starts_at + timedelta(hours=2, minutes=15))
    async with serve(Simulator(history, now=clock.now)) as base_url:
        settings = Settings.model_construct(
            database_url=SecretStr(archive.url),
            endpoint=base_url,
            project_id=history.project_ids[0],
            token=SecretStr("any"),
            requests_per_second=0,
        )

        async def one_more():
            clock.advance(86_400)
            await archive_all(settings, archive.engine, archive.revision, clock, kind="scheduled")
            return clock.now(), facts(archive)

        known = [await one_more() for _ in range(NIGHTS)]
        yield one_more, clock, known


def facts(archive):
    return {table.name: archive.rows(table) for table in FACTS}


def pruned(archive, until, now, **options):
    with archive.engine.begin() as connection:
        return prune(connection, until, now, **options)


def replayed(archive):
    with archive.engine.begin() as connection:
        return replay(connection)


async def test_pruning_drops_what_was_followed_and_keeps_every_fact(archive, nights):
    _, clock, known = nights
    bodies = {row["snapshot_id"]: row for row in archive.rows(schema.snapshots)}
    until = clock.now() - timedelta(days=2)

    found = pruned(archive, until, clock.now())

    left = {row["snapshot_id"]: row for row in archive.rows(schema.snapshots)}
    gone = [row for key, row in bodies.items() if left[key]["body"] is None]
    newest = {}
    for row in bodies.values():
        newest[row["plan_id"], row["kind"]] = max(row["captured_at"], newest.get((row["plan_id"], row["kind"]), until))
    for row in bodies.values():
        is_old = row["last_captured_at"] < until and row["captured_at"] < newest[row["plan_id"], row["kind"]]
        followed = any(
            other["plan_id"] == row["plan_id"]
            and other["kind"] == row["kind"]
            and other["captured_at"] > row["captured_at"]
            for other in bodies.values()
        )
        assert (left[row["snapshot_id"]]["body"] is None) == (is_old and followed)
    assert found.bodies == len(gone) > 0
    assert found.plans == len({row["plan_id"] for row in gone}) == len(archive.rows(schema.plan_states))
    assert found.size_bytes == sum(len(row["body"]) for row in gone)
    resting = {row["snapshot_id"] for row in gone}
    jobs = archive.rows(schema.job_attempts) + archive.rows(schema.rollbacks)
    assert found.facts == sum(
        not resting.isdisjoint((row["first_snapshot_id"], row["last_snapshot_id"])) for row in jobs
    )
    assert facts(archive) == known[-1][1]


async def test_a_replay_goes_on_from_what_was_pruned_also_after_later_nights_and_prunings(archive, nights):
    one_more, clock, _ = nights
    for days in (4, 3, 0):
        pruned(archive, clock.now() - timedelta(days=days), clock.now())
        _, before = await one_more()
        found = replayed(archive)
        assert (found.rows_written, found.rows_removed, found.plans_kept) == (0, 0, 0)
        assert found.facts_kept > 0
        assert facts(archive) == before
        with archive.engine.connect() as connection:
            assert list(findings(connection)) == []


async def test_what_rests_on_pruned_bodies_is_kept_and_the_rest_made_again(archive, nights):
    _, clock, known = nights
    pruned(archive, clock.now(), clock.now())
    without_body = {row["snapshot_id"] for row in archive.rows(schema.snapshots) if row["body"] is None}
    attempts = archive.rows(schema.job_attempts)
    resting = {
        row["attempt_key"]
        for row in attempts
        if not without_body.isdisjoint((row["first_snapshot_id"], row["last_snapshot_id"]))
    }
    assert 0 < len(resting) < len(attempts)
    with archive.engine.begin() as connection:
        connection.execute(update(schema.job_attempts).values(fail_message="altered"))
        connection.execute(delete(schema.rollbacks))

    replayed(archive)

    as_it_was = {row["attempt_key"]: row for row in known[-1][1]["job_attempts"]}
    for row in archive.rows(schema.job_attempts):
        kept = as_it_was[row["attempt_key"]] | {"fail_message": "altered"}
        assert row == (kept if row["attempt_key"] in resting else as_it_was[row["attempt_key"]])
    assert archive.rows(schema.rollbacks) == known[-1][1]["rollbacks"]


async def test_as_of_reaches_back_to_the_prune_horizon_and_no_further(archive, nights):
    one_more, clock, known = nights
    horizon = clock.now() - timedelta(days=2, hours=1)
    pruned(archive, horizon, clock.now())
    await one_more()
    with archive.engine.connect() as connection:
        for at, then in known[-3:]:
            knew = as_known_at(connection, at)
            with knew.memory.connect() as memory:
                told = {row["attempt_key"]: row for row in memory.execute(select(schema.job_attempts)).mappings()}
            for row in then["job_attempts"]:
                if row["plan_key"] in knew.refolded:
                    assert dict(told.pop(row["attempt_key"])) | {"last_seen_at": row["last_seen_at"]} == row
            assert not told
        with pytest.raises(DatabaseError, match="before the prune horizon"):
            as_known_at(connection, horizon - timedelta(milliseconds=1))


async def test_counting_first_changes_nothing(archive, nights):
    _, clock, _ = nights
    before = archive.rows(schema.snapshots)

    counted = pruned(archive, clock.now(), clock.now(), writes=False)

    assert (archive.rows(schema.snapshots), archive.rows(schema.plan_states)) == (before, [])
    assert counted == pruned(archive, clock.now(), clock.now())


async def test_a_body_told_late_is_kept_for_good_and_makes_no_fact(archive, nights):
    """The import says so; a replay leaves that plan alone, and a later pruning too."""
    _, clock, known = nights
    pruned(archive, clock.now(), clock.now())
    [state, *_] = archive.rows(schema.plan_states)
    content = deploy_info(state["plan_id"], component("new", job_id="JOB-lost"))
    late = Observation(state["plan_id"], "deploy_info", content, clock.now() - timedelta(days=3))

    result = import_saved(
        archive.engine, state["project_id"], archive.revision, [late], clock.now() + timedelta(hours=1)
    )

    assert (result.outcome, "prune horizon" in result.error) == ("partial", True)
    assert facts(archive) == known[-1][1]
    found = replayed(archive)
    assert (found.plans_kept, found.rows_written, found.rows_removed) == (1, 0, 0)
    later = pruned(archive, clock.now() + timedelta(days=9), clock.now() + timedelta(days=9))
    assert later.plans_left == 1
    kept = [row for row in archive.rows(schema.snapshots, plan_id=state["plan_id"]) if row["recorded_at"] > clock.now()]
    assert [row["body"] is None for row in kept] == [False]


async def test_a_plan_into_whose_past_something_came_since_is_left(archive, nights):
    """What an import told after the instant can't be parted from what was known then: the plan waits its turn."""
    _, clock, known = nights
    plan_id = next(row["plan_id"] for row in known[-1][1]["plans"] if row["gone_at"] is None)
    project_id = known[-1][1]["plans"][0]["project_id"]
    long_ago = clock.now() - timedelta(days=90)
    bodies = [
        Observation(
            plan_id, "deploy_info", deploy_info(plan_id, component(job_id=f"OLD{day}")), long_ago + timedelta(day)
        )
        for day in range(3)
    ]
    import_saved(archive.engine, project_id, archive.revision, bodies, clock.now())
    until = clock.now() - timedelta(hours=1)

    found = pruned(archive, until, clock.now())

    assert found.plans_left == 1
    assert all(row["body"] is not None for row in archive.rows(schema.snapshots, plan_id=plan_id))
    assert pruned(archive, clock.now(), clock.now()).plans_left == 0


async def test_the_audit_reads_the_states_too(archive, nights):
    _, clock, _ = nights
    pruned(archive, clock.now(), clock.now())
    [state, *_] = archive.rows(schema.plan_states)
    damage = update(schema.plan_states).where(schema.plan_states.c.plan_state_key == state["plan_state_key"])
    with archive.engine.begin() as connection:
        connection.execute(damage.values(state=b"no frame"))
    with archive.engine.connect() as connection:
        found = list(findings(connection))

    assert len(found) == 1
    assert f"the state of plan {state['plan_id']} when it was pruned can't be read" in found[0]


def test_the_last_issued_report_is_the_one_that_knew_most(archive):
    at = datetime(2026, 11, 23, 6, tzinfo=UTC)
    blank = {"time_zone": "UTC", "archiver_version": "0", "definition_versions": "{}", "report": "{}"}
    with archive.engine.begin() as connection:
        assert last_issued(connection) is None
        for number in range(3):
            connection.execute(
                schema.issued_reports.insert(),
                blank
                | {
                    "issued_report_key": str(number),
                    "week": "2026-W47",
                    "as_of": at - timedelta(days=number),
                    "issued_at": at,
                    "report_sha256": "",
                },
            )
        assert last_issued(connection) == at


async def test_a_pruning_that_asks_for_less_than_an_earlier_one_takes_nothing_back(archive, nights):
    one_more, clock, _ = nights
    pruned(archive, clock.now() - timedelta(days=1), clock.now())
    _, before = await one_more()
    states = archive.rows(schema.plan_states)

    found = pruned(archive, clock.now() - timedelta(days=4), clock.now())

    assert {row["plan_key"]: row for row in states}.items() <= {
        row["plan_key"]: row for row in archive.rows(schema.plan_states)
    }.items()
    assert found.horizon == max(row["known_until"] for row in states)
    assert (replayed(archive).rows_written, facts(archive)) == (0, before)
    with archive.engine.connect() as connection:
        assert list(findings(connection)) == []
