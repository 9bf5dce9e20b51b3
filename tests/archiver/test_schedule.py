"""The tick: it asks the archive which night is still to do, and doing it twice does it once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from archiver import schedule, schema
from archiver.clock import ManualClock
from archiver.schedule import keep_nights, projects_to_do, tick
from archiver.settings import load_settings
from archiver.simulator import Fault, Faults, Simulator, build_history, running

ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
FIRST_NIGHT = datetime(2026, 11, 17, 2, 15, tzinfo=UTC)
HISTORY = build_history(7, ends_at=ENDS_AT, weeks=1, plans_per_week=6)
FIRST, SECOND = HISTORY.project_ids
OUTAGE = (FIRST_NIGHT - timedelta(hours=1), FIRST_NIGHT + timedelta(minutes=20))


@pytest.fixture
def clock():
    return ManualClock(FIRST_NIGHT)


@pytest.fixture
def settings(archive, clock, monkeypatch):
    """Return settings for a simulated ServiceStage whose first project is forbidden during an outage."""
    faults = Faults([Fault("status", match=FIRST, since=OUTAGE[0], until=OUTAGE[1], status=403)])
    with running(Simulator(HISTORY, now=clock.now, faults=faults)) as base_url:
        for name, value in {
            "DATABASE_URL": archive.url,
            "ENDPOINT": base_url,
            "PROJECT_ID": ",".join(HISTORY.project_ids),
            "TOKEN": "t",
            "REQUESTS_PER_SECOND": "0",
        }.items():
            monkeypatch.setenv(f"ARCHIVER_{name}", value)
        yield load_settings()


def states(archive, project):
    rows = archive.rows(schema.nights, project_id=project)
    return [(row["night_date"].day, row["state"]) for row in sorted(rows, key=lambda row: row["night_date"])]


async def test_a_failed_night_is_tried_again_at_the_next_tick_and_a_done_one_is_not(archive, settings, clock):
    first = await tick(settings, clock)
    clock.advance(900)
    second = await tick(settings, clock)
    clock.advance(900)
    third = await tick(settings, clock)
    fourth = await tick(settings, clock)

    assert first == [FIRST, SECOND]
    assert second == third == [FIRST]
    assert fourth == []
    assert states(archive, FIRST) == states(archive, SECOND) == [(17, "done")]
    assert [row["outcome"] for row in archive.rows(schema.runs, project_id=FIRST)] == ["failed", "failed", "complete"]
    assert {row["kind"] for row in archive.rows(schema.runs)} == {"scheduled"}


async def test_nights_in_a_gap_are_missed_and_the_last_one_is_done(archive, settings, clock):
    clock.set(OUTAGE[1])
    await tick(settings, clock)
    clock.set(FIRST_NIGHT + timedelta(days=3, hours=9))

    assert projects_to_do(settings, archive.engine, clock) == [FIRST, SECOND]
    await tick(settings, clock)

    assert states(archive, FIRST) == [(17, "done"), (18, "missed"), (19, "missed"), (20, "done")]
    assert projects_to_do(settings, archive.engine, clock) == []


async def test_the_night_falls_due_at_its_minute(archive, settings, clock):
    clock.set(OUTAGE[1])
    await tick(settings, clock)

    clock.set(FIRST_NIGHT + timedelta(days=1, milliseconds=-1))
    before = projects_to_do(settings, archive.engine, clock)
    clock.advance(0.001)

    assert before == []
    assert projects_to_do(settings, archive.engine, clock) == [FIRST, SECOND]


async def test_staying_up_ticks_at_the_start_and_ends_when_told_to(sqlite_archive_file, monkeypatch, clock):
    ticked = asyncio.Event()

    async def fake_tick(settings, clock):
        ticked.set()

    monkeypatch.setattr(schedule, "tick", fake_tick)
    task = asyncio.create_task(keep_nights(None, clock))
    await asyncio.wait_for(ticked.wait(), 5)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
