"""One run of one project: what it fetches, counts, saves and leaves alone."""

import asyncio
import random
import string
import tracemalloc
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from builders import DAY_MS, component, deploy_info, plan_item
from fakes import FakeApi, gone, refused
from sqlalchemy import text, update

from archiver import ingest, schema
from archiver.api.limits import Counts
from archiver.clock import ManualClock
from archiver.due import RunOptions
from archiver.errors import GiveUpPlanError, GiveUpRunError, LeaseHeldError, LeaseLostError
from archiver.ingest import SAVE_PLANS, archive_project
from archiver.lease import acquire
from archiver.ledger import Night, open_run

NIGHT = datetime(2026, 11, 24, 2, 15, tzinfo=UTC)
NIGHT_MS = int(NIGHT.timestamp() * 1000)


@pytest.fixture
def clock():
    return ManualClock(NIGHT)


@pytest.fixture
def api(clock):
    return FakeApi(clock)


async def run(archive, api, **options):
    """Run once, with neither window nor sweep unless the test asks for them."""
    defaults = {"kind": "scheduled", "concurrency": 1, "recheck_days": 0, "sweep_days": 0}
    night = Night("15 2 * * *", ZoneInfo("UTC"))
    api.asked.clear()
    chosen = RunOptions(night=night, revision=archive.revision, **(defaults | options))
    return await archive_project(archive.engine, api, "p1", api.clock, chosen)


def summary(result):
    counts = result.counts
    return {
        "listed": counts.plans_listed,
        "fetched": counts.plans_fetched,
        "changed": counts.plans_changed,
        "skipped": counts.plans_skipped,
        "gone": counts.plans_gone,
        "failed": counts.plans_failed,
    }


async def test_every_listed_plan_is_fetched_skipped_failed_or_gone(archive, api, clock):
    api.items = [plan_item("old")]
    await run(archive, api)
    clock.advance(DAY_MS / 1000)
    api.items = [plan_item(name) for name in ("old", "new", "missing", "forbidden")]
    api.infos = {"missing": gone(), "forbidden": refused()}

    result = await run(archive, api)

    assert summary(result) == {"listed": 4, "fetched": 1, "changed": 1, "skipped": 1, "gone": 1, "failed": 1}
    assert result.outcome == "partial"
    assert result.counts.plans_unchanged == 0
    (row,) = archive.rows(schema.runs, run_id=result.run_id)
    assert (row["plans_listed"], row["plans_failed"], row["outcome"]) == (4, 1, "partial")


async def test_a_quiet_night_fetches_what_is_unsettled_and_finds_it_unchanged(archive, api, clock):
    api.items = [plan_item("settled"), plan_item("open", "RUNNING")]
    await run(archive, api)
    clock.advance(DAY_MS / 1000)

    result = await run(archive, api)

    assert api.asked == ["open"]
    assert summary(result) == {"listed": 2, "fetched": 1, "changed": 0, "skipped": 1, "gone": 0, "failed": 0}
    assert result.counts.plans_unchanged == 1
    assert result.outcome == "complete"


async def test_full_fetches_every_plan(archive, api):
    api.items = [plan_item("a"), plan_item("b")]
    await run(archive, api)

    await run(archive, api, is_full=True)

    assert sorted(api.asked) == ["a", "b"]


@pytest.mark.parametrize("archive", ["sqlite"], indirect=True)
async def test_a_run_holds_no_body_longer_than_until_it_is_saved(archive, api, monkeypatch):
    monkeypatch.setattr(ingest, "SAVE_PLANS", 2)
    size_bytes, plan_count = 200_000, 60
    names = [f"plan {number}" for number in range(plan_count)]
    api.items = [plan_item(name) for name in names]
    # Made when asked for, so that the API itself holds none.
    api.infos = {name: partial(deploy_info, name, component("c", description="x" * size_bytes)) for name in names}
    tracemalloc.start()
    try:
        result = await run(archive, api)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert result.counts.plans_fetched == plan_count
    assert peak_bytes < plan_count * size_bytes / 2


