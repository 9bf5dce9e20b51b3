"""A plan that fails alike in three nights in a row is a known failure; told by runs as they are written."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from builders import plan_item
from fakes import FakeApi, gone, refused

from archiver.clock import ManualClock
from archiver.due import RunOptions
from archiver.errors import GiveUpPlanError, GiveUpRunError
from archiver.ingest import archive_project
from archiver.known_failures import load_known_failures
from archiver.ledger import Night
from archiver.nightly import ProjectOutcome, exit_code, known_failures_ok
from archiver.settings import Settings

NIGHT = Night("15 2 * * *", ZoneInfo("UTC"))
FIRST_NIGHT = datetime(2026, 11, 18, 2, 15, tzinfo=UTC)
GARBLED = GiveUpPlanError("no JSON", stage="mapping")


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

    def known(self, until=None):
        """Load the known failures: plan and nights."""
        with self.archive.engine.connect() as connection:
            found = load_known_failures(connection, ["p1"], until)
        return {one.plan_id: (one.nights_count, one.since_night.day) for one in found}

    def judged(self, result):
        """Return the exit code, and that with --known-failures-ok."""
        outcomes = [ProjectOutcome("p1", result=result)]
        settings = Settings()
        return exit_code(outcomes), exit_code(known_failures_ok(outcomes, self.archive.engine, settings))


@pytest.fixture
def nights(archive):
    return Nights(archive)


async def test_a_plan_that_fails_alike_for_three_nights_is_a_known_failure_and_no_reason_to_complain(nights):
    codes = [nights.judged(await nights.night(x=refused())) for _ in range(4)]

    assert codes == [(1, 1), (1, 1), (1, 0), (1, 0)]
    assert nights.known() == {"x": (4, 18)}
    assert nights.known(until=date(2026, 11, 20)) == {"x": (3, 18)}
    assert nights.known(until=date(2026, 11, 19)) == {}


async def test_another_failure_beside_a_known_one_is_still_one(nights):
    for _ in range(3):
        await nights.night(x=refused())

    result = await nights.night(x=refused(), y=refused())

    assert nights.judged(result) == (1, 1)
    assert result.outcome == "partial"


@pytest.mark.parametrize("third", [GARBLED, gone(), None], ids=["another reason", "gone", "archived"])
async def test_a_night_that_goes_otherwise_begins_the_count_anew(nights, third):
    for _ in range(2):
        await nights.night(x=refused())
    await nights.night(**({} if third is None else {"x": third}))
    for _ in range(2):
        await nights.night(x=refused())

    assert nights.known() == {}


async def test_the_last_run_of_a_night_tells_it_and_a_watch_tells_none(nights):
    await nights.night(x=refused(), days=0)
    await nights.night(x=refused(), kind="manual", days=0)
    await nights.night(x=refused(), kind="watch", days=1)
    assert nights.known() == {}
    for _ in range(2):
        await nights.night(x=refused(), days=0)
        await nights.night(kind="watch")
    assert nights.known() == {"x": (3, 18)}

    nights.clock.advance(-86_400)
    await nights.night(kind="manual")

    assert nights.known() == {}


async def test_a_night_in_which_nothing_was_archived_is_passed_over(nights):
    for _ in range(2):
        await nights.night(x=refused())
    nights.api.list_error = GiveUpRunError("away", stage="list", status=503)
    await nights.night()
    nights.api.list_error = None
    nights.clock.advance(timedelta(days=2).total_seconds())

    await nights.night(x=refused())

    assert nights.known() == {"x": (3, 18)}


async def test_a_plan_that_no_run_gets_to_is_never_taken_as_known(nights):
    for _ in range(4):
        result = await nights.night(x=GiveUpPlanError("no time", stage="not_tried"))

    assert nights.known() == {}
    assert nights.judged(result) == (1, 1)


async def test_a_list_that_is_not_whole_is_no_known_failure(nights):
    nights.api.count = 4
    for _ in range(4):
        result = await nights.night(x=refused())

    assert nights.known() == {"x": (4, 18)}
    assert nights.judged(result) == (1, 1)
