"""The history: the same for one seed everywhere, full of what happens in life, and in agreement with its own truth."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from served_states import DAY_MS, all_components, all_items, all_plans, milliseconds, number

from archiver.simulator import Request, Simulator, build_history

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
# Of all bodies that seed 7 serves before this Monday: it changes only when the simulator tells another story.
PINNED_SHA256 = "af3e02cfd262b93a84e80acd95b662b75c9a7c80ba9e92014493372a085ce519"


def served(history):
    """Hash all bodies: each plan's in each of its states, and the lists of all nights."""
    digest = hashlib.sha256()
    now = [history.starts_at]
    simulator = Simulator(history, now=lambda: now[0])

    def take(project, rest=""):
        digest.update(simulator.handle(Request("GET", f"/v3/{project}/cas/release-plans{rest}")).body)

    for project, plan in all_plans(history):
        for state in plan.states:
            now[0] = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=state.valid_from_ms)
            take(project, f"/{plan.plan_id}/deploy-info")
    for night in range(56):
        now[0] = history.starts_at + timedelta(days=night, hours=2, minutes=15)
        for project in history.project_ids:
            take(project)
    return digest.hexdigest()


def written(history):
    """Write all states of all plans as text."""
    return json.dumps(
        {project: [[plan.plan_id, plan.states] for plan in plans] for project, plans in history.timelines.items()},
        ensure_ascii=False,
    )


def test_one_seed_tells_one_story_on_every_machine(history):
    assert served(history) == PINNED_SHA256


def test_another_seed_tells_another_story(history):
    other = build_history(8, ends_at=MONDAY, weeks=1)

    assert other.project_ids != history.project_ids


def test_an_end_three_weeks_later_moves_all_times_and_nothing_else():
    three_weeks_ms = 21 * DAY_MS
    sooner = build_history(7, ends_at=MONDAY, weeks=2)

    later = build_history(7, ends_at=MONDAY + timedelta(weeks=3), weeks=2)

    def moved(match):
        return str(int(match[0]) - three_weeks_ms)

    assert re.sub(r"\b1[789]\d{11}\b", moved, written(later)) == written(sooner)
    assert [a.job_id for a in later.truth().attempts] == [a.job_id for a in sooner.truth().attempts]
    assert sooner.truth().attempts


def test_a_history_may_end_on_any_day_and_keeps_to_its_weeks():
    ends_at = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)

    history = build_history(7, ends_at=ends_at, weeks=2, projects=3)

    executed = [number(item.get("execute_time")) for item in all_items(history)]
    released = [ms for ms in executed if ms]
    assert len(history.project_ids) == 3
    assert history.starts_at == ends_at - timedelta(weeks=2)
    assert min(released) >= milliseconds(history.starts_at)
    assert max(released) < milliseconds(ends_at)
    weekdays = Counter(datetime.fromtimestamp(ms / 1000, UTC).weekday() for ms in released)
    assert weekdays[1] > weekdays[5] + weekdays[6]


def test_volume_and_failure_rate_are_those_of_a_busy_team(history):
    attempts = history.truth().attempts
    weeks = defaultdict(Counter)
    for attempt in attempts:
        week = (attempt.shown_from_ms - milliseconds(history.starts_at)) // (7 * DAY_MS)
        weeks[week][attempt.status] += 1

    assert sorted(weeks) == list(range(8))
    assert all(300 <= sum(words.values()) <= 600 for words in weeks.values())
    assert 40 * 8 <= len(all_plans(history)) <= 70 * 8
    failed, succeeded = (sum(words[word] for words in weeks.values()) for word in ("FAILED", "SUCCEEDED"))
    assert 0.05 < failed / (failed + succeeded) < 0.09


def test_one_component_is_flaky_and_one_got_worse_in_the_last_three_weeks(history):
    late_ms = milliseconds(history.ends_at) - 21 * DAY_MS
    early, late = defaultdict(Counter), defaultdict(Counter)
    for attempt in history.truth().attempts:
        (late if attempt.shown_from_ms >= late_ms else early)[attempt.component_name][attempt.status] += 1

    def rate(words):
        return words["FAILED"] / max(1, words["FAILED"] + words["SUCCEEDED"])

    flaky = max(early, key=lambda name: rate(early[name]))
    worse = max(late, key=lambda name: rate(late[name]) - rate(early[name]))
    assert rate(early[flaky]) > 0.2
    assert rate(late[flaky]) > 0.15
    assert rate(late[worse]) > 0.2
    assert rate(early[worse]) < 0.1