async def test_what_a_run_commits_goes_from_the_log_into_the_file_once_at_its_end(sqlite_archive_file, api, tmp_path):
    log = tmp_path / "archive.db-wal"
    was_there = []

    def answer(name):
        was_there.append(log.exists())
        return deploy_info(name, component("c"))

    api.items = [plan_item("a"), plan_item("b")]
    api.infos = {"a": partial(answer, "a"), "b": partial(answer, "b")}

    await run(sqlite_archive_file, api)

    assert was_there == [True, True]  # though no transaction is open
    assert not log.exists()


async def test_a_plan_is_tombstoned_after_a_whole_list_alone(archive, api, clock):
    api.items = [plan_item("a"), plan_item("b")]
    await run(archive, api)
    api.items, api.count = [plan_item("a")], 2
    clock.advance(DAY_MS / 1000)

    cut_short = await run(archive, api)
    after_cut_short = archive.rows(schema.plans, plan_id="b")[0]["gone_at"]
    api.count = None
    clock.advance(DAY_MS / 1000)
    whole = await run(archive, api)

    assert cut_short.outcome == "partial"
    assert "count 2" in cut_short.error
    assert after_cut_short is None
    assert (whole.outcome, whole.counts.plans_gone) == ("complete", 1)
    assert archive.rows(schema.plans, plan_id="b")[0]["gone_at"] == NIGHT + timedelta(days=2)
    assert archive.rows(schema.plans, plan_id="a")[0]["gone_at"] is None


async def test_items_without_an_id_are_failures_each_and_nothing_is_tombstoned(archive, api, clock):
    api.items = [plan_item("a"), plan_item("b")]
    await run(archive, api)
    clock.advance(DAY_MS / 1000)
    api.items = [plan_item("a"), {"name": "x"}, {"name": "x", "id": ""}, None, 7]

    result = await run(archive, api)

    assert result.outcome == "partial"
    assert "4 items without an id" in result.error
    assert summary(result) == {"listed": 5, "fetched": 0, "changed": 0, "skipped": 1, "gone": 0, "failed": 4}
    failures = archive.rows(schema.fetch_failures)
    assert sorted(row["plan_id"] for row in failures) == ["missing:2", "missing:3", "missing:4", "missing:x"]
    assert {row["stage"] for row in failures} == {"list"}
    assert archive.rows(schema.plans, plan_id="b")[0]["gone_at"] is None


async def test_names_that_look_like_positions_hide_no_item(archive, api):
    api.items = [{"name": "1"}, {"name": "1"}, {"name": "3"}, None, plan_item("a")]

    result = await run(archive, api)

    assert summary(result) == {"listed": 5, "fetched": 1, "changed": 1, "skipped": 0, "gone": 0, "failed": 4}
    assert len({row["plan_id"] for row in archive.rows(schema.fetch_failures)}) == 4


async def test_ids_with_lost_letters_are_failures_each_and_not_asked_for(archive, api):
    api.items = [plan_item("u\x00x"), plan_item("u\N{REPLACEMENT CHARACTER}x"), plan_item("a")]

    result = await run(archive, api)

    assert (result.outcome, api.asked) == ("partial", ["a"])
    assert summary(result) == {"listed": 3, "fetched": 1, "changed": 1, "skipped": 0, "gone": 0, "failed": 2}
    assert all("is not as it was" in row["message"] for row in archive.rows(schema.fetch_failures))


@pytest.mark.parametrize("name", ["create_time", "execute_time", "modify_time"])
async def test_a_settled_plan_of_the_end_of_time_is_fetched_again_and_again(archive, api, clock, name):
    api.items = [plan_item("a", **{name: 253_402_300_799_999}), plan_item("b")]
    for _ in range(3):
        result = await run(archive, api, recheck_days=14)
        assert (result.outcome, "a" in api.asked) == ("complete", True)
        clock.advance(DAY_MS / 1000)


