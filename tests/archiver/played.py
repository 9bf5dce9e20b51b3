"""Nights played on an archive, in which a test says what each plan answers."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from builders import plan_item
from fakes import FakeApi

from archiver.clock import ManualClock
from archiver.due import RunOptions
from archiver.ingest import archive_project
from archiver.ledger import Night

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
