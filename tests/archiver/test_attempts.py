"""Which deployment or rollback an entry speaks of, while upstream overwrites them."""

from datetime import UTC, datetime, timedelta

import pytest

from archiver.api.payloads import ComponentItem, DeployInfo
from archiver.history import PlanHistory, Sighting

DAY_ONE = datetime(2026, 11, 2, 2, 15, tzinfo=UTC)
T1, T2 = 1_762_000_000_000, 1_762_000_600_000


def entry(**fields):
    return ComponentItem(**{"id": "c", "seq": 1, **fields})


def folded(*bodies):
    """Fold bodies, one a day, into a plan's history."""
    history = PlanHistory("project", "plan")
    for number, body in enumerate(bodies):
        components = list(body) if isinstance(body, tuple) else [body]
        sighting = Sighting(f"snapshot {number}", f"hash {number}", DAY_ONE + timedelta(days=number), f"run {number}")
        history.see_deploy_info(DeployInfo(components), sighting)
    return history


def attempts_of(*bodies, show=("job_id", "outcome")):
    return [tuple(row[name] for name in show) for row in folded(*bodies).attempts.rows()]


def rollbacks_of(*bodies, show=("rollback_job_id", "outcome")):
    return [tuple(row[name] for name in show) for row in folded(*bodies).rollbacks.rows()]


def test_a_retried_component_keeps_its_first_attempt():
    history = folded(
        entry(job_id="J1", job_status="FAILED", start_time=T1, fail_message="no room"),
        entry(job_id="J2", job_status="SUCCEEDED", start_time=T2),
    )

    first, second = history.attempts.rows()
    assert (first["job_id"], first["outcome"], first["fail_message"], first["attempt"]) == (
        "J1",
        "failed",
        "no room",
        1,
    )
    assert (second["job_id"], second["outcome"], second["attempt"]) == ("J2", "succeeded", 2)
    assert (first["first_snapshot_id"], first["last_snapshot_id"]) == ("snapshot 0", "snapshot 0")
    assert first["last_seen_at"] == DAY_ONE


def test_an_attempt_that_was_replaced_before_its_end_was_seen_is_unknown_and_keeps_its_status():
    running = entry(job_id="J1", job_status="RUNNING", start_time=T1)

    found = attempts_of(running, entry(job_id="J2", job_status="RUNNING"), show=("job_id", "job_status", "outcome"))

    assert found == [("J1", "RUNNING", "unknown"), ("J2", "RUNNING", "running")]


def test_a_running_attempt_that_leaves_with_its_component_is_not_replaced():
    assert attempts_of(entry(job_id="J1", job_status="RUNNING"), entry(id="other")) == [("J1", "running")]


def test_a_running_attempt_that_its_component_no_longer_shows_is_unknown():
    assert attempts_of(entry(job_id="J1", job_status="RUNNING"), entry(status="CREATED")) == [("J1", "unknown")]


def test_an_attempt_that_is_shown_again_takes_its_outcome_again():
    first = entry(job_id="J1", job_status="RUNNING")

    found = attempts_of(first, entry(job_id="J2"), entry(job_id="J1", job_status="SUCCEEDED"))

    assert found == [("J1", "succeeded"), ("J2", "unknown")]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        # Without an id, the start is the identity.
        *(({"start_time": T1}, {"start_time": T1}, 1), ({"start_time": T1}, {"start_time": T2}, 2)),
        *(({"start_time": T1}, {"start_time": str(T1)}, 1), ({"job_id": "J", "start_time": T1}, {"start_time": T1}, 1)),
        # An id takes over a start of its own, or what was shown last if it has none; never another start.
        *(({"start_time": T1}, {"job_id": "J", "start_time": T1}, 1), ({"start_time": T1}, {"job_id": "J"}, 1)),
        *(({"start_time": T1}, {"job_id": "J", "start_time": T2}, 2), ({"status": "FAILED"}, {"job_id": "J"}, 1)),
        ({"status": "FAILED"}, {"job_id": "J", "start_time": T1}, 2),
        # Without either there is one open attempt.
        *(({"status": "FAILED"}, {"status": "ABORTED"}, 1), ({"status": "FAILED"}, {"start_time": T1}, 2)),
        # An id is an id, whatever the start; and in whatever batch.
        *(
            ({"job_id": "J", "start_time": T1}, {"job_id": "J", "start_time": T2}, 1),
            ({"job_id": "J"}, {"job_id": "K"}, 2),
        ),
        ({"job_id": "J", "seq": 1}, {"job_id": "J", "seq": 2}, 1),
    ],
)
def test_two_bodies_speak_of_one_attempt_or_of_two(before, after, expected):
    assert len(attempts_of(entry(**before), entry(**after))) == expected


def test_an_id_with_an_equal_start_takes_over_even_when_another_attempt_came_between():
    found = attempts_of(
        entry(start_time=T1), entry(job_id="K", start_time=T2), entry(job_id="J", start_time=T1), show=("job_id",)
    )

    assert sorted(found) == [("J",), ("K",)]


def test_an_id_without_start_leaves_alone_what_was_not_shown_last():
    found = attempts_of(entry(status="FAILED"), entry(status="CREATED"), entry(job_id="J"))

    assert found == [(None, "failed"), ("J", "unknown")]


def test_an_attempt_that_was_taken_over_keeps_its_key_and_its_first_sighting():
    bodies = (entry(status="FAILED"), entry(job_id="J", job_status="FAILED"))
    (before,), (after,) = (list(folded(*bodies[:count]).attempts.rows()) for count in (1, 2))

    assert after["attempt_key"] == before["attempt_key"]
    assert (after["first_seen_at"], after["first_snapshot_id"]) == (DAY_ONE, "snapshot 0")


