"""What real runs leave behind, as `reports quality` tells it: the words that a run writes are the ones it reads."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from builders import DAY_MS, component, deploy_info, plan_item
from fakes import FakeApi, refused

from archiver.clock import ManualClock
from archiver.due import RunOptions
from archiver.errors import GiveUpRunError
from archiver.ingest import archive_project
from archiver.ledger import Night
from reports.quality import quality
from reports.quality_frames import load_quality
from reports.reading import reading
from reports.window import Window

NIGHT = datetime(2026, 11, 24, 2, 15, tzinfo=UTC)
NIGHT_MS = int(NIGHT.timestamp() * 1000)


@pytest.fixture
def clock():
    return ManualClock(NIGHT)


@pytest.fixture
def api(clock):
    return FakeApi(clock)


async def run(archive, api):
    options = RunOptions(kind="scheduled", night=Night("15 2 * * *", ZoneInfo("UTC")), revision=archive.revision)
    result = await archive_project(archive.engine, api, "p1", api.clock, options)
    api.clock.advance(DAY_MS / 1000)
    return result


def found(archive):
    """Return what each check that finds something counts in all."""
    today = NIGHT.date()
    window = Window.between(today - timedelta(days=2), today + timedelta(days=14), ZoneInfo("UTC"))
    with reading(archive.engine) as state:
        table = quality(load_quality(state, window), window)
    sums = table.groupby("check")["count"].sum()
    return sums[sums > 0].to_dict()


async def test_a_list_that_is_shorter_than_its_count_is_told(archive, api):
    api.items, api.count = [plan_item("a")], 2
    await run(archive, api)

    assert found(archive) == {"nights_partial": 1, "lists_incomplete": 1}


async def test_an_item_without_an_id_is_told_with_its_list(archive, api):
    api.items = [plan_item("a"), plan_item("", name="nameless")]
    await run(archive, api)

    assert found(archive) == {"nights_partial": 1, "lists_incomplete": 1, "plans_not_fetched": 1}


async def test_a_list_that_does_not_come_is_told(archive, api):
    api.list_error = GiveUpRunError("forbidden", stage="list", status=403)
    await run(archive, api)
    api.list_error, api.items, api.infos = None, [plan_item("a")], {"a": refused()}
    await run(archive, api)

    assert found(archive) == {
        "runs_failed": 1,
        "lists_failed": 1,
        "nights_missed": 1,
        "nights_partial": 1,
        "plans_not_fetched": 1,
    }


@pytest.mark.parametrize("word", [{"job_status": "RUNNING"}, {"job_status": None, "status": "RUNNING"}])
async def test_an_attempt_that_was_replaced_while_it_ran_is_told_apart_from_a_word_no_one_knows(archive, api, word):
    times = {"start_time": NIGHT_MS - 60_000, "end_time": 0}
    api.items = [plan_item("a", "RUNNING")]
    api.infos = {"a": deploy_info("a", component(job_id="J1", **times, **word))}
    await run(archive, api)
    api.infos = {
        "a": deploy_info("a", component(job_id="J2", **(times | {"start_time": NIGHT_MS, "job_status": "ODD"})))
    }
    await run(archive, api)

    assert found(archive) == {
        "unknown_outcomes": 2,
        "attempts_replaced_unseen": 1,
        "unknown_status_words": 1,
        "observation_gap_p90_hours": 24,
    }


async def test_what_a_body_can_hold_of_nonsense_is_told(archive, api):
    late = {"start_time": NIGHT_MS + 2 * DAY_MS, "end_time": 0, "job_status": "RUNNING"}
    api.items = [plan_item("a")]
    api.infos = {
        "a": deploy_info(
            "a",
            component("late", job_id="J1", **late),
            component("backwards", job_id="J2", start_time=NIGHT_MS - 1_000, end_time=NIGHT_MS - 2_000),
            component("twice", job_id="J3", start_time=NIGHT_MS - 9_000, end_time=NIGHT_MS - 8_000),
            component("twice", job_id="J4", start_time=NIGHT_MS - 7_000, end_time=NIGHT_MS - 6_000),
            component("nowhere", job_id="J5", seq="first", start_time=NIGHT_MS - 1_000, end_time=NIGHT_MS),
            component("", job_id="J6", name="nameless", start_time=NIGHT_MS - 1_000, end_time=NIGHT_MS),
        )
    }
    await run(archive, api)
    # The same body a day later: its times are no more possible than they were.
    await run(archive, api)

    assert found(archive) == {
        "impossible_times": 2,
        "unfinished_attempts": 1,
        "components_twice_in_batch": 1,
        "batches_not_numeric": 1,
        "components_without_id": 1,
    }
