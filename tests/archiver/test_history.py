"""How a plan's past grows by one observation: settling, tombstones, status changes, times of sight."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from archiver.api.payloads import ComponentItem, DeployInfo, PlanItem
from archiver.history import PlanHistory, Sighting
from archiver.mapping import epoch_ms

DAYS = [datetime(2026, 11, 1, 2, 15, tzinfo=UTC) + timedelta(days=day) for day in range(10)]
SETTLED = ("SUCCESS", "FAILED", "PARTIALLY_FAILED", "ABORTED", "ROLLBACK_SUCCEED", "ROLLBACK_FAILED")
UNSETTLED = ("CREATED", "RUNNING", "TOGGLING", "ABORTING", "ROLLBACKING", "NEVER_HEARD_OF", None)


def sighting(day):
    return Sighting(f"snapshot {day}", f"hash {day}", DAYS[day], f"run {day}")


class Story:
    """A plan's history told by days."""

    def __init__(self):
        self.history = PlanHistory("project", "plan")

    def lists(self, day, status, **times):
        self.history.see_item(PlanItem(id="plan", status=status, **times), sighting(day))
        return self

    def shows(self, day, *components):
        self.history.see_deploy_info(DeployInfo(list(components)), sighting(day))
        return self

    def is_gone(self, day):
        self.history.see_gone(DAYS[day], f"run {day}")
        return self

    def changes(self, subject):
        rows = [row for row in self.history.changes if row["subject"] == subject]
        return [(DAYS.index(row["observed_at"]), row["old_status"], row["new_status"]) for row in rows]

    def settled_on(self):
        at = self.history.plan["settled_at"]
        return None if at is None else DAYS.index(at)

    def places(self):
        return {
            (row["component_id"], row["batch"]): None if row["gone_at"] is None else DAYS.index(row["gone_at"])
            for row in self.history.components.values()
        }


def part(component_id="c", **fields):
    return ComponentItem(**{"id": component_id, "seq": 1, **fields})


@pytest.mark.parametrize(("old", "new"), list(permutations((*SETTLED, *UNSETTLED), 2)))
def test_a_plan_that_goes_from_a_status_to_another_settles_anew_or_not_at_all(old, new):
    story = Story().lists(0, old).lists(1, new)

    first = [] if old is None else [(0, None, old)]
    assert story.changes("plan") == [*first, (1, old, new)]
    assert story.settled_on() == (1 if new in SETTLED else None)


@pytest.mark.parametrize("status", SETTLED)
def test_a_list_item_that_changes_otherwise_does_not_settle_anew(status):
    story = Story().lists(0, status).lists(1, status, modify_time=epoch_ms(DAYS[1]))

    assert story.settled_on() == 0
    assert story.changes("plan") == [(0, None, status)]
    assert story.history.plan["last_seen_at"] == DAYS[1]


def test_the_first_body_of_a_settled_plan_does_not_settle_it_anew():
    story = Story().lists(0, "SUCCESS").shows(1, part(job_id="J", job_status="SUCCEEDED"))

    assert story.settled_on() == 0


@pytest.mark.parametrize(
    ("later", "settled_on"),
    [
        *(({"job_id": "J", "job_status": "FAILED"}, 2), ({"job_id": "K", "job_status": "SUCCEEDED"}, 2)),
        *(({"job_id": "J", "job_status": "SUCCEEDED", "fail_message": "late"}, 2),),
        *(({"job_id": "J", "job_status": "SUCCEEDED", "rollback_job_id": "R"}, 2),),
        # The component's own row is neither an attempt nor a rollback.
        *(({"job_id": "J", "job_status": "SUCCEEDED", "name": "new"}, 0),),
        *(({"job_id": "J", "job_status": "SUCCEEDED", "status": "FAILED"}, 0),),
    ],
)
def test_a_later_body_settles_a_plan_anew_when_an_attempt_or_a_rollback_changed(later, settled_on):
    story = Story().lists(0, "SUCCESS").shows(0, part(job_id="J", job_status="SUCCEEDED")).shows(2, part(**later))

    assert story.settled_on() == settled_on


def test_a_body_of_an_unsettled_plan_settles_nothing():
    story = Story().lists(0, "RUNNING").shows(0, part()).shows(1, part(job_id="J"))

    assert story.settled_on() is None


def test_the_window_of_a_plan_settled_when_first_seen_counts_from_its_own_latest_time():
    created, modified = DAYS[0] - timedelta(days=90), DAYS[0] - timedelta(days=80)
    times = {"create_time": epoch_ms(created), "modify_time": epoch_ms(modified)}

    story = Story().lists(3, "SUCCESS", **times)

    assert story.settled_on() == 3
    assert story.history.plan["recheck_from_at"] == modified


