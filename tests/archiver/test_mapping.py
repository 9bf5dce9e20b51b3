"""What the API's fields mean, one quirk at a time."""

from datetime import UTC, datetime, timedelta

import pytest

from archiver.api.payloads import ComponentItem, PlanItem
from archiver.mapping import (
    attempt_outcome,
    batch_number,
    duration_seconds,
    instant,
    key_of,
    map_component,
    map_plan,
    rollback_outcome,
    text,
)

SEEN_AT = datetime(2024, 8, 7, tzinfo=UTC)
# The vendor's example of deploy-info, verbatim.
EXAMPLE = ComponentItem(
    job_id="JOB6999c66d-cb39-4c46-9f98-893b704300e0",
    status="RUNNING",
    job_status="SUCCEEDED",
    name="sch",
    id="df49e875-000c-4d69-8f45-c4f384549e1b",
    seq=1,
    version="2024.0802.18390",
    start_time=1722933924962,
    end_time=1722933950018,
    rollback_start_time=0,
    rollback_end_time=0,
)


def test_the_vendors_example_of_a_component_is_one_finished_attempt_without_rollback():
    entry = map_component(EXAMPLE, 0, SEEN_AT)

    assert (entry.component_id, entry.batch, entry.name) == ("df49e875-000c-4d69-8f45-c4f384549e1b", 1, "sch")
    assert entry.attempt == {
        "version": "2024.0802.18390",
        "job_status": "SUCCEEDED",
        "outcome": "succeeded",
        "started_at": datetime(2024, 8, 6, 8, 45, 24, 962000, UTC),
        "ended_at": datetime(2024, 8, 6, 8, 45, 50, 18000, UTC),
        "duration_seconds": 25.056,
        "fail_message": None,
    }
    assert entry.rollback is None


def test_the_vendors_example_of_a_list_item_is_a_plan_that_was_never_modified():
    item = PlanItem(
        name="release-1zws2j",
        id="4cf4d39e-c11a-41b0-82eb-30defc376d52",
        action="create",
        create_time=1711952860132,
        modify_time=0,
        status="SUCCESS",
        creator="wzh",
        execute_time=1711952860379,
    )

    assert map_plan(item) == {
        "name": "release-1zws2j",
        "action": "create",
        "status": "SUCCESS",
        "creator": "wzh",
        "created_at": datetime(2024, 4, 1, 6, 27, 40, 132000, UTC),
        "modified_at": None,
        "executed_at": datetime(2024, 4, 1, 6, 27, 40, 379000, UTC),
    }


@pytest.mark.parametrize("nothing", [None, "", 0, "0", -1, "-5", "soon", True, 1.5, 10**18, "9" * 400, [], {}])
def test_what_is_no_time_is_no_value(nothing):
    assert instant(nothing) is None


@pytest.mark.parametrize("moment", [1722933924962, "1722933924962", " 1722933924962 ", 1722933924962.0])
def test_a_time_is_a_number_or_numeric_text(moment):
    assert instant(moment) == datetime(2024, 8, 6, 8, 45, 24, 962000, UTC)


@pytest.mark.parametrize(
    ("seq", "batch"),
    [
        *((1, 1), ("1", 1), ("007", 7), (2.0, 2), (-1, -1), (2**63 - 1, 2**63 - 1)),
        *((None, None), ("", None), (0, None), ("0", None), ("canary", None), ("1.5", None), (1.5, None)),
        *(("1_0", None), ("٣", None), ("²", None), (True, None), (2**63, None), ([1], None)),
    ],
)
def test_a_batch_is_an_integer_or_missing(seq, batch):
    assert batch_number(seq) == batch


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        *((None, None), ("", None), ("0", "0"), (" ", " "), ("a", "a"), (0, "0"), (1.5, "1.5"), (True, "true")),
        *(({"b": [1, None]}, '{"b":[1,null]}'), ("a\x00b", "a\N{REPLACEMENT CHARACTER}b")),
    ],
)
def test_a_text_is_kept_as_it_came_and_another_shape_as_its_json(value, kept):
    assert text(value) == kept


ATTEMPT_WORDS = {
    "succeeded": ("SUCCEEDED", "SUCCESS"),
    "failed": ("FAILED", "PARTIALLY_FAILED", "ROLLBACK_FAILED"),
    "aborted": ("CANCELLED", "ABORTED"),
    "running": ("RUNNING", "TOGGLING", "ABORTING", "ROLLBACKING"),
    "pending": ("CREATED", "SUBMITTED", "SCHEDULED"),
    "unknown": ("UNKNOWN", "ROLLBACKED", "ROLLBACK_SUCCEED", "success", "BRAND_NEW", None),
}
ROLLBACK_WORDS = ATTEMPT_WORDS | {
    "succeeded": ("SUCCEEDED", "SUCCESS", "ROLLBACKED", "ROLLBACK_SUCCEED"),
    "unknown": ("UNKNOWN", "BRAND_NEW", None),
}