def test_an_attempt_stays_in_the_batch_it_was_first_seen_in():
    assert attempts_of(entry(job_id="J", seq=1), entry(job_id="J", seq=2), show=("batch",)) == [(1,)]


def test_attempts_are_ranked_by_start_then_first_sighting_then_job_in_each_batch():
    shown = (
        entry(job_id="none", job_status="FAILED"),
        entry(job_id="late", start_time=T2),
        entry(job_id="b", start_time=T1),
        entry(job_id="a", start_time=T1),
        entry(job_id="elsewhere", start_time=T2, seq=2),
    )

    ranks = dict(attempts_of(shown, show=("job_id", "attempt")))

    assert ranks == {"a": 1, "b": 2, "late": 3, "none": 4, "elsewhere": 1}


def test_an_attempt_that_started_before_the_known_ones_moves_their_ranks():
    ranks = dict(
        attempts_of(
            entry(job_id="second", start_time=T2), entry(job_id="first", start_time=T1), show=("job_id", "attempt")
        )
    )

    assert ranks == {"first": 1, "second": 2}


def test_of_a_component_twice_in_a_body_both_jobs_are_kept():
    twice = (entry(job_id="J", job_status="FAILED"), entry(job_id="K", job_status="SUCCEEDED"))

    assert attempts_of(twice) == [("J", "failed"), ("K", "succeeded")]


def test_two_ids_that_appear_with_the_start_of_one_attempt_are_two_attempts():
    found = attempts_of(
        entry(start_time=T1), (entry(job_id="J", start_time=T1), entry(job_id="K", start_time=T1)), show=("job_id",)
    )

    assert found == [("J",), ("K",)]


@pytest.mark.parametrize("is_turned", [False, True])
def test_an_id_is_not_lost_beside_an_open_attempt_of_the_same_component(is_turned):
    pair = (entry(job_id="J"), entry(status="FAILED"))

    found = attempts_of(entry(status="FAILED"), pair[::-1] if is_turned else pair)

    assert sorted(found, key=str) == [("J", "unknown"), (None, "failed")]


def test_a_component_twice_in_a_body_with_a_start_alone_beside_a_job_is_two_attempts():
    twice = (entry(job_id="J", start_time=T1), entry(start_time=T2))

    assert attempts_of(twice, show=("job_id", "attempt")) == [("J", 1), (None, 2)]


def test_of_a_job_twice_in_a_body_the_last_entry_counts_and_is_one_transition():
    history = folded((entry(job_id="J", job_status="RUNNING"), entry(job_id="J", job_status="SUCCEEDED")))

    jobs = [(row["old_status"], row["new_status"]) for row in history.changes if row["subject"] == "job"]
    assert jobs == [(None, "SUCCEEDED")]
    assert [row["outcome"] for row in history.attempts.rows()] == ["succeeded"]


def test_components_do_not_share_attempts():
    assert len(attempts_of((entry(id="a", job_id="J"), entry(id="b", job_id="J")))) == 2


def test_a_rollback_keeps_the_job_first_seen_beside_it():
    found = rollbacks_of(
        entry(job_id="J1", rollback_job_id="R"),
        entry(job_id="J2", rollback_job_id="R"),
        show=("rollback_job_id", "job_id"),
    )

    assert found == [("R", "J1")]


def test_a_rollback_first_seen_without_a_job_takes_the_first_that_comes():
    bodies = [entry(job_id=job_id, rollback_job_id="R") for job_id in ("", "J1", "J2")]

    assert rollbacks_of(*bodies, show=("job_id",)) == [("J1",)]


def test_a_rollback_replaced_while_running_keeps_its_outcome():
    running = entry(job_id="J", rollback_job_id="R1", rollback_job_status="RUNNING")

    found = rollbacks_of(running, entry(job_id="J", rollback_job_id="R2", rollback_job_status="SUCCEEDED"))

    assert found == [("R1", "running"), ("R2", "succeeded")]


def test_a_rollback_that_shows_more_of_itself_night_after_night_is_one():
    found = rollbacks_of(
        entry(job_id="J", rollback_job_status="CREATED"),
        entry(job_id="J", rollback_job_status="RUNNING", rollback_start_time=T1),
        entry(job_id="J", rollback_job_status="SUCCEEDED", rollback_start_time=T1, rollback_job_id="R"),
    )

    assert found == [("R", "succeeded")]


def test_a_rollback_without_id_beside_another_job_is_another_rollback():
    found = rollbacks_of(
        entry(job_id="J1", rollback_job_status="FAILED", rollback_start_time=T1),
        entry(job_id="J2", rollback_job_id="R", rollback_job_status="RUNNING"),
    )

    assert found == [(None, "failed"), ("R", "running")]


def test_rollbacks_without_id_and_with_other_starts_are_two():
    bodies = [entry(job_id="J", rollback_job_status="FAILED", rollback_start_time=start) for start in (T1, T2)]

    assert len(rollbacks_of(*bodies)) == 2


def test_a_rollback_that_loses_its_start_while_it_is_the_latest_shown_is_no_second_one():
    found = rollbacks_of(
        entry(job_id="J", rollback_job_status="RUNNING", rollback_start_time=T1),
        entry(job_id="J", rollback_job_status="FAILED"),
    )

    assert found == [(None, "failed")]
