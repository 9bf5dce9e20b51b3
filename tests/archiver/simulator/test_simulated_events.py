"""What happens in the simulated weeks: every kind of event, told from the served states alone."""

from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from served_states import DAY_MS, all_plans, number

from archiver.simulator import build_history

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
SETTLED = {"SUCCESS", "FAILED", "PARTIALLY_FAILED", "ABORTED", "ROLLBACK_SUCCEED", "ROLLBACK_FAILED"}


@pytest.mark.parametrize("seed", [7, 1, 23])
def test_every_kind_of_event_takes_place_in_eight_weeks(seed):
    history = build_history(seed, ends_at=MONDAY)

    events = Counter()
    for _, plan in all_plans(history):
        shown = [state for state in plan.states if state.list_item]
        events.update(words_of(shown) | edits_of(shown) | nights_of(plan) | deletions_of(plan))
        events.update(redeployments_of(shown) | rollbacks_of(shown))
    rollbacks = Counter(rollback.status for rollback in history.truth().rollbacks)
    events["rollback failed"], events["rollback worked"] = rollbacks["FAILED"], rollbacks["SUCCEEDED"]

    least = {
        "edited: component in": 10,
        "edited: component out": 10,
        "edited: batch moved": 10,
        "left created": 3,
        "deleted before release": 2,
        "deleted after release": 5,
        "aborted": 5,
        "stopped, later batches untouched": 10,
        "went on after a failure": 10,
        "redeployed the same day": 20,
        "first attempt that no night saw": 15,
        "redeployed another day": 1,
        "rolled back at once": 10,
        "rolled back days later, all moved": 2,
        "rolled back days later, modify_time stood still": 2,
        "rolled back days later, the list stood still": 2,
        "rolled back again": 1,
        "redeployed after a rollback": 1,
        "under way at a night": 5,
        "toggling": 10,
        "held by an unknown word": 3,
        "rollback failed": 3,
        "rollback worked": 100,
    }
    assert {name: events[name] for name, count in least.items() if events[name] < count} == {}


def words_of(shown):
    """Tell what the statuses say."""
    names = {
        "TOGGLING": "toggling",
        "WAITING_APPROVAL": "held by an unknown word",
        "ABORTED": "aborted",
        "PARTIALLY_FAILED": "went on after a failure",
    }
    statuses = {state.list_item["status"] for state in shown}
    events = {names[status] for status in statuses if status in names}
    if statuses == {"CREATED"}:
        events.add("left created")
    if any(
        state.list_item["status"] == "FAILED" and "CREATED" in {c["status"] for c in state.deploy_info["components"]}
        for state in shown
    ):
        events.add("stopped, later batches untouched")
    return events


def edits_of(shown):
    """Tell how the plan was edited before its release."""
    events = set()
    created = [state for state in shown if state.list_item["status"] == "CREATED"]
    for before, after in pairwise(created):
        old = {item["name"]: str(item["seq"]) for item in before.deploy_info["components"]}
        new = {item["name"]: str(item["seq"]) for item in after.deploy_info["components"]}
        events |= {"edited: component in"} if new.keys() - old.keys() else set()
        events |= {"edited: component out"} if old.keys() - new.keys() else set()
        events |= {"edited: batch moved"} if any(old[name] != new[name] for name in old.keys() & new.keys()) else set()
    return events


def nights_of(plan):
    """Tell whether a nightly snapshot, at 02:15, fell into the release."""
    running = any(
        state.list_item
        and state.list_item["status"] == "RUNNING"
        and next_night(state.valid_from_ms) < after.valid_from_ms
        for state, after in pairwise(plan.states)
    )
    return {"under way at a night"} if running else set()


def deletions_of(plan):
    if plan.states[-1].list_item:
        return set()
    is_released = plan.states[-2].list_item["status"] != "CREATED"
    return {"deleted after release" if is_released else "deleted before release"}


def redeployments_of(shown):
    """Tell how jobs were replaced by later ones."""
    events = set()
    for places in changes_of(shown, "job_id").values():
        for (first_ms, before), (next_ms, after) in pairwise(places):
            same_day = first_ms // DAY_MS == next_ms // DAY_MS
            events.add("redeployed the same day" if same_day else "redeployed another day")
            events |= {"first attempt that no night saw"} if next_night(first_ms) > next_ms else set()
            rollback_job = last_of(shown, "rollback_job_id", after, before)
            events |= {"redeployed after a rollback"} if rollback_job else set()
    return events


def rollbacks_of(shown):
    """Tell how soon rollbacks came, and what the list showed of them."""
    events = set()
    for places in changes_of(shown, "rollback_job_id").values():
        jobs = [shown[index].deploy_info["components"][place].get("job_id") for _, (index, place) in places]
        events |= {"rolled back again"} if len(jobs) > len(set(jobs)) else set()
        for at_ms, (index, _) in places:
            events |= {kind_of_rollback(shown, index, at_ms)}
    return events


def changes_of(shown, field):
    """Find for each component the instants at which a field got a new value: {place: [(ms, (state, place))]}."""
    changes, last = defaultdict(list), {}
    for index, state in enumerate(shown):
        if state.list_item["status"] == "CREATED":
            continue  # places still move
        for place, item in enumerate(state.deploy_info["components"]):
            value = item.get(field)
            if value and last.get(place) != value:
                changes[place].append((state.valid_from_ms, (index, place)))
                last[place] = value
    return changes


def last_of(shown, field, after, before):
    """Return what a field held just before a change, if it had been set since the change before."""
    index, place = after
    return shown[index - 1].deploy_info["components"][place].get(field) if index > before[0] else None


def kind_of_rollback(shown, index, at_ms):
    settled = [state for state in shown[:index] if state.list_item["status"] in SETTLED]
    if at_ms - settled[-1].valid_from_ms < DAY_MS // 2:
        return "rolled back at once"
    before = settled[-1].list_item
    after = [state.list_item for state in shown[index:] if state.list_item["status"] in SETTLED][-1]
    if after == before:
        return "rolled back days later, the list stood still"
    if number(after.get("modify_time")) and after["modify_time"] != before["modify_time"]:
        return "rolled back days later, all moved"
    return "rolled back days later, modify_time stood still"


def next_night(instant_ms):
    quarter_past_two_ms = (2 * 60 + 15) * 60_000
    return (instant_ms - quarter_past_two_ms) // DAY_MS * DAY_MS + DAY_MS + quarter_past_two_ms
