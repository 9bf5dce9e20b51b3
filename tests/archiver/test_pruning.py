"""Pruning: bodies go, facts stay, and what can still be told is told exactly as before."""

from datetime import UTC, datetime, timedelta

import pytest
import zstandard
from builders import component, deploy_info
from played import simulated
from sqlalchemy import delete, select, update

from archiver import schema
from archiver.asof import as_known_at
from archiver.audit import findings
from archiver.errors import DatabaseError
from archiver.importing import import_saved
from archiver.pruning import horizons, prune
from archiver.replay import FACTS, replay
from archiver.saved import Observation
from archiver.simulator import build_history

NIGHTS = 6


@pytest.fixture
async def nights(archive):
    """Return a function that archives one more simulated night, and the clock; six nights are archived."""
    history = build_history(3, ends_at=datetime(2026, 11, 23, tzinfo=UTC), weeks=2, projects=1, plans_per_week=16)
    async with simulated(archive, history) as (one_more_night, clock):

        async def one_more():
            await one_more_night()
            return clock.now(), facts(archive)

        known = [await one_more() for _ in range(NIGHTS)]
        yield one_more, clock, known


def facts(archive):
    return {table.name: archive.rows(table) for table in FACTS}


def pruned(archive, until, now, **options):
    with archive.engine.begin() as connection:
        return prune(connection, horizons(connection, until, heeds_issued=False), now, **options)


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
            with knew.memory.connect() as memory:
                changes = {
                    dict(row)["status_change_key"] for row in memory.execute(select(schema.status_changes)).mappings()
                }
            of_them = {c["status_change_key"] for c in then["status_changes"] if c["plan_key"] in knew.refolded}
            assert changes == of_them
        with pytest.raises(DatabaseError, match="before the prune horizon"):
            as_known_at(connection, horizon - timedelta(milliseconds=1))


async def test_counting_first_changes_nothing(archive, nights):
    _, clock, _ = nights
    before = archive.rows(schema.snapshots)

    counted = pruned(archive, clock.now(), clock.now(), writes=False)

    assert (archive.rows(schema.snapshots), archive.rows(schema.plan_states)) == (before, [])
    assert counted == pruned(archive, clock.now(), clock.now())


async def test_a_body_told_late_is_kept_for_good_and_makes_no_fact(archive, nights):
    """Each import says so; the plan is folded on without it, and a later pruning keeps the body."""
    one_more, clock, known = nights
    pruned(archive, clock.now(), clock.now())
    [state, *_] = archive.rows(schema.plan_states)
    content = deploy_info(state["plan_id"], component("new", job_id="JOB-lost"))
    late = Observation(state["plan_id"], "deploy_info", content, clock.now() - timedelta(days=3))

    earlier = Observation(state["plan_id"], "deploy_info", content, clock.now() - timedelta(days=4))
    for observations in ([late], [late], [earlier, late]):
        result = import_saved(archive.engine, state["project_id"], archive.revision, observations, clock.now())
        assert (result.outcome, "prune horizon" in result.error) == ("partial", True)
    assert facts(archive) == known[-1][1]
    new = deploy_info(state["plan_id"], component("new", job_id="JOB-new"))
    fresh = Observation(state["plan_id"], "deploy_info", new, clock.now() + timedelta(hours=1))
    result = import_saved(
        archive.engine, state["project_id"], archive.revision, [fresh], clock.now() + timedelta(hours=2)
    )
    assert result.outcome == "complete"
    assert "JOB-new" in {row["job_id"] for row in archive.rows(schema.job_attempts)}
    _, before = await one_more()

    found = replayed(archive)

    assert (found.plans_kept, found.rows_written, found.rows_removed, facts(archive)) == (0, 0, 0, before)
    later = pruned(archive, clock.now() + timedelta(days=9), clock.now() + timedelta(days=9))
    assert (later.plans_left, replayed(archive).rows_written, facts(archive)) == (0, 0, before)
    [kept] = [row for row in archive.rows(schema.snapshots, plan_id=state["plan_id"]) if row["is_aside"]]
    assert (kept["captured_at"], kept["last_captured_at"]) == (earlier.captured_at, late.captured_at)
    assert zstandard.decompress(kept["body"]) == content
    with archive.engine.connect() as connection:
        assert list(findings(connection)) == []


