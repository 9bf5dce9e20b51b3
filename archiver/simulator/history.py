"""A believable release history of some weeks: what the upstream answered when, and what truly happened."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from archiver.simulator import fates
from archiver.simulator.cast import CREATORS, Part, Project, Train, build_cast
from archiver.simulator.dice import Deck, Dice
from archiver.simulator.fates import DAY_MS, HOUR_MS
from archiver.simulator.play import MINUTE_MS, Oddities, Play, Rules
from archiver.simulator.quirks import component, list_item
from archiver.simulator.states import Attempt, PlanRecord, PlanState, Rollback, Slot

WEEK_MS = 7 * DAY_MS
_SNAPSHOT_MS = 2 * HOUR_MS + 15 * MINUTE_MS  # the night's instant, UTC
_DAYS = (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 6)  # Monday to Thursday are busy
_ODDITIES = {"": 42, "no id": 3, "twice": 1, "unknown word": 2, "held": 2, "turned times": 1}


class State(NamedTuple):
    """What the upstream answers about a plan from an instant on; both None once it is deleted."""

    valid_from_ms: int
    list_item: dict[str, Any] | None
    deploy_info: dict[str, Any] | None


@dataclass(frozen=True)
class Timeline:
    """A plan's states in order of time; before the first it doesn't exist."""

    plan_id: str
    fail_strategy: str
    states: tuple[State, ...]

    @cached_property
    def _starts(self) -> list[int]:
        return [state.valid_from_ms for state in self.states]

    def index_at(self, instant_ms: int) -> int:
        """Find the state that holds at an instant; -1 before the plan's creation."""
        return bisect_right(self._starts, instant_ms) - 1


@dataclass(frozen=True, slots=True)
class Truth:
    """Every attempt and rollback that ever took place upstream."""

    attempts: tuple[Attempt, ...]
    rollbacks: tuple[Rollback, ...]


@dataclass(frozen=True)
class History:
    """Projects with their plans' timelines. Nothing begins at or after `ends_at`; what runs then ends."""

    starts_at: datetime
    ends_at: datetime
    timelines: dict[str, tuple[Timeline, ...]]
    _truth: Truth

    @property
    def project_ids(self) -> tuple[str, ...]:
        """List the projects."""
        return tuple(self.timelines)

    def truth(self) -> Truth:
        """Return what truly happened, for comparison with what an archive says."""
        return self._truth


