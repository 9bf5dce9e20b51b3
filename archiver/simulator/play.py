"""How a plan is released: batch after batch, jobs in parallel, failures, aborts and rollbacks."""

from collections.abc import Sequence
from dataclasses import dataclass

from archiver.simulator.cast import Part
from archiver.simulator.dice import Deck, Dice
from archiver.simulator.messages import deploy_failure, rollback_failure
from archiver.simulator.states import PlanRecord

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all plays of a project."""

    ends_ms: int  # nothing begins from here on
    worse_from_ms: int
    failures: Deck[str]  # the forms a failure takes
    rollback_fails: Deck[bool]
    after_failure: Deck[str]


@dataclass(slots=True)
class Oddities:
    """What is strange about one plan; each is used up by its first use."""

    must_fail: bool = False
    has_unknown_word: bool = False  # one job ends with a word that no document lists
    is_held: bool = False  # someone has to approve the next batch
    has_turned_times: bool = False  # one attempt ends before it starts


class Play:
    """One plan on the stage: acts write edits and truths into its record."""

    def __init__(self, record: PlanRecord, parts: Sequence[Part], dice: Dice, rules: Rules, oddities: Oddities) -> None:
        """Set the stage; `parts` go with the record's slots."""
        self.record = record
        self.parts = list(parts)
        self.dice = dice
        self.rules = rules
        self.odd = oddities
        self.tried: set[int] = set()
        self.succeeded: set[int] = set()

    @property
    def is_whole(self) -> bool:
        """Whether every component of the plan has been deployed."""
        return self.succeeded >= set(self.present())

    def present(self) -> list[int]:
        """List the components that are in the plan."""
        return [slot.key for slot in self.record.slots if slot.is_present]

    def release(self, at_ms: int, keys: Sequence[int], abort_at_ms: int | None = None) -> int:
        """Deploy components, batch after batch; return when it was over."""
        record, dice = self.record, self.dice
        stop_at_failure = record.start.fail_strategy == "stop"
        record.plan(at_ms, status="RUNNING", executed_ms=at_ms, modified_ms=at_ms)
        batches = sorted({record.slots[key].batch for key in keys})
        over_ms = at_ms
        for batch in batches:
            members = [key for key in keys if record.slots[key].batch == batch]
            over_ms = max(self._deploy(key, over_ms + dice.between(200, 1800), abort_at_ms) for key in members)
            over_ms += dice.between(400, 4000)
            if abort_at_ms is not None and over_ms > abort_at_ms:
                record.plan(abort_at_ms, status="ABORTING")
                record.plan(over_ms, status="ABORTED", modified_ms=over_ms)
                return over_ms
            if stop_at_failure and not self.succeeded >= set(members):
                break
            if batch != batches[-1]:
                over_ms = self._pause(over_ms)
        if self.is_whole:
            status = "SUCCESS"
        elif stop_at_failure or not self.succeeded:
            status = "FAILED"
        else:
            status = "PARTIALLY_FAILED"
        record.plan(over_ms, status=status, modified_ms=over_ms)
        return over_ms

    def roll_back(self, at_ms: int, keys: Sequence[int], moves: str, *, may_fail: bool = True) -> tuple[int, bool]:
        """Roll components back; return when it was over and whether it worked.

        `moves` says what the list shows of it: `all`, `status` (modify_time stands still) or `nothing`.
        """
        record, dice = self.record, self.dice
        if moves != "nothing":
            record.plan(at_ms, status="ROLLBACKING")
        fails = may_fail and self.rules.rollback_fails.draw()
        over_ms = at_ms
        for key in keys:
            over_ms = max(over_ms, self._undo(key, at_ms + dice.between(0, 900), fails=fails and key == keys[-1]))
        over_ms += dice.between(300, 3000)
        if moves != "nothing":
            record.plan(over_ms, status="ROLLBACK_FAILED" if fails else "ROLLBACK_SUCCEED")
        if moves == "all":
            record.plan(over_ms, modified_ms=over_ms)
        self.succeeded -= set(keys)
        return over_ms, not fails

    def _pause(self, at_ms: int) -> int:
        """Between two batches traffic is moved over at times, and once in a while someone waits."""
        dice, record = self.dice, self.record
        if self.odd.is_held:
            self.odd.is_held = False
            until_ms = at_ms + dice.between(2, 40) * MINUTE_MS
            record.plan(at_ms, status="WAITING_APPROVAL")
        elif dice.chance(120):
            until_ms = at_ms + dice.between(5, 90) * 1000
            record.plan(at_ms, status="TOGGLING")
        else:
            return at_ms
        record.plan(until_ms, status="RUNNING")
        return until_ms

    def _deploy(self, key: int, at_ms: int, abort_at_ms: int | None) -> int:
        """Deploy one component once; return when it was over."""
        if abort_at_ms is not None and at_ms >= abort_at_ms:
            return abort_at_ms + 1
        dice, part, slot = self.dice, self.parts[key], self.record.slots[key]
        is_late = at_ms >= self.rules.worse_from_ms
        fails = dice.chance(part.late_fail_permille if is_late else part.fail_permille) or self.odd.must_fail
        form = self.rules.failures.draw() if fails else ""
        started_ms = at_ms + dice.between(300, 2800)
        ended_ms = started_ms + dice.spread(part.typical_ms)
        version = slot.version
        if key in self.tried and dice.chance(300):  # a redeployment with a mended version
            head, _, build = version.rpartition(".")
            version = f"{head}.{int(build) + 1}"
        status, job_status, message = ("FAILED", "FAILED", deploy_failure(dice, part.name)) if fails else (
            "SUCCESS", "SUCCEEDED", None,
        )  # fmt: skip
        if abort_at_ms is not None and ended_ms > abort_at_ms:
            ended_ms = max(started_ms, abort_at_ms) + dice.between(800, 5000)
            status, job_status, message, form = "ABORTED", "CANCELLED", None, ""
        elif not fails and self.odd.has_unknown_word and key not in self.tried:
            job_status, self.odd.has_unknown_word = "TIMED_OUT", False
        if form == "early":
            started_ms = ended_ms = at_ms
        self.odd.must_fail = False
        self.tried.add(key)
        if status == "SUCCESS":
            self.succeeded.add(key)
        else:
            self.succeeded.discard(key)
        self._show(key, at_ms, started_ms, ended_ms, form, version, status, job_status, message)
        return ended_ms

    def _show(
        self,
        key: int,
        at_ms: int,
        started_ms: int,
        ended_ms: int,
        form: str,
        version: str,
        status: str,
        job_status: str,
        message: str | None,
    ) -> None:
        dice, record = self.dice, self.record
        job_id = None if form == "no job" else "JOB" + dice.uuid()
        shown_start = None if form == "early" else started_ms
        shown_end = ended_ms
        if self.odd.has_turned_times and form == "":
            shown_end, self.odd.has_turned_times = started_ms - dice.between(1, 40_000), False
        fresh = {
            "version": version,
            "status": "RUNNING",
            "started_ms": None,
            "ended_ms": None,
            "fail_message": None,
            "rollback_job_id": None,
            "rollback_job_status": None,
            "rollback_started_ms": None,
            "rollback_ended_ms": None,
            "rollback_fail_message": None,
        }
        # Most jobs queue before they start; some components run for a moment before their job has a name.
        if form == "early":
            record.slot(at_ms, key, **fresh)
        elif dice.chance(100) or job_id is None:
            record.slot(started_ms, key, **fresh | {"job_id": None, "job_status": None, "started_ms": started_ms})
            record.slot(started_ms + 150, key, job_id=job_id, job_status="RUNNING")
            at_ms = started_ms
        else:
            queued = dice.pick(("CREATED", "SUBMITTED", "SCHEDULED"))
            record.slot(at_ms, key, **fresh | {"job_id": job_id, "job_status": queued})
            record.slot(started_ms, key, job_status="RUNNING", started_ms=started_ms)
        done = {"job_id": job_id, "job_status": job_status, "ended_ms": shown_end, "fail_message": message}
        # The job is over a moment before its component is, at times (as in the vendor's example).
        lag_ms = dice.between(200, 390) if dice.chance(300) else 0
        record.slot(ended_ms, key, **done if lag_ms else done | {"status": status})
        if lag_ms:
            record.slot(ended_ms + lag_ms, key, status=status)
        record.add_attempt(
            key,
            job_id=job_id,
            started_ms=shown_start,
            ended_ms=shown_end,
            status=job_status,
            version=version,
            message=message,
            shown_from_ms=at_ms,
        )

    def _undo(self, key: int, at_ms: int, *, fails: bool) -> int:
        """Roll one component back; return when it was over."""
        dice, part, record = self.dice, self.parts[key], self.record
        job_id = "JOB" + dice.uuid()
        started_ms = at_ms + dice.between(200, 1500)
        ended_ms = started_ms + dice.spread(part.typical_ms) // 2
        message = rollback_failure(dice, part.name) if fails else None
        job_status = "FAILED" if fails else dice.pick(("SUCCEEDED", "SUCCEEDED", "ROLLBACKED"))
        record.slot(
            started_ms,
            key,
            status="ROLLBACKING",
            rollback_job_id=job_id,
            rollback_job_status="RUNNING",
            rollback_started_ms=started_ms,
            rollback_ended_ms=None,
            rollback_fail_message=None,
        )
        record.slot(
            ended_ms,
            key,
            status="ROLLBACK_FAILED" if fails else "ROLLBACK_SUCCEED",
            rollback_job_status=job_status,
            rollback_ended_ms=ended_ms,
            rollback_fail_message=message,
        )
        record.add_rollback(
            key,
            rollback_job_id=job_id,
            job_id=record.slots[key].job_id,
            started_ms=started_ms,
            ended_ms=ended_ms,
            status=job_status,
            message=message,
            shown_from_ms=started_ms,
        )
        return ended_ms
