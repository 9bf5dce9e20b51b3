"""Generated upstream histories: what a run may see of some plans, night after night, odd values and all."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from model import Night

# Small pools, so that ids, starts and bodies meet again.
DAY_ONE = datetime(2026, 11, 2, 2, 15, tzinfo=UTC)
DAY_ONE_MS = int(DAY_ONE.timestamp() * 1000)
RELEASE_WORDS = (
    *("CREATED", "RUNNING", "TOGGLING", "SUCCESS", "FAILED", "PARTIALLY_FAILED", "ABORTING", "ABORTED"),
    *("ROLLBACKING", "ROLLBACK_SUCCEED", "ROLLBACK_FAILED"),
)
JOB_WORDS = (
    *("CREATED", "RUNNING", "SUCCEEDED", "FAILED", "SUBMITTED", "SCHEDULED", "CANCELLED", "PARTIALLY_FAILED"),
    *("ROLLBACKING", "ROLLBACKED", "UNKNOWN"),
)
NOTHING = (None, "", 0, "0")
STARTS = (DAY_ONE_MS - 5000, str(DAY_ONE_MS - 5000), DAY_ONE_MS + 36 * 3600_000)
ENDS = (DAY_ONE_MS - 1001, str(DAY_ONE_MS - 9000), DAY_ONE_MS + 60 * 3600_000, -5)
NO_TEXT = st.sampled_from((None, ""))
no_time = st.sampled_from(NOTHING)
statuses = NO_TEXT | st.sampled_from((*RELEASE_WORDS, "SOMETHING_NEW", "success"))
job_statuses = NO_TEXT | st.sampled_from((*JOB_WORDS, "odd"))
component = st.fixed_dictionaries(
    {
        "id": st.sampled_from(("a", "a", "a", "b", None)),
        "seq": st.sampled_from((1, 1, "1", 2, "first", 0, None, 2.5)),
        "status": statuses,
        "job_id": NO_TEXT | st.sampled_from(("J1", "J2", "J3")),
        "start_time": no_time | st.sampled_from(STARTS),
    },
    optional={
        "name": st.sampled_from(("n", "", 7)),
        "version": st.sampled_from(("1.0", 2, None)),
        "job_status": job_statuses,
        "end_time": no_time | st.sampled_from(ENDS),
        "fail_message": st.sampled_from((None, "", "no room", {"code": 1})),
        "rollback_job_id": NO_TEXT | st.sampled_from(("R1", "R2")),
        "rollback_job_status": job_statuses,
        "rollback_start_time": no_time | st.sampled_from(STARTS),
        "rollback_end_time": no_time | st.sampled_from(ENDS),
        "rollback_fail_message": st.sampled_from((None, "", "stuck")),
    },
)
# One component whose jobs show now this, now that of themselves.
shy_component = st.fixed_dictionaries(
    {
        "id": st.just("a"),
        "status": st.sampled_from(("FAILED", "CREATED")),
        "job_id": st.sampled_from((None, None, "J1", "J2")),
        "start_time": st.sampled_from((0, *STARTS)),
        "rollback_job_id": st.sampled_from((None, None, "R1")),
        "rollback_job_status": st.sampled_from((None, "FAILED")),
        "rollback_start_time": st.sampled_from((0, *STARTS)),
    }
)
bodies = (st.lists(component, max_size=3) | st.lists(shy_component, min_size=1, max_size=2)).map(
    lambda entries: {"components": entries}
)
items = st.fixed_dictionaries(
    {"status": statuses, "modify_time": no_time | st.sampled_from(ENDS)},
    optional={"name": st.sampled_from(("x", "", None)), "create_time": no_time | st.sampled_from(STARTS)},
)


@st.composite
def upstream_nights(draw, plan_ids=("p",)):
    """Draw some nights of plans that say one of a few things, vanish, answer 404, or fail to be fetched."""
    story = {}
    night_count = draw(st.integers(1, 7))
    for plan_id in plan_ids:
        some_items = draw(st.lists(items, min_size=1, max_size=3))
        some_bodies = draw(st.lists(bodies, min_size=1, max_size=4))
        answers = st.sampled_from([*some_bodies, *some_bodies, "missing", "failed"])
        asked = st.tuples(st.sampled_from(some_items), answers)
        story[plan_id] = draw(st.lists(asked | asked | asked | st.none(), min_size=night_count, max_size=night_count))
    nights = []
    for number in range(night_count):
        at = DAY_ONE + timedelta(days=number)
        night = Night(at, [], {})
        for plan_id, told in story.items():
            if told[number] is not None:
                item, body = told[number]
                night.items.append(item | {"id": plan_id})
                if body != "failed":
                    night.answers[plan_id] = (at + timedelta(seconds=1), None if body == "missing" else body)
        nights.append(night)
    return nights