async def test_an_import_after_the_horizon_goes_on_with_a_job_whose_first_body_was_pruned(archive):
    """What was pruned is kept, and what the new body tells of it is told: its end, and the component beside it left."""
    start, end = 1_763_000_000_000, 1_763_000_600_000
    running = component("a", job_id="JOB1", start_time=start, end_time=None, job_status="RUNNING", status="RUNNING")
    bodies = [
        (1, [running, component("b", job_id="JOB-b")]),
        (2, [running, component("b", job_id="JOB-b"), component("c", job_id="JOB-c")]),
    ]
    day_1 = datetime(2025, 11, 14, tzinfo=UTC)
    seen = [
        Observation("p", "deploy_info", deploy_info("p", *parts), day_1 + timedelta(days=day)) for day, parts in bodies
    ]
    import_saved(archive.engine, "pr", archive.revision, seen, day_1 + timedelta(days=3))
    horizon = day_1 + timedelta(days=4)
    assert pruned(archive, horizon, horizon).bodies == 1

    finished = component("a", job_id="JOB1", start_time=start, end_time=end, job_status="SUCCEEDED")
    last = Observation("p", "deploy_info", deploy_info("p", finished), day_1 + timedelta(days=5))
    result = import_saved(archive.engine, "pr", archive.revision, [last], day_1 + timedelta(days=6))

    assert result.outcome == "complete"
    [job] = archive.rows(schema.job_attempts, job_id="JOB1")
    assert (job["outcome"], job["duration_seconds"], job["first_seen_at"]) == ("succeeded", 600, seen[0].captured_at)
    gone = {row["component_id"]: row["gone_at"] for row in archive.rows(schema.components)}
    assert gone == {"a": None, "b": last.captured_at, "c": last.captured_at}
    before = facts(archive)
    assert (replayed(archive).rows_written, facts(archive)) == (0, before)


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


async def test_status_changes_of_before_the_horizon_are_audited_and_told_again(archive, nights):
    _, clock, known = nights
    pruned(archive, clock.now(), clock.now())
    pruned_plans = {row["plan_key"] for row in archive.rows(schema.plan_states)}
    altered, lost = [row for row in archive.rows(schema.status_changes) if row["plan_key"] in pruned_plans][:2]
    is_one = schema.status_changes.c.status_change_key
    with archive.engine.begin() as connection:
        connection.execute(
            update(schema.status_changes).where(is_one == altered["status_change_key"]).values(new_status="FORGED")
        )
        connection.execute(delete(schema.status_changes).where(is_one == lost["status_change_key"]))
    with archive.engine.connect() as connection:
        found = list(findings(connection))

    assert found == [
        "1 rows differ from what their bodies say, 0 have no body: run `archiver replay`",
        "1 rows that rest on pruned bodies are not as they were kept: restore a backup",
    ]
    replayed(archive)
    told = {row["status_change_key"]: row for row in archive.rows(schema.status_changes)}
    as_it_was = {row["status_change_key"]: row for row in known[-1][1]["status_changes"]}
    assert told == as_it_was | {altered["status_change_key"]: altered | {"new_status": "FORGED"}}


def test_each_project_waits_for_the_last_report_that_was_issued_of_it(archive):
    """A report of one project says nothing of what another still owes; one of all is one of each."""
    at = datetime(2026, 11, 23, 6, tzinfo=UTC)
    for project_id in ("p1", "p2", "p3"):
        seen = Observation("p", "deploy_info", deploy_info("p"), at - timedelta(days=9))
        import_saved(archive.engine, project_id, archive.revision, [seen], at)
    blank = {"time_zone": "UTC", "archiver_version": "0", "definition_versions": "{}", "report": "{}"}
    issued = [(5, '["p1", "p2"]'), (4, '["p1"]'), (3, '["p9"]'), (6, '["p1"]')]
    with archive.engine.begin() as connection:
        assert horizons(connection, at) == {"p1": at, "p2": at, "p3": at}
        for number, (days, projects) in enumerate(issued):
            connection.execute(
                schema.issued_reports.insert(),
                blank
                | {
                    "issued_report_key": str(number),
                    "week": "2026-W47",
                    "projects": projects,
                    "as_of": at - timedelta(days=days),
                    "issued_at": at,
                    "report_sha256": "",
                },
            )
        assert horizons(connection, at) == {"p1": at - timedelta(days=4), "p2": at - timedelta(days=5), "p3": at}
        assert horizons(connection, at - timedelta(days=8)) == dict.fromkeys(("p1", "p2", "p3"), at - timedelta(days=8))
        assert set(horizons(connection, at, heeds_issued=False).values()) == {at}
        connection.execute(
            update(schema.issued_reports).where(schema.issued_reports.c.issued_report_key == "0").values(projects=None)
        )
        assert horizons(connection, at)["p3"] == at - timedelta(days=5)


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