def test_the_window_of_a_plan_whose_rollback_came_late_counts_from_then():
    times = {"create_time": epoch_ms(DAYS[0] - timedelta(days=90))}
    story = Story().lists(0, "SUCCESS", **times).shows(0, part(job_id="J"))

    story.shows(4, part(job_id="J", rollback_job_id="R"))

    assert story.history.plan["recheck_from_at"] == story.history.plan["settled_at"] == DAYS[4]


def test_a_plan_that_left_stays_and_loses_its_mark_when_it_is_back():
    story = Story().lists(0, "SUCCESS").is_gone(1)
    assert story.history.plan["gone_at"] == DAYS[1]

    story.lists(2, "SUCCESS")

    assert story.history.plan["gone_at"] is None
    assert story.changes("plan") == [(0, None, "SUCCESS"), (1, "SUCCESS", None), (2, None, "SUCCESS")]
    assert story.settled_on() == 0


def test_a_plan_that_is_gone_already_keeps_the_time_it_left():
    story = Story().lists(0, "SUCCESS").is_gone(1).is_gone(2)

    assert story.history.plan["gone_at"] == DAYS[1]
    assert story.changes("plan") == [(0, None, "SUCCESS"), (1, "SUCCESS", None)]


def test_a_plan_that_leaves_takes_no_component_with_it():
    assert Story().lists(0, "SUCCESS").shows(0, part()).is_gone(1).places() == {("c", 1): None}


@pytest.mark.parametrize(("old", "new"), list(permutations(("CREATED", "RUNNING", "SUCCESS", "ODD", None), 2)))
def test_a_component_notes_its_first_status_and_each_transition(old, new):
    story = Story().shows(0, part(status=old)).shows(1, part(status=new))

    first = [] if old is None else [(0, None, old)]
    assert story.changes("component") == [*first, (1, old, new)]


def test_a_component_that_leaves_and_comes_back_is_one_row():
    story = Story().shows(0, part(status="CREATED")).shows(1)
    assert story.places() == {("c", 1): 1}

    story.shows(2, part(status="CREATED"))

    assert story.places() == {("c", 1): None}
    assert story.changes("component") == [(0, None, "CREATED"), (1, "CREATED", None), (2, None, "CREATED")]
    (row,) = story.history.components.values()
    assert (row["first_seen_at"], row["last_seen_at"]) == (DAYS[0], DAYS[2])


def test_a_component_that_moves_to_another_batch_leaves_its_old_place():
    story = Story().shows(0, part(seq=1, status="CREATED")).shows(1, part(seq=2, status="CREATED"))

    assert story.places() == {("c", 1): 1, ("c", 2): None}
    assert story.changes("component") == [(0, None, "CREATED"), (1, "CREATED", None), (1, None, "CREATED")]


def test_of_a_component_twice_in_one_batch_the_last_entry_is_the_row():
    story = Story().shows(0, part(status="FAILED", version="1"), part(status="SUCCESS", version="2"))

    (row,) = story.history.components.values()
    assert (row["status"], row["version"]) == ("SUCCESS", "2")
    assert story.changes("component") == [(0, None, "SUCCESS")]


def test_a_replaced_job_has_no_leaving_row_and_neither_has_one_that_leaves_with_its_component():
    story = Story().shows(0, part(job_id="J", job_status="RUNNING")).shows(1, part(job_id="K", job_status="RUNNING"))

    story.shows(2)

    assert story.changes("job") == [(0, None, "RUNNING"), (1, None, "RUNNING")]


def test_a_rollbacks_changes_name_the_rollback():
    story = Story().shows(0, part(job_id="J", rollback_job_id="R", rollback_job_status="RUNNING"))

    story.shows(1, part(job_id="J", rollback_job_id="R", rollback_job_status="SUCCEEDED"))

    assert story.changes("rollback") == [(0, None, "RUNNING"), (1, "RUNNING", "SUCCEEDED")]
    assert {row["job_id"] for row in story.history.changes if row["subject"] == "rollback"} == {"R"}


def test_a_quiet_night_moves_only_the_times_of_what_the_current_body_shows():
    story = Story().lists(0, "SUCCESS").shows(0, part(job_id="J1"), part("left", job_id="L"))
    story.shows(1, part(job_id="J2"))

    story.history.see_again(DAYS[5])

    seen = {row["job_id"]: DAYS.index(row["last_seen_at"]) for row in story.history.attempts.rows()}
    assert seen == {"J1": 0, "L": 0, "J2": 5}
    places = {row["component_id"]: DAYS.index(row["last_seen_at"]) for row in story.history.components.values()}
    assert places == {"c": 5, "left": 0}
    assert (story.history.plan["last_seen_at"], story.history.plan["fetched_at"]) == (DAYS[5], DAYS[5])


def test_a_plan_seen_by_its_body_alone_has_no_status_and_is_not_settled():
    story = Story().shows(0, part(job_id="J"))

    assert (story.history.plan["status"], story.settled_on()) == (None, None)
    assert story.changes("plan") == []
