"""400 nights in a zone, with a scheduler that is stopped at random, also within runs: no night is lost or doubled."""

import asyncio
import random
import sys
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

sys.path.append(str(Path(__file__).parents[1] / "archiver"))

from builders import plan_item
from fakes import FakeApi
from sqlalchemy import event
from structlog.testing import capture_logs

from archiver import schedule, schema
from archiver.alarm import NIGHT
from archiver.clock import ManualClock
from archiver.due import RunOptions
from archiver.errors import ArchiverError
from archiver.ingest import archive_project
from archiver.ledger import Night
from archiver.nightly import ProjectOutcome
from archiver.schedule import keep_nights
from archiver.stopping import Stop

NIGHTS = 400
STARTS_AT = datetime(2026, 1, 15, 12, tzinfo=UTC)
ENDS_AT = STARTS_AT + timedelta(days=NIGHTS)


def night_starts(zone, wall_clock):
    """Tell without the program's help from when on each date's night is due: the first instant past that local time."""
    starts = {}
    instant = STARTS_AT - timedelta(days=3)
    while instant < ENDS_AT + timedelta(days=3):
        local = instant.astimezone(zone)
        if local.time() >= wall_clock:
            starts.setdefault(local.date(), instant)
        instant += timedelta(minutes=15)
    return starts


class Life:
    """A scheduler that rings at random, sleeps, and is stopped at random: between runs, and within them."""

    def __init__(self, archive, zone, dice):
        """Begin on the first day."""
        self.archive, self.zone, self.dice = archive, zone, dice
        self.clock = ManualClock(STARTS_AT)
        self.stop = Stop()
        self.looks = []  # (when, whether it came to its end)

    async def rings(self):
        """Ring a few times, some of them late by hours."""
        for _ in range(self.dice.randint(1, 30)):
            if self.clock.now() >= ENDS_AT:
                return
            self.looks.append([self.clock.now(), False])
            yield frozenset({NIGHT})
            self.looks[-1][1] = True
            self.clock.advance(60 * self.dice.choice((15, 120, 300, 600, 900)))

    async def archive_all(self, settings, engine, revision, clock, *, kind, stop, **_):
        """Archive the one project as `nightly` does, from an API without a socket; or be stopped while it does."""
        api = FakeApi(clock, items=[plan_item("a")])
        if self.dice.random() < 0.1:
            api.list_error = asyncio.CancelledError()
        options = RunOptions(
            kind=kind,
            night=Night(settings.schedule, self.zone),
            revision=revision,
            stop=stop,
            is_full=True,
            leaves_served_nights=True,
        )
        try:
            return [ProjectOutcome("p", result=await archive_project(engine, api, "p", clock, options))]
        except ArchiverError as error:
            return [ProjectOutcome("p", error=error)]

    async def live(self):
        """Stay up until stopped, and be away for minutes or days."""
        with suppress(asyncio.CancelledError):
            await keep_nights(None, self.clock, stop=self.stop, ringing=self.rings())
        self.clock.advance(60 * self.dice.choice((1, 1, 20, 600, 2000, 5000)))


async def no_report(*_, **__):
    """Issue none."""


@pytest.fixture(autouse=True)
def _quiet():
    with capture_logs():
        yield


@pytest.mark.parametrize(
    ("zone", "expression"),
    [
        ("UTC", "15 2 * * *"),
        ("Europe/Berlin", "15 2 * * *"),
        ("America/New_York", "15 2 * * *"),
        ("Australia/Lord_Howe", "15 2 * * *"),  # half an hour of daylight saving
        ("America/Santiago", "15 0 * * *"),  # it begins at midnight
        ("Asia/Kathmandu", "15 2 * * *"),  # none, and a quarter of an hour beside the rest
    ],
)
async def test_no_night_is_lost_or_doubled(sqlite_archive_file, monkeypatch, zone, expression):
    archive, where = sqlite_archive_file, ZoneInfo(zone)
    life = Life(archive, where, random.Random(zone))
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", archive.url)
    monkeypatch.setenv("ARCHIVER_PROJECT_ID", "p")
    monkeypatch.setenv("ARCHIVER_SCHEDULE", expression)
    monkeypatch.setenv("ARCHIVER_TIMEZONE", zone)
    event.listen(archive.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))  # it is not torn here
    monkeypatch.setattr(schedule, "open_archive", lambda _: (archive.engine, archive.revision))
    monkeypatch.setattr(schedule, "archive_all", life.archive_all)
    monkeypatch.setattr(schedule, "issue_if_due", no_report)

    while life.clock.now() < ENDS_AT:
        await life.live()

    nights = archive.rows(schema.nights)
    written = sorted((row["night_date"], row["planned_at"], row["state"]) for row in nights)
    wall_clock = time(int(expression.split()[1]), int(expression.split()[0]))
    starts = night_starts(where, wall_clock)
    dates = [night_date for night_date, _, _ in written]
    assert dates == [dates[0] + timedelta(days=number) for number in range(len(dates))]
    assert len(dates) >= NIGHTS - 5
    for night_date, planned_at, _ in written:  # a local time that is skipped falls due as late as it would have
        assert timedelta(0) <= planned_at - starts[night_date] <= timedelta(minutes=15)

    # A night is done by exactly one run, and missed only where no look came to its end between it and the next.
    runs = archive.rows(schema.runs)
    done = Counter(row["night_date"] for row in runs if row["outcome"] == "complete")
    assert set(done.values()) == {1}
    following = [planned_at for _, planned_at, _ in written[1:]] + [life.clock.now()]
    for (night_date, planned_at, state), ends in zip(written, following, strict=True):
        was_looked_at = any(planned_at <= at < ends and is_whole for at, is_whole in life.looks)
        assert (state == "done") == was_looked_at == (night_date in done), night_date
    assert Counter(row["outcome"] for row in runs)["interrupted"] > 10
    assert sum(state == "missed" for _, _, state in written) > 10
