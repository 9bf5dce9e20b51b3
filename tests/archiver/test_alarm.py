"""The alarm clock: it rings at once, says what for, and rings once for all that rang while nobody waited."""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from archiver.alarm import NIGHT, WATCH, AlarmCounts, alarms
from archiver.settings import Settings


class Spied(AsyncIOScheduler):
    """A scheduler of which a test sees the jobs, and rings them by hand."""

    last = None

    def start(self, *arguments, **options):
        """Start, and be found."""
        Spied.last = self
        super().start(*arguments, **options)


class AsleepForThreeHours(datetime):
    """The clock of a machine that slept."""

    @classmethod
    def now(cls, tz=None):
        """Return the time after its sleep."""
        return datetime.now(tz) + timedelta(hours=3)


def job(name):
    """Return the interval job that rings for something."""
    return next(one for one in Spied.last.get_jobs() if one.args == (name,) and "interval" in str(one.trigger))


async def test_it_rings_at_once_and_is_asked_for_nothing_twice(monkeypatch):
    monkeypatch.setattr("archiver.alarm.AsyncIOScheduler", Spied)
    counts = AlarmCounts()
    ringing = alarms(Settings(watch_minutes=7), counts)

    assert await anext(ringing) == {NIGHT}
    await job(NIGHT).func(NIGHT)
    await job(WATCH).func(WATCH)
    await job(WATCH).func(WATCH)

    assert await anext(ringing) == {NIGHT, WATCH}
    assert counts == AlarmCounts(rings=3)
    assert {str(one.trigger) for one in Spied.last.get_jobs()} == {
        "cron[month='*', day='*', day_of_week='*', hour='2', minute='15']",
        "cron[month='*', day='*', day_of_week='mon', hour='6', minute='0']",
        "interval[0:15:00]",
        "interval[0:07:00]",
    }
    assert {(one.misfire_grace_time, one.coalesce, one.max_instances) for one in Spied.last.get_jobs()} == {
        (None, True, 1)
    }
    await ringing.aclose()
    await asyncio.sleep(0)  # it ends in the next turn of the loop
    assert not Spied.last.running


async def test_an_alarm_that_comes_late_rings_all_the_same_and_is_counted(monkeypatch):
    monkeypatch.setattr("archiver.alarm.AsyncIOScheduler", Spied)
    counts = AlarmCounts()
    ringing = alarms(Settings(), counts)
    await anext(ringing)
    monkeypatch.setattr("archiver.alarm.datetime", AsleepForThreeHours)

    with structlog.testing.capture_logs() as log:
        job(NIGHT).modify(next_run_time=datetime.now(UTC))
        assert await asyncio.wait_for(anext(ringing), 5) == {NIGHT}

    assert counts == AlarmCounts(rings=1, misfires=1)
    # It was to ring a quarter of an hour after the start.
    assert [(entry["event"], round(entry["late_seconds"] / 60)) for entry in log] == [("schedule.alarm_late", 165)]
    await ringing.aclose()


async def test_a_clock_that_was_set_back_silences_no_alarm(monkeypatch):
    monkeypatch.setattr("archiver.alarm.AsyncIOScheduler", Spied)
    monkeypatch.setattr("archiver.alarm.LONGEST_SILENCE_SECONDS", 0.2)
    counts = AlarmCounts()
    ringing = alarms(Settings(watch_minutes=7), counts)
    await anext(ringing)
    for one in Spied.last.get_jobs():
        one.modify(next_run_time=datetime.now(UTC) + timedelta(days=400))  # set when it was 400 days later

    with structlog.testing.capture_logs() as log:
        assert await asyncio.wait_for(anext(ringing), 5) == {NIGHT, WATCH}

    assert counts == AlarmCounts(rings=0, misfires=1)
    assert [entry["event"] for entry in log] == ["schedule.clock_set_back"]
    assert job(NIGHT).next_run_time <= datetime.now(UTC) + timedelta(minutes=15)
    await ringing.aclose()