def build_history(
    seed: int, *, ends_at: datetime, weeks: int = 8, projects: int = 2, plans_per_week: int = 52
) -> History:
    """Build the weeks before an aware instant.

    The same seed gives the same history; if `ends_at` is shifted by whole weeks (a release keeps its day of
    the week), all times move with it, and nothing else changes. `plans_per_week` is about how many plans all
    projects together release.
    """
    ends_at = ends_at.astimezone(UTC)
    ends_ms = (ends_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    timelines: dict[str, tuple[Timeline, ...]] = {}
    attempts: list[Attempt] = []
    rollbacks: list[Rollback] = []
    for index, project in enumerate(build_cast(seed, projects)):
        plans = []
        share = plans_per_week // projects + (index < plans_per_week % projects)
        for record in _Season(seed, index, project, ends_ms, weeks).records(share):
            plans.append(_timeline(record))
            attempts += record.attempts
            rollbacks += record.rollbacks
        timelines[project.project_id] = tuple(plans)
    return History(ends_at - timedelta(weeks=weeks), ends_at, timelines, Truth(tuple(attempts), tuple(rollbacks)))


class _Season:
    """One project's plans over the weeks."""

    def __init__(self, seed: int, index: int, project: Project, ends_ms: int, weeks: int) -> None:
        self._seed, self._index, self._project = seed, index, project
        self._starts_ms, self._ends_ms = ends_ms - weeks * WEEK_MS, ends_ms
        dice = Dice(seed, "decks", index)
        self._fates = Deck(dice, fates.FATES)
        self._moves = Deck(dice, fates.MOVES)
        self._oddities = Deck(dice, _ODDITIES)
        self._rules = Rules(
            ends_ms=ends_ms,
            worse_from_ms=ends_ms - 3 * WEEK_MS,
            failures=Deck(dice, fates.FAILURES),
            rollback_fails=Deck(dice, {True: 1, False: 6}),
            after_failure=Deck(dice, fates.AFTER_FAILURE),
        )
        self._builds: dict[str, int] = {}
        self._count = 0

    def records(self, plans_per_week: int) -> Iterator[PlanRecord]:
        """Yield a record for each plan, played to its end."""
        # Weeks of the rhythm begin on Mondays, whatever day the history ends on; day 4 of the epoch was one.
        monday_ms = self._starts_ms - (self._starts_ms - 4 * DAY_MS) % WEEK_MS
        for week in range((self._ends_ms - monday_ms + WEEK_MS - 1) // WEEK_MS):
            dice = Dice(self._seed, "week", self._index, week)
            for place in range(plans_per_week + dice.below(plans_per_week // 4 + 1) - plans_per_week // 8):
                fate = self._fates.draw()
                plan_dice = Dice(self._seed, "plan", self._index, week, place)
                at_ms = monday_ms + week * WEEK_MS + _time_in_week(plan_dice, fate)
                if self._starts_ms <= at_ms < self._ends_ms:
                    yield self._played(plan_dice, fate, at_ms)

    def _played(self, dice: Dice, fate: str, at_ms: int) -> PlanRecord:
        oddity = self._oddities.draw()
        lead_ms = dice.pick((6, 20, 90, 500, 1500)) * MINUTE_MS + dice.below(4 * MINUTE_MS)
        if fate in {"edited", "left", "withdrawn"}:  # long enough for a night to see the plan as it was
            lead_ms += DAY_MS
        self._count += 1
        train = dice.pick(self._project.trains)
        slots, parts = self._slots(dice, train, oddity, has_spare=fate == "edited")
        start = PlanState(
            valid_from_ms=at_ms - lead_ms,
            project_id=self._project.project_id,
            plan_id=dice.uuid(),
            name=f"release-{dice.hex(6)}" if dice.chance(300) else f"{train.name} {self._count}",
            action=dice.pick(("upgrade", "upgrade", "upgrade", "upgrade", "create", "clone")),
            creator=dice.pick(CREATORS),
            fail_strategy="continue" if dice.chance(350) else "stop",
            created_ms=at_ms - lead_ms,
            slots=tuple(slots),
            has_named_batches=self._index == 0 and self._count == 9,
        )
        odd = Oddities(fate == "retried", oddity == "unknown word", oddity == "held", oddity == "turned times")
        record = PlanRecord(start)
        fates.perform(Play(record, parts, dice, self._rules, odd), fate, at_ms, self._moves.draw())
        return record

    def _slots(self, dice: Dice, train: Train, oddity: str, *, has_spare: bool) -> tuple[list[Slot], list[Part]]:
        members = list(train.members)
        if oddity == "twice":
            members.append(members[0])
        if has_spare:
            riding = {part for part, _ in members}
            members.append((next(part for part in self._project.parts if part not in riding), members[-1][1]))
        slots = [
            Slot(key, part.component_id, part.name, batch, self._next_version(part))
            for key, (part, batch) in enumerate(members)
        ]
        if has_spare:
            slots[-1] = replace(slots[-1], is_present=False)
        if oddity == "no id":
            nameless = dice.below(len(train.members))
            slots[nameless] = replace(slots[nameless], component_id=None)
        return slots, [part for part, _ in members]

    def _next_version(self, part: Part) -> str:
        build = self._builds[part.component_id] = self._builds.get(part.component_id, 18000) + 1 + self._count % 4
        return f"{build // 7000}.{build % 40}.{build}"


def _time_in_week(dice: Dice, fate: str) -> int:
    if fate == "night":  # already under way when the snapshot is taken
        return dice.between(1, 4) * DAY_MS + _SNAPSHOT_MS - dice.between(4, 11) * 1000
    minute = 7 * 60 + (dice.below(600) + dice.below(600)) // 2  # working hours, most around noon
    return dice.pick(_DAYS) * DAY_MS + minute * MINUTE_MS + dice.below(MINUTE_MS)


def _timeline(record: PlanRecord) -> Timeline:
    plan_id = record.start.plan_id
    written: dict[Slot, dict[str, Any]] = {}  # most components are the same from one state to the next

    def item(state: PlanState, slot: Slot) -> dict[str, Any]:
        if slot not in written:
            written[slot] = component(state, slot)
        return written[slot]

    states = []
    shown: dict[str, Any] | None = None
    for state in record.states():
        if state.is_deleted:
            states.append(State(state.valid_from_ms, None, None))
            break
        fresh = list_item(state)
        shown = shown if shown == fresh else fresh
        components = [item(state, slot) for slot in state.slots if slot.is_present]
        states.append(State(state.valid_from_ms, shown, {"id": plan_id, "components": components}))
    return Timeline(plan_id, record.start.fail_strategy, tuple(states))
