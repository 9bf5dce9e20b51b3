"""How the upstream writes things down: numbers as text, many ways to say nothing, fields nobody documented.

Which quirk falls where hangs on the ids alone, so that a plan is written the same way as long as it lives.
"""

import zlib
from typing import Any

from archiver.simulator.states import PlanState, Slot

_ABSENT = object()
_NO_TEXT = (None, None, None, _ABSENT, _ABSENT, "")
_NO_TIME = (0, 0, None, _ABSENT, "", "0")
_BATCH_NAMES = ("canary", "first wave", "rest")


def list_item(state: PlanState) -> dict[str, Any]:
    """Write one item of `release_plans`."""
    style = _Style(state.plan_id)
    action = (state.action, state.action, state.action.upper(), state.action.title())[style.draw(4)]
    as_text = style.draw(6) == 0
    # Some plans never say when they were modified.
    says_modified = style.draw(4) != 0
    item = {
        "name": state.name,
        "id": state.plan_id,
        "action": action,
        "create_time": _time(state.created_ms, as_text, 0),
        "modify_time": _time(state.modified_ms if says_modified else None, as_text, (0, _ABSENT)[style.draw(2)]),
        "status": state.status,
        "creator": _NO_TEXT[style.draw(6)] if state.creator is None else state.creator,
        "execute_time": _time(state.executed_ms, as_text, _NO_TIME[style.draw(6)]),
    }
    if style.draw(8) == 0:
        item["labels"] = {"ticket": f"CHG-{style.draw(9000) + 1000}", "tier": "gold"}
    return _without_absent(item)


def component(state: PlanState, slot: Slot) -> dict[str, Any]:
    """Write one item of `components` of the deployment information."""
    style = _Style(f"{state.plan_id}#{slot.key}")
    as_text = style.draw(6) == 0
    no_text, no_time = _NO_TEXT[style.draw(6)], _NO_TIME[style.draw(6)]
    seq: Any = slot.batch
    if state.has_named_batches:
        seq = _BATCH_NAMES[min(slot.batch, 3) - 1]
    elif style.draw(3) == 0:
        seq = str(slot.batch)
    texts = {
        "job_id": slot.job_id,
        "status": slot.status,
        "job_status": slot.job_status,
        "name": slot.name,
        "id": slot.component_id,
        "version": slot.version,
        "rollback_job_id": slot.rollback_job_id,
        "rollback_job_status": slot.rollback_job_status,
        "fail_message": slot.fail_message,
        "rollback_fail_message": slot.rollback_fail_message,
    }
    times = {
        "start_time": slot.started_ms,
        "end_time": slot.ended_ms,
        "rollback_start_time": slot.rollback_started_ms,
        "rollback_end_time": slot.rollback_ended_ms,
    }
    item: dict[str, Any] = {field: no_text if text is None else text for field, text in texts.items()}
    item["seq"] = seq
    item |= {field: _time(ms, as_text, no_time) for field, ms in times.items()}
    if style.draw(12) == 0:
        item["cluster"] = {"name": f"cce-{style.draw(4)}", "namespace": "default", "replicas": 3}
    return _without_absent(item)


def _time(ms: int | None, as_text: bool, nothing: Any) -> Any:
    if ms is None:
        return nothing
    return str(ms) if as_text else ms


def _without_absent(item: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in item.items() if value is not _ABSENT}


class _Style:
    """Small choices drawn from a checksum, always in the same order."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._count = 0

    def draw(self, limit: int) -> int:
        self._count += 1
        return zlib.crc32(f"{self._words}/{self._count}".encode()) % limit