@pytest.mark.parametrize(("outcome", "words"), ATTEMPT_WORDS.items())
def test_an_attempts_outcome_comes_from_its_job_and_without_one_from_its_component(outcome, words):
    for word in words:
        assert attempt_outcome(None, word) == outcome
        if word is not None:
            assert attempt_outcome(word, "SUCCESS") == attempt_outcome(word, "FAILED") == outcome


@pytest.mark.parametrize(("outcome", "words"), ROLLBACK_WORDS.items())
def test_a_rollbacks_outcome_comes_from_its_own_job(outcome, words):
    for word in words:
        assert rollback_outcome(word, None) == outcome
        if word is not None:
            assert rollback_outcome(word, "ROLLBACK_FAILED") == outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *(("ROLLBACKING", "running"), ("ROLLBACK_SUCCEED", "succeeded"), ("ROLLBACK_FAILED", "failed")),
        *(("SUCCESS", "unknown"), ("FAILED", "unknown"), ("RUNNING", "unknown")),
    ],
)
def test_without_a_job_status_a_rollbacks_outcome_comes_from_words_on_rolling_back_alone(status, outcome):
    assert rollback_outcome(None, status) == outcome


@pytest.mark.parametrize(
    ("start_hours", "end_hours", "seconds"),
    [
        *((-2, -1, 3600.0), (-1, -1, 0.0), (-1, 24, 90_000.0)),
        *((-1, -2, None), (-1, 24.001, None), (25, 26, None), (None, -1, None), (-1, None, None)),
    ],
)
def test_a_duration_is_missing_where_a_time_is_missing_or_impossible(start_hours, end_hours, seconds):
    start, end = (None if hours is None else SEEN_AT + timedelta(hours=hours) for hours in (start_hours, end_hours))

    assert duration_seconds(start, end, SEEN_AT) == seconds


@pytest.mark.parametrize(
    ("fields", "exists"),
    [
        *(({"job_id": "J"}, True), ({"start_time": 5}, True), ({"status": "FAILED"}, True)),
        *(({"status": "ABORTED"}, True), ({"job_status": "CANCELLED", "status": "CREATED"}, True)),
        *(({}, False), ({"status": "CREATED"}, False), ({"status": "RUNNING"}, False), ({"status": "SUCCESS"}, False)),
        *(({"job_status": "RUNNING", "status": "FAILED"}, False), ({"job_id": "", "start_time": "0"}, False)),
        ({"end_time": 5, "fail_message": "x"}, False),
    ],
)
def test_an_attempt_exists_once_there_is_a_job_a_start_or_an_end_in_failure(fields, exists):
    assert (map_component(ComponentItem(**fields), 0, SEEN_AT).attempt is not None) == exists


@pytest.mark.parametrize(
    ("fields", "exists"),
    [
        *(({"rollback_job_id": "R"}, True), ({"rollback_job_status": "RUNNING"}, True)),
        *(({"rollback_start_time": "5"}, True), ({"rollback_fail_message": "x"}, True)),
        *(({}, False), ({"status": "ROLLBACKING"}, False), ({"rollback_end_time": 5}, False)),
        ({"rollback_job_id": "", "rollback_job_status": "", "rollback_start_time": "0"}, False),
    ],
)
def test_a_rollback_exists_once_there_is_an_id_a_status_a_start_or_a_message(fields, exists):
    assert (map_component(ComponentItem(**fields), 0, SEEN_AT).rollback is not None) == exists


@pytest.mark.parametrize(
    ("fields", "component_id"),
    [
        *(
            ({"id": "c"}, "c"),
            ({"id": 7}, "7"),
            ({"name": "sch"}, "missing:sch"),
            ({"id": "", "name": ""}, "missing:3"),
        ),
    ],
)
def test_a_component_without_id_is_called_by_its_name_or_its_position(fields, component_id):
    assert map_component(ComponentItem(**fields), 3, SEEN_AT).component_id == component_id


def test_a_key_tells_a_missing_part_from_an_empty_one_and_parts_from_their_join():
    keys = {key_of("a", None), key_of("a", ""), key_of("a"), key_of("", "a"), key_of("a", "1"), key_of("a", 1)}

    assert len(keys) == 6
    assert all(len(key) == 32 for key in keys)
