"""What the API's fields mean: payload → values. Pure; meaning changes here and in `history`, nowhere else."""

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec

from archiver.api.payloads import ComponentItem, PlanItem

MAPPING_VERSION = 1

Row = dict[str, Any]

# API reference, "Obtaining the Release Task List": the words after which a plan rests.
SETTLED = frozenset({"SUCCESS", "FAILED", "PARTIALLY_FAILED", "ABORTED", "ROLLBACK_SUCCEED", "ROLLBACK_FAILED"})

_ATTEMPT_OUTCOMES = {
    "SUCCEEDED": "succeeded",
    "SUCCESS": "succeeded",
    "FAILED": "failed",
    "PARTIALLY_FAILED": "failed",
    "ROLLBACK_FAILED": "failed",
    "CANCELLED": "aborted",
    "ABORTED": "aborted",
    "RUNNING": "running",
    "TOGGLING": "running",
    "ABORTING": "running",
    "ROLLBACKING": "running",
    "CREATED": "pending",
    "SUBMITTED": "pending",
    "SCHEDULED": "pending",
}
_ROLLBACK_OUTCOMES = _ATTEMPT_OUTCOMES | {"ROLLBACKED": "succeeded", "ROLLBACK_SUCCEED": "succeeded"}
# Without a status of its own, a rollback is known by those words of its component that speak of rolling back.
_ROLLBACK_WORDS = frozenset({"ROLLBACKING", "ROLLBACK_SUCCEED", "ROLLBACK_FAILED"})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_NOTHING = (None, None, None, None)
_LARGEST_BATCH = 2**63 - 1
IMPOSSIBLY_LATE = timedelta(hours=24)
# Stands for a letter that can't be kept. An id with one is not as it was: others may look the same.
LOST = "\N{REPLACEMENT CHARACTER}"


def key_of(*parts: str | int | None) -> str:
    """Return the stable key of a row: 32 hex digits over its identity, in which None and '' differ."""
    return blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


def epoch_ms(moment: datetime) -> int:
    """Write an instant as the API does, for use in a key."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def text(value: Any) -> str | None:
    """Read a text field as it came; absent, null and '' are no value.

    A number or another shape is kept as its JSON. NUL, which PostgreSQL can't hold, is replaced visibly.
    """
    if isinstance(value, str):
        return (value.replace("\x00", LOST) if "\x00" in value else value) or None
    if value is None:
        return None
    try:
        return text(msgspec.json.encode(value).decode())
    except RecursionError:
        return LOST  # nested too deep to be written; the body has it


def whole_number(value: Any) -> int | None:
    """Read a number that comes as a number or as numeric text; absent, null, '', 0 and '0' are no value."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        digits = value.strip()
        # Only plain ASCII digits: int() takes '1_000' and other scripts' digits too.
        if not digits.isascii() or not digits.removeprefix("-").isdigit() or len(digits) > 20:
            return None
        value = int(digits)
    if isinstance(value, float):
        if not value.is_integer():
            return None
        value = int(value)
    return value if isinstance(value, int) and value != 0 else None


def instant(value: Any) -> datetime | None:
    """Read epoch milliseconds; what no calendar can hold is no value."""
    if type(value) is not int:
        value = whole_number(value)
    if value is None or not 0 < value <= _LATEST_MS:
        return None
    return _EPOCH + timedelta(milliseconds=value)


def batch_number(value: Any) -> int | None:
    """Read `seq`; a text that is no number gives None."""
    number = whole_number(value)
    return number if number is None or abs(number) <= _LARGEST_BATCH else None


def attempt_outcome(job_status: str | None, component_status: str | None) -> str:
    """Say how an attempt ended, from its job's status, without one from its component's."""
    return _ATTEMPT_OUTCOMES.get(job_status or component_status or "", "unknown")