def test_batches_run_one_after_the_other_and_their_components_together(history):
    spans = defaultdict(dict)
    for attempt in history.truth().attempts:
        is_first = attempt.batch and attempt.started_ms and attempt.job_id and attempt.ended_ms > attempt.started_ms
        place = (attempt.plan_id, attempt.component_id or attempt.component_name)
        if is_first and place not in spans:
            spans[attempt.plan_id, attempt.batch].setdefault(place, (attempt.started_ms, attempt.ended_ms))
    together = [max(s for s, _ in batch.values()) < min(e for _, e in batch.values()) for batch in spans.values()]
    orderly = [
        max(e for _, e in batch.values()) < min(s for s, _ in spans[plan_id, number + 1].values())
        for (plan_id, number), batch in spans.items()
        if (plan_id, number + 1) in spans
    ]

    assert sum(together) / len(together) > 0.95  # a job that was redeployed first shows its first attempt only
    assert len(orderly) > 300
    assert sum(orderly) / len(orderly) > 0.95


def test_every_quirk_of_writing_occurs(history):
    items, components = all_items(history), all_components(history)
    messages = " ".join(a.message for a in history.truth().attempts if a.message)

    def ways(entries, field):
        return {repr(entry.get(field, "absent")) for entry in entries}

    def kinds(entries, field):
        return {type(entry[field]) for entry in entries if number(entry.get(field))}

    nothing = {"None", "''", "0", "'0'", "'absent'"}
    assert kinds(items, "create_time") == {int, str}
    assert ways(items, "execute_time") >= nothing
    assert ways(items, "modify_time") >= {"0", "'absent'"}
    assert {word for entry in items for word in [entry["action"]]} >= {"upgrade", "UPGRADE", "Upgrade", "Create"}
    assert ways(items, "creator") >= {"None", "'absent'", "'张伟'"}
    assert ways(items, "status") >= {"'WAITING_APPROVAL'"}
    for field in ("start_time", "end_time", "rollback_start_time", "rollback_end_time"):
        assert kinds(components, field) == {int, str}
        assert ways(components, field) >= nothing
    for field in ("job_id", "rollback_job_id", "fail_message", "rollback_job_status"):
        assert ways(components, field) >= {"None", "''", "'absent'"}
    assert ways(components, "id") >= {"None", "'absent'"}
    assert ways(components, "job_status") >= {"'TIMED_OUT'", "'SUBMITTED'", "'SCHEDULED'", "'CANCELLED'"}
    assert ways(components, "seq") >= {"1", "'1'", "4", "'canary'"}
    assert any("cluster" in component for component in components)
    assert any("labels" in item for item in items)
    assert all(text in messages for text in ('"', "<", "|", "\n", "失败", "\U0001f525", "</script>", "=HYPERLINK"))


def test_one_plan_has_batches_that_are_no_numbers(history):
    named = {
        plan.plan_id
        for _, plan in all_plans(history)
        if not str(plan.states[0].deploy_info["components"][0]["seq"]).isdecimal()
    }

    assert len(named) == 1
    assert {a.plan_id for a in history.truth().attempts if a.batch is None} == named


def test_odd_components_and_times_occur(history):
    doubled = 0
    for _, plan in all_plans(history):
        places = [(c.get("id"), str(c["seq"])) for c in plan.states[0].deploy_info["components"] if c.get("id")]
        doubled += len(places) != len(set(places))
    attempts = history.truth().attempts

    assert doubled >= 3
    assert sum(a.started_ms is not None and a.ended_ms < a.started_ms for a in attempts) >= 3
    assert sum(a.started_ms is None and a.status == "FAILED" for a in attempts) >= 3
    assert sum(a.job_id is None for a in attempts) >= 1
    assert sum(a.component_id is None for a in attempts) >= 10


