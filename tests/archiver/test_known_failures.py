"""A plan that fails alike in three nights in a row is a known failure; told by runs as they are written."""

from datetime import date, timedelta

import pytest
from fakes import gone, refused
from played import Nights

from archiver.errors import GiveUpPlanError, GiveUpRunError
from archiver.known_failures import load_known_failures
from archiver.nightly import ProjectOutcome, exit_code, known_failures_ok
from archiver.settings import Settings

GARBLED = GiveUpPlanError("no JSON", stage="mapping")


class Judged(Nights):
    """Nights, with what is known of their failures."""

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
    return Judged(archive)


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