def rollback_outcome(rollback_job_status: str | None, component_status: str | None) -> str:
    """Say how a rollback ended, from its job's status, without one from its component's words on rolling back."""
    if rollback_job_status is None and component_status in _ROLLBACK_WORDS:
        return _ROLLBACK_OUTCOMES[component_status or ""]
    return _ROLLBACK_OUTCOMES.get(rollback_job_status or "", "unknown")


def duration_seconds(started_at: datetime | None, ended_at: datetime | None, captured_at: datetime) -> float | None:
    """Return the seconds between, None where a time is missing or impossible.

    Impossible: an end before its start, or a time more than 24 h after the body was captured.
    """
    if started_at is None or ended_at is None or ended_at < started_at:
        return None
    if ended_at - captured_at > IMPOSSIBLY_LATE:
        return None
    return ((ended_at - started_at) // timedelta(milliseconds=1)) / 1000


def map_plan(item: PlanItem) -> Row:
    """Map a list item to the plan's own columns (all but the archive's times and marks)."""
    return {
        "name": text(item.name),
        "action": text(item.action),
        "status": text(item.status),
        "creator": text(item.creator),
        "created_at": instant(item.create_time),
        "modified_at": instant(item.modify_time),
        "executed_at": instant(item.execute_time),
    }


class Entry(msgspec.Struct, frozen=True):
    """One component of a deployment information, read: its place, its attempt and its rollback, where there are any."""

    component_id: str
    batch: int | None
    name: str | None
    version: str | None
    status: str | None
    job_id: str | None
    attempt: Row | None
    rollback_job_id: str | None
    rollback: Row | None


def map_component(item: ComponentItem, position: int, captured_at: datetime) -> Entry:
    """Map the component at a position (from 0) of a body captured then.

    `attempt` holds version, job_status, outcome, started_at, ended_at, duration_seconds and fail_message; it is None
    until there is a job, a start, or an outcome of failed or aborted. `rollback` holds rollback_job_status and the
    same; it is None without an id, a status, a start and a message.
    """
    name, status = text(item.name), text(item.status)
    job_id = text(item.job_id)
    rollback_job_id = text(item.rollback_job_id)
    version = text(item.version)
    return Entry(
        component_id=text(item.id) or f"missing:{name or position}",
        batch=batch_number(item.seq),
        name=name,
        version=version,
        status=status,
        job_id=job_id,
        attempt=_map_attempt(item, job_id, version, status, captured_at),
        rollback_job_id=rollback_job_id,
        rollback=_map_rollback(item, rollback_job_id, status, captured_at),
    )


def _map_attempt(
    item: ComponentItem, job_id: str | None, version: str | None, status: str | None, captured_at: datetime
) -> Row | None:
    job_status = text(item.job_status)
    started_at, ended_at = instant(item.start_time), instant(item.end_time)
    outcome = attempt_outcome(job_status, status)
    if job_id is None and started_at is None and outcome not in ("failed", "aborted"):
        return None
    return {
        "version": version,
        "job_status": job_status,
        "outcome": outcome,
        "started_at": started_at,
        "ended_at": ended_at,
        "duration_seconds": duration_seconds(started_at, ended_at, captured_at),
        "fail_message": text(item.fail_message),
    }


def _map_rollback(
    item: ComponentItem, rollback_job_id: str | None, status: str | None, captured_at: datetime
) -> Row | None:
    given = (item.rollback_job_id, item.rollback_job_status, item.rollback_start_time, item.rollback_fail_message)
    if given == _NOTHING:
        return None  # as for most: not one field is there to be read
    rollback_job_status = text(item.rollback_job_status)
    started_at, ended_at = instant(item.rollback_start_time), instant(item.rollback_end_time)
    fail_message = text(item.rollback_fail_message)
    if rollback_job_id is None and rollback_job_status is None and started_at is None and fail_message is None:
        return None
    return {
        "rollback_job_status": rollback_job_status,
        "outcome": rollback_outcome(rollback_job_status, status),
        "started_at": started_at,
        "ended_at": ended_at,
        "duration_seconds": duration_seconds(started_at, ended_at, captured_at),
        "fail_message": fail_message,
    }