def test_the_truth_is_what_the_states_showed_and_nothing_else(history):
    shown, last_shown = shown_attempts(history)
    truth = {(a.plan_id, a.component_name, a.batch, a.job_id or a.started_ms): a for a in history.truth().attempts}

    assert len(truth) == len(history.truth().attempts)
    assert shown.keys() == truth.keys()
    for key, attempt in truth.items():
        component = last_shown[key]
        assert number(component.get("start_time")) == attempt.started_ms
        assert number(component.get("end_time")) == attempt.ended_ms
        assert component["job_status"] == attempt.status
        assert component["version"] == attempt.version
        assert (component.get("fail_message") or None) == attempt.message
        assert shown[key] == (attempt.shown_from_ms, attempt.shown_until_ms)


def shown_attempts(history):
    """Read from the served states alone from when until when each attempt was shown, and how it was shown last."""
    shown, last_shown = {}, {}
    for _, plan in all_plans(history):
        open_keys = {}
        for state in plan.states:
            keys = {}
            for place, item in enumerate(state.deploy_info["components"] if state.deploy_info else []):
                job, started_ms = item.get("job_id") or None, number(item.get("start_time"))
                if not job and not started_ms:
                    continue
                batch = int(item["seq"]) if str(item["seq"]).isdecimal() else None
                key = (plan.plan_id, item["name"], batch, job or started_ms)
                # A job that got its name after it had begun is the one that had begun.
                nameless = (plan.plan_id, item["name"], batch, started_ms)
                if job and nameless in shown and open_keys.get(place) == nameless:
                    shown[key] = shown.pop(nameless)
                shown.setdefault(key, (state.valid_from_ms, None))
                last_shown[key] = item
                keys[place] = key
            for place, key in open_keys.items():
                if keys.get(place) != key and key in shown:
                    shown[key] = (shown[key][0], state.valid_from_ms)
            open_keys = keys
    return shown, {key: last_shown[key] for key in shown}


def test_each_true_rollback_was_shown_with_its_times_beside_its_job(history):
    last_shown = {}
    for _, plan in all_plans(history):
        for state in plan.states:
            for item in state.deploy_info["components"] if state.deploy_info else []:
                if item.get("rollback_job_id"):
                    last_shown[plan.plan_id, item["rollback_job_id"]] = item
    rollbacks = history.truth().rollbacks

    assert {(r.plan_id, r.rollback_job_id) for r in rollbacks} == last_shown.keys()
    for rollback in rollbacks:
        item = last_shown[rollback.plan_id, rollback.rollback_job_id]
        assert (item.get("job_id") or None) == rollback.job_id
        assert number(item["rollback_start_time"]) == rollback.started_ms
        assert number(item["rollback_end_time"]) == rollback.ended_ms
        assert item["rollback_job_status"] == rollback.status
        assert (item.get("rollback_fail_message") or None) == rollback.message


def test_states_follow_the_documented_shape(history):
    item_fields = {"id", "name", "action", "status", "creator", "create_time", "modify_time", "execute_time"}
    component_fields = {
        *("id", "name", "seq", "version", "status", "job_id", "job_status", "start_time", "end_time"),
        *("fail_message", "rollback_job_id", "rollback_job_status", "rollback_start_time", "rollback_end_time"),
        "rollback_fail_message",
    }

    assert {field for item in all_items(history) for field in item} == item_fields | {"labels"}
    assert {field for c in all_components(history) for field in c} == component_fields | {"cluster"}
    for _, plan in all_plans(history):
        instants = [state.valid_from_ms for state in plan.states]
        assert instants == sorted(set(instants))
        assert all(s.deploy_info["id"] == plan.plan_id for s in plan.states if s.deploy_info)


def test_no_act_begins_after_the_end(history):
    ends_ms = milliseconds(history.ends_at)
    truth = history.truth()
    begun = [ms for item in all_items(history) for ms in [number(item.get("execute_time"))] if ms]

    assert max(begun) < ends_ms
    assert max(a.ended_ms for a in truth.attempts) < ends_ms + DAY_MS // 4
    assert len({a.job_id for a in truth.attempts if a.job_id}) == sum(a.job_id is not None for a in truth.attempts)