async def test_a_run_whose_end_can_not_be_written_down_says_so(sqlite_archive_file, api):
    """The disk may fill up between the last plan and the books."""
    api.items = [plan_item("a")]
    with sqlite_archive_file.engine.begin() as connection:
        connection.execute(
            text("CREATE TRIGGER full BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        )

    result = await run(sqlite_archive_file, api)

    assert result.outcome == "partial"
    assert result.error == "how the run ended could not be written down: the database failed: disk full"
    assert len(sqlite_archive_file.rows(schema.job_attempts)) == 1


async def test_a_body_of_the_wrong_shape_is_kept_with_the_failure(archive, api):
    api.items = [plan_item("a"), plan_item("b")]
    api.infos = {"a": refused(b'{"components":"see attachment"}')}

    result = await run(archive, api)

    (failure,) = archive.rows(schema.fetch_failures)
    assert failure["body"] == b'{"components":"see attachment"}'
    assert (failure["plan_id"], failure["run_id"], failure["error_code"]) == ("a", result.run_id, "APIGW.0302")
    assert [row["plan_id"] for row in archive.rows(schema.job_attempts)] == ["b"]


async def test_a_body_that_failed_is_owed_the_next_night(archive, api, clock):
    api.items = [plan_item("a", "RUNNING")]
    await run(archive, api)
    clock.advance(DAY_MS / 1000)
    api.items = [plan_item("a", "SUCCESS")]
    api.infos = {"a": refused()}
    await run(archive, api)
    clock.advance(DAY_MS / 1000)
    api.infos = {"a": deploy_info("a", component(job_id="JOB2"))}

    await run(archive, api)
    first = list(api.asked)
    clock.advance(DAY_MS / 1000)
    await run(archive, api)

    assert first == ["a"]
    assert api.asked == []
    assert {row["job_id"] for row in archive.rows(schema.job_attempts)} == {"JOB1", "JOB2"}


async def test_a_plan_settled_when_first_seen_is_rechecked_from_its_own_time(archive, api, clock):
    api.items = [plan_item("a", modify_time=NIGHT_MS - 10 * DAY_MS)]
    asked = []
    for _ in range(7):
        await run(archive, api, recheck_days=14)
        asked.append(len(api.asked))
        clock.advance(DAY_MS / 1000)

    # 10, 11, 12 and 13 days old: fetched; 14 days old and more: not.
    assert asked == [1, 1, 1, 1, 0, 0, 0]


async def test_a_plan_seen_to_settle_is_rechecked_from_then(archive, api, clock):
    api.items = [plan_item("a", "RUNNING")]
    await run(archive, api)
    clock.advance(DAY_MS / 1000)
    api.items = [plan_item("a", "SUCCESS")]
    asked = []
    for _ in range(5):
        await run(archive, api, recheck_days=3)
        asked.append(len(api.asked))
        clock.advance(DAY_MS / 1000)

    assert asked == [1, 1, 1, 0, 0]


async def test_the_sweep_fetches_every_old_plan_once_in_its_days(sqlite_archive_file, api, clock):
    api.items = [plan_item(f"plan-{number}") for number in range(12)]
    await run(sqlite_archive_file, api)
    for _ in range(2):
        swept = []
        for _ in range(5):
            clock.advance(DAY_MS / 1000)
            await run(sqlite_archive_file, api, sweep_days=5)
            swept += api.asked
            assert len(api.asked) < 12
        assert sorted(swept) == sorted(item["id"] for item in api.items)


async def test_a_run_that_reaches_its_time_is_partial_and_names_what_it_did_not_try(archive, api):
    api.items = [plan_item(name) for name in ("a", "b", "c")]
    api.infos = {"b": asyncio.Event().wait}

    result = await run(archive, api, run_seconds=0.5)

    assert result.outcome == "partial"
    assert "ARCHIVER_RUN_SECONDS" in result.error
    assert summary(result) == {"listed": 3, "fetched": 1, "changed": 1, "skipped": 0, "gone": 0, "failed": 2}
    assert {(row["plan_id"], row["stage"]) for row in archive.rows(schema.fetch_failures)} == {
        ("b", "not_tried"),
        ("c", "not_tried"),
    }
    assert [row["state"] for row in archive.rows(schema.nights)] == ["partial"]


async def test_the_next_run_begins_with_what_one_did_not_come_to_in_its_time(archive, api, clock):
    async def answer_two_a_night(name):
        if len(api.asked) > 2:
            await asyncio.Event().wait()
        return deploy_info(name)

    api.items = [plan_item(name, "RUNNING") for name in ("a", "b", "c", "d")]
    await run(archive, api)
    api.infos = {name: partial(answer_two_a_night, name) for name in ("a", "b", "c", "d", "new")}
    asked = []
    for _ in range(2):
        clock.advance(DAY_MS / 1000)
        await run(archive, api, run_seconds=0.5)
        asked.append(list(api.asked))
        api.items.append(plan_item("new"))

    assert asked == [["a", "b", "c"], ["new", "c", "d"]]


async def test_credentials_refused_half_way_end_the_run_as_partial(archive, api):
    api.items = [plan_item(name) for name in ("a", "b", "c")]
    api.infos = {"b": GiveUpRunError("the token was refused", stage="deploy_info", status=401)}

    result = await run(archive, api)

    assert (result.outcome, result.error) == ("partial", "the token was refused")
    assert summary(result) == {"listed": 3, "fetched": 1, "changed": 1, "skipped": 0, "gone": 0, "failed": 2}
    assert {row["plan_id"] for row in archive.rows(schema.fetch_failures)} == {"b", "c"}


async def test_a_list_that_is_forbidden_fails_the_run_and_leaves_the_night_due(archive, api):
    api.list_error = GiveUpRunError("forbidden", stage="list", status=403, error_code="APIGW.0302", body=b"{}")

    result = await run(archive, api)

    assert (result.outcome, result.error) == ("failed", "forbidden")
    (failure,) = archive.rows(schema.fetch_failures)
    assert (failure["plan_id"], failure["stage"], failure["body"]) == (None, "list", b"{}")
    assert [(row["state"], row["run_id"]) for row in archive.rows(schema.nights)] == [("due", None)]


async def test_a_lost_lease_stops_all_writing(archive, api):
    def take_over():
        with archive.engine.begin() as connection:
            connection.execute(update(schema.leases).values(holder="another", fence=schema.leases.c.fence + 1))
        return deploy_info("b")

    api.items = [plan_item("a"), plan_item("b")]
    api.infos = {"b": take_over}

    with pytest.raises(LeaseLostError):
        await run(archive, api)

    assert archive.rows(schema.plans) == []
    assert [row["outcome"] for row in archive.rows(schema.runs)] == ["running"]
    assert [row["state"] for row in archive.rows(schema.nights)] == ["due"]


async def test_a_lease_lost_after_a_save_is_a_run_in_part(sqlite_archive_file, api):
    async def take_over():
        while not sqlite_archive_file.rows(schema.plans):  # noqa: ASYNC110 - the archive sets no event
            await asyncio.sleep(0.002)
        with sqlite_archive_file.engine.begin() as connection:
            connection.execute(update(schema.leases).values(holder="another"))
        return deploy_info("last")

    api.items = [plan_item(f"plan-{number}") for number in range(SAVE_PLANS)] + [plan_item("last")]
    api.infos = {"last": take_over}

    result = await run(sqlite_archive_file, api)

    assert result.outcome == "partial"
    assert len(sqlite_archive_file.rows(schema.plans)) == SAVE_PLANS
    assert sqlite_archive_file.rows(schema.plans, plan_id="last") == []


async def test_a_project_that_another_run_holds_is_refused_and_nothing_is_written(archive, api):
    with archive.engine.begin() as connection:
        acquire(connection, "project:p1")

    with pytest.raises(LeaseHeldError, match="p1"):
        await run(archive, api)

    assert archive.rows(schema.runs) == []
    assert archive.rows(schema.nights) == []


async def test_a_plan_twice_in_the_list_is_one_plan_and_the_last_item_wins(archive, api):
    api.items = [plan_item("a", name="first"), plan_item("a", name="second")]

    result = await run(archive, api)

    assert summary(result) == {"listed": 1, "fetched": 1, "changed": 1, "skipped": 0, "gone": 0, "failed": 0}
    assert result.outcome == "complete"
    assert [row["name"] for row in archive.rows(schema.plans)] == ["second"]


async def test_hostile_ids_are_kept_as_they_came(archive, api):
    ids = ["a/b", "a b", "../..", "%2F", "münchen-發布", "'; DROP TABLE plans; --", "x" * 1000, "\n"]
    api.items = [plan_item(plan_id) for plan_id in ids]

    result = await run(archive, api)

    assert result.outcome == "complete"
    assert {row["plan_id"] for row in archive.rows(schema.plans)} == set(ids)
    assert {row["plan_id"] for row in archive.rows(schema.job_attempts)} == set(ids)


async def test_a_plan_that_goes_on_answering_404_is_gone_once(archive, api, clock):
    api.items = [plan_item("a", "RUNNING")]
    api.infos = {"a": gone()}

    first = await run(archive, api)
    clock.advance(DAY_MS / 1000)
    second = await run(archive, api)

    assert (first.counts.plans_gone, second.counts.plans_gone) == (1, 0)
    assert (first.outcome, second.outcome) == ("complete", "complete")
    assert archive.rows(schema.plans)[0]["gone_at"] == NIGHT


async def test_a_run_told_to_stop_keeps_what_had_come(archive, api):
    hung = asyncio.Event()

    async def hang():
        hung.set()
        await asyncio.Event().wait()

    api.items = [plan_item(name) for name in ("a", "b", "c")]
    api.infos = {"c": hang}
    task = asyncio.create_task(run(archive, api))
    await hung.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert {row["plan_id"] for row in archive.rows(schema.plans)} == {"a", "b"}
    assert {row["plan_id"] for row in archive.rows(schema.job_attempts)} == {"a", "b"}
    (row,) = archive.rows(schema.runs)
    assert (row["outcome"], row["ended_at"], row["plans_fetched"]) == ("interrupted", NIGHT, 2)
    assert archive.rows(schema.leases)[0]["is_released"]


async def test_after_an_interrupted_run_the_next_one_fetches_the_rest(archive, api):
    api.items = [plan_item(name) for name in ("a", "b", "c")]
    api.infos = {"c": lambda: RuntimeError("a defect")}
    with pytest.raises(ExceptionGroup):
        await run(archive, api)
    api.infos = {}

    result = await run(archive, api)

    assert api.asked == ["c"]
    assert result.outcome == "complete"
    assert sorted(row["outcome"] for row in archive.rows(schema.runs)) == ["complete", "interrupted"]
    assert [(row["state"], row["run_id"]) for row in archive.rows(schema.nights)] == [("done", result.run_id)]


async def test_a_run_that_never_ended_is_marked_interrupted_by_the_next(archive, api, clock):
    with archive.engine.begin() as connection:
        dead = open_run(connection, "p1", "manual", NIGHT - timedelta(hours=3), archive.revision, None)
        other = open_run(connection, "p2", "manual", NIGHT - timedelta(hours=3), archive.revision, None)

    await run(archive, api)

    (row,) = archive.rows(schema.runs, run_id=dead)
    assert (row["outcome"], row["ended_at"]) == ("interrupted", NIGHT)
    assert archive.rows(schema.runs, run_id=other)[0]["outcome"] == "running"


async def test_more_plans_than_one_transaction_holds_are_all_saved(sqlite_archive_file, api):
    api.items = [plan_item(f"plan-{number}") for number in range(2 * SAVE_PLANS + 50)]

    result = await run(sqlite_archive_file, api, concurrency=8)

    assert result.counts.plans_fetched == 2 * SAVE_PLANS + 50
    assert len(sqlite_archive_file.rows(schema.job_attempts)) == 2 * SAVE_PLANS + 50


async def test_a_watch_fetches_what_is_unsettled_or_changed_and_serves_no_night(archive, api, clock):
    api.items = [plan_item("old"), plan_item("open", "RUNNING")]
    await run(archive, api)
    clock.advance(3600)

    result = await run(archive, api, kind="watch", recheck_days=10_000, sweep_days=1)

    assert api.asked == ["open"]
    (row,) = archive.rows(schema.runs, run_id=result.run_id)
    assert (row["kind"], row["night_date"]) == ("watch", None)


async def test_a_plan_that_the_database_refuses_fails_alone(archive, api):
    # Past what an index of PostgreSQL takes, and not to be compressed; SQLite takes it.
    endless = "".join(random.Random(1).choices(string.ascii_letters, k=50_000))
    api.items = [plan_item("good"), plan_item(endless), plan_item("fine")]
    api.infos = {endless: deploy_info(endless)}

    result = await run(archive, api)

    saved = {row["plan_id"] for row in archive.rows(schema.plans)}
    assert saved >= {"good", "fine"}
    if archive.engine.dialect.name == "postgresql":
        assert (result.outcome, result.counts.plans_failed) == ("partial", 1)
        [failure] = archive.rows(schema.fetch_failures)
        assert failure["stage"] == "mapping"
        assert endless.startswith(failure["plan_id"])
    else:
        assert result.outcome == "complete"


async def test_twenty_requests_in_a_row_without_an_answer_end_the_run_in_part(archive, api):
    """The rest is named as not tried; what came before is saved, and the next run fetches what is owed."""
    api.items = [plan_item(f"p{number:02}") for number in range(40)]

    def away():
        api.counts.given_up_in_a_row += 1
        return GiveUpPlanError("HTTP 503", stage="deploy_info", status=503)

    api.infos = {f"p{number:02}": away for number in range(10, 40)}
    result = await run(archive, api)
    failures = archive.rows(schema.fetch_failures)
    assert (result.outcome, result.counts.plans_fetched, result.counts.plans_failed) == ("partial", 10, 30)
    assert len(api.asked) == 30
    assert sorted(row["stage"] for row in failures) == ["deploy_info"] * 20 + ["not_tried"] * 10
    assert "20 requests in a row" in result.error
    api.infos, api.counts = {}, Counts()
    again = await run(archive, api)
    assert (again.outcome, again.counts.plans_fetched) == ("complete", 30)


async def test_plans_that_never_answer_keep_none_of_those_behind_them_from_being_archived(archive, api, clock):
    """A run breaks off at twenty that are new to it. Those that it knows stand here and there, night by night."""
    names = [f"p{number:03}" for number in range(130)]
    api.items = [plan_item(name, "RUNNING") for name in names]

    def broken():
        api.counts.given_up_in_a_row += 1
        return GiveUpPlanError("HTTP 500", stage="deploy_info", status=500)

    def good(plan_id):
        api.counts.given_up_in_a_row = 0
        return deploy_info(plan_id)

    api.infos = {name: broken if name < "p060" else partial(good, name) for name in names}
    results = []
    for _ in range(5):
        api.counts = Counts()
        counts = (await run(archive, api)).counts
        results.append((counts.plans_fetched, len({*api.asked})))
        clock.advance(DAY_MS / 1000)

    assert results[0] == (0, 20)
    assert results[3:] == [(70, 130)] * 2
