"""Nights played on an archive: of a simulated history, or such in which a test says what each plan answers."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from builders import plan_item
from fakes import FakeApi
from pydantic import SecretStr

from archiver.clock import ManualClock
from archiver.due import RunOptions
from archiver.ingest import archive_project
from archiver.ledger import Night
from archiver.nightly import archive_all
from archiver.settings import Settings
from archiver.simulator import Simulator, serve

NIGHT = Night("15 2 * * *", ZoneInfo("UTC"))
FIRST_NIGHT = datetime(2026, 11, 18, 2, 15, tzinfo=UTC)


class Nights:
    """An archive, and nights in which a test says what each plan answers."""

    def __init__(self, archive):
        """Begin on the first night, with plans that are all unsettled."""
        self.archive, self.clock = archive, ManualClock(FIRST_NIGHT)
        self.api = FakeApi(self.clock, items=[plan_item(name, "RUNNING") for name in ("fine", "x", "y")])

    async def night(self, *, kind="scheduled", days=1, **answers):
        """Run one night, and let a day pass."""
        self.api.infos = answers
        options = RunOptions(kind=kind, night=NIGHT, revision=self.archive.revision, concurrency=1)
        result = await archive_project(self.archive.engine, self.api, "p1", self.clock, options)
        self.clock.advance(days * 86_400)
        return result


@asynccontextmanager
async def simulated(archive, history):
    """Serve a history of one project over loopback; yield what archives its next night, and the clock."""
    clock = ManualClock(history.starts_at + timedelta(hours=2, minutes=15))
    [project_id] = history.project_ids
    async with serve(Simulator(history, now=clock.now)) as base_url:
        settings = Settings.model_construct(
            database_url=SecretStr(archive.url),
            endpoint=base_url,
            project_id=project_id,
            token=SecretStr("any"),
            requests_per_second=0,
        )

        async def one_more_night():
            clock.advance(86_400)
            await archive_all(settings, archive.engine, archive.revision, clock, kind="scheduled")

        yield one_more_night, clock
