"""What the upstream knows of a plan at an instant, and what truly happened, whether or not anyone looked."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Slot:
    """A component's place in a plan, as the upstream has it now: one job and one rollback job, the latest."""

    key: int  # place in the plan, for ever
    component_id: str | None
    name: str
    batch: int
    version: str
    is_present: bool = True
    status: str = "CREATED"
    job_id: str | None = None
    job_status: str | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    fail_message: str | None = None
    rollback_job_id: str | None = None
    rollback_job_status: str | None = None
    rollback_started_ms: int | None = None
    rollback_ended_ms: int | None = None
    rollback_fail_message: str | None = None


@dataclass(frozen=True, slots=True)
class PlanState:
    """A plan from one instant until its next state."""

    valid_from_ms: int
    project_id: str
    plan_id: str
    name: str
    action: str
    creator: str | None
    fail_strategy: str
    created_ms: int
    slots: tuple[Slot, ...]
    has_named_batches: bool = False
    status: str = "CREATED"
    modified_ms: int | None = None
    executed_ms: int | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One deployment that took place upstream, to be seen from `shown_from_ms` until `shown_until_ms`."""

    project_id: str
    plan_id: str
    component_id: str | None
    component_name: str
    batch: int | None  # None where the plan's batches have names
    job_id: str | None
    started_ms: int | None
    ended_ms: int | None
    status: str
    version: str
    message: str | None
    shown_from_ms: int
    shown_until_ms: int | None = None  # replaced by the next attempt, or deleted; None = shown for ever


@dataclass(frozen=True, slots=True)
class Rollback:
    """One rollback that took place upstream, of the deployment `job_id`."""

    project_id: str
    plan_id: str
    component_id: str | None
    component_name: str
    batch: int | None
    rollback_job_id: str
    job_id: str | None
    started_ms: int
    ended_ms: int
    status: str
    message: str | None
    shown_from_ms: int
    shown_until_ms: int | None = None


class PlanRecord:
    """A plan's edits, in any order of time, and what truly happened; `states` folds the edits into a line."""

    def __init__(self, start: PlanState) -> None:
        """Begin with the plan as it was created."""
        self.start = start
        self.slots = list(start.slots)  # as last edited; for the play to look at
        self.attempts: list[Attempt] = []
        self.rollbacks: list[Rollback] = []
        self._edits: list[tuple[int, int | None, dict[str, Any]]] = []
        self._shown_attempt: dict[int, int] = {}
        self._shown_rollback: dict[int, int] = {}

    def plan(self, at_ms: int, **changes: Any) -> None:
        """Change fields of the plan at an instant."""
        self._edits.append((at_ms, None, changes))

    def slot(self, at_ms: int, key: int, **changes: Any) -> None:
        """Change fields of one component at an instant."""
        self._edits.append((at_ms, key, changes))
        self.slots[key] = replace(self.slots[key], **changes)

    def add_attempt(self, key: int, **facts: Any) -> None:
        """Note an attempt; it replaces what was shown of the component before, a rollback included."""
        self._hide(key, facts["shown_from_ms"])
        self._shown_attempt[key] = len(self.attempts)
        self.attempts.append(Attempt(**self._whose(key), **facts))

    def add_rollback(self, key: int, **facts: Any) -> None:
        """Note a rollback of the job shown."""
        self._hide_rollback(key, facts["shown_from_ms"])
        self._shown_rollback[key] = len(self.rollbacks)
        self.rollbacks.append(Rollback(**self._whose(key), **facts))

    def delete(self, at_ms: int) -> None:
        """Delete the plan; nothing of it is shown any more."""
        self.plan(at_ms, is_deleted=True)
        for key in range(len(self.slots)):
            self._hide(key, at_ms)

    def states(self) -> Iterator[PlanState]:
        """Yield the plan's states, each with a later instant than the one before."""
        state, slots = self.start, list(self.start.slots)
        edits = sorted(self._edits, key=lambda edit: edit[0])
        for place, (at_ms, key, changes) in enumerate(edits):
            if at_ms > state.valid_from_ms:
                yield replace(state, slots=tuple(slots))
                state = replace(state, valid_from_ms=at_ms)
            if key is None:
                state = replace(state, **changes)
                if state.is_deleted and place < len(edits) - 1:
                    raise AssertionError(f"plan {state.plan_id} moves after it was deleted")
            else:
                slots[key] = replace(slots[key], **changes)
        yield replace(state, slots=tuple(slots))

    def _whose(self, key: int) -> dict[str, Any]:
        slot = self.slots[key]
        return {
            "project_id": self.start.project_id,
            "plan_id": self.start.plan_id,
            "component_id": slot.component_id,
            "component_name": slot.name,
            "batch": None if self.start.has_named_batches else slot.batch,
        }

    def _hide(self, key: int, at_ms: int) -> None:
        shown = self._shown_attempt.pop(key, None)
        if shown is not None:
            self.attempts[shown] = replace(self.attempts[shown], shown_until_ms=at_ms)
        self._hide_rollback(key, at_ms)

    def _hide_rollback(self, key: int, at_ms: int) -> None:
        shown = self._shown_rollback.pop(key, None)
        if shown is not None:
            self.rollbacks[shown] = replace(self.rollbacks[shown], shown_until_ms=at_ms)
