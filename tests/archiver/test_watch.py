"""The watch between nights: what was redeployed within the day is seen, and no night is served by it."""

from datetime import UTC, datetime, timedelta

import pytest

from archiver import schema
from archiver.clock import ManualClock
from archiver.schedule import projects_to_watch, tick, watch
from archiver.settings import load_settings
from archiver.simulator import History, Simulator, Truth, running
from archiver.simulator.history import State, Timeline

NIGHT = datetime(2026, 11, 18, 2, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)


def ms(moment):
    return int(moment.timestamp() * 1000)


def item(name, status):
    created = ms(NIGHT - 72 * HOUR)
    times = {"create_time": created, "execute_time": created, "modify_time": 0}
    return {"id": name, "name": name, "action": "upgrade", "creator": "wzh", "status": status} | times


def deployed(name, status, job, started=None, seconds=60):
    began = {} if started is None else {"start_time": ms(started), "end_time": ms(started) + seconds * 1000}
    job_status = {"SUCCESS": "SUCCEEDED", "CREATED": None}.get(status, status)
    place = {"id": "web", "name": "web", "seq": 1, "version": "1", "status": status, "job_id": job}
    return {"id": name, "components": [place | {"job_status": job_status} | began]}


def upstream():
    """Build a plan that fails at noon and is redeployed three hours later, and one that is settled since long."""
    noon, later = NIGHT + 10 * HOUR, NIGHT + 13 * HOUR
    shop = (
        State(ms(NIGHT - HOUR), item("shop", "CREATED"), deployed("shop", "CREATED", None)),
        State(ms(noon), item("shop", "FAILED"), deployed("shop", "FAILED", "J1", noon)),
        State(ms(later), item("shop", "SUCCESS"), deployed("shop", "SUCCESS", "J2", later)),
    )
    old = (State(ms(NIGHT - HOUR), item("old", "SUCCESS"), deployed("old", "SUCCESS", "J0", NIGHT - HOUR)),)
    plans = (Timeline("shop", "stop", shop), Timeline("old", "stop", old))
    return History(NIGHT - 24 * HOUR, NIGHT + 48 * HOUR, {"p": plans}, Truth((), ()))


@pytest.fixture
def clock():
    return ManualClock(NIGHT)


@pytest.fixture
def cloud(clock):
    return Simulator(upstream(), now=clock.now)


@pytest.fixture
def settings(archive, cloud, monkeypatch):
    with running(cloud) as base_url:
        given = {"DATABASE_URL": archive.url, "ENDPOINT": base_url, "PROJECT_ID": "p", "TOKEN": "t"}
        for name, value in (given | {"WATCH_MINUTES": "60", "REQUESTS_PER_SECOND": "0"}).items():
            monkeypatch.setenv(f"ARCHIVER_{name}", value)
        yield load_settings()


def attempts(archive):
    rows = archive.rows(schema.job_attempts, plan_id="shop")
    return [(row["job_id"], row["outcome"], row["attempt"]) for row in sorted(rows, key=lambda row: row["attempt"])]


async def a_day(settings, clock, *, is_watched):
    """Do the night, look every other hour if that is asked for, and do the next night."""
    await tick(settings, clock)
    for hour in range(2, 24, 2):
        clock.set(NIGHT + hour * HOUR)
        if is_watched:
            await watch(settings, clock)
    clock.set(NIGHT + 24 * HOUR)
    await tick(settings, clock)


async def test_a_failure_that_is_redeployed_within_the_day_is_seen(archive, settings, clock):
    await a_day(settings, clock, is_watched=True)

    assert attempts(archive) == [("J1", "failed", 1), ("J2", "succeeded", 2)]


async def test_without_a_watch_it_is_not(archive, settings, clock):
    await a_day(settings, clock, is_watched=False)

    assert attempts(archive) == [("J2", "succeeded", 1)]


async def test_a_watch_fetches_what_is_unsettled_or_changed_and_serves_no_night(archive, settings, clock, cloud):
    await a_day(settings, clock, is_watched=True)

    runs = sorted(archive.rows(schema.runs), key=lambda row: row["started_at"])
    watches = [row for row in runs if row["kind"] == "watch"]
    assert [row["kind"] for row in runs] == ["scheduled", *["watch"] * 11, "scheduled"]
    assert {row["night_date"] for row in watches} == {None}
    # Unsettled until it fails at 12:15; changed then, and when it was redeployed at 15:15.
    assert [row["plans_fetched"] for row in watches] == [1, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0]
    nights = archive.rows(schema.nights)
    assert sorted(row["run_id"] for row in nights) == sorted({runs[0]["run_id"], runs[-1]["run_id"]})


async def test_a_project_is_watched_once_in_so_many_minutes_whoever_asks(archive, settings, clock):
    await tick(settings, clock)
    clock.advance(59 * 60)  # an alarm that rings a little early
    assert await watch(settings, clock) == ["p"]
    clock.advance(1800)

    assert await watch(settings, clock) == []
    assert projects_to_watch(settings.model_copy(update={"watch_minutes": 0}), archive.engine, clock) == []


async def test_a_night_that_is_still_to_do_is_left_to_the_night(archive, settings, clock):
    await tick(settings, clock)
    clock.set(NIGHT + 24 * HOUR)

    assert await watch(settings, clock) == []
    assert await tick(settings, clock) == ["p"]
