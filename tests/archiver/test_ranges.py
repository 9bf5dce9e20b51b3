"""Ranges of sight: the same in whatever order their observations are told, and told again as each import left them."""

from datetime import UTC, datetime, timedelta
from itertools import groupby

from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.ranges import as_told_by, overlaps, place, snapshot_key

START = datetime(2026, 11, 1, tzinfo=UTC)
HOURS, BODIES = 8, "ABC"
LATEST = START + timedelta(days=30)


def observed(hour, body, number=0):
    at = START + timedelta(hours=hour)
    row = {
        "project_id": "pr",
        "plan_id": "p",
        "kind": "deploy_info",
        "captured_at": at,
        "last_captured_at": at,
        "recorded_at": START + timedelta(days=1 + number),
        "gone_at": None,
        "gone_run_id": None,
        "canonical_sha256": body,
        "body": b"",
        "run_id": f"run-{number}",
    }
    return {"snapshot_id": snapshot_key(row), "snapshot_key": snapshot_key(row)} | row


def told(row):
    ends = (row["captured_at"], row["last_captured_at"])
    return (row["snapshot_id"], row["canonical_sha256"], *[(at - START) / timedelta(hours=1) for at in ends])


def ranges(rows):
    return sorted(map(told, rows), key=lambda one: (one[2], one[0]))


def by_hand(observations):
    """Sort what was observed, and put equal neighbours together."""
    ordered = sorted({(hour, observed(hour, body)["snapshot_id"], body) for hour, body in observations})
    found = []
    for body, group in groupby(ordered, key=lambda one: one[2]):
        hours = list(group)
        found.append((hours[0][1], body, hours[0][0], hours[-1][0]))
    return found


observations = st.lists(st.tuples(st.integers(0, HOURS), st.sampled_from(BODIES)), max_size=10)


@given(observations, st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_any_order_comes_to_the_same_ranges(told_bodies, random):
    shuffled = random.sample(told_bodies, len(told_bodies))
    rows, sights = [], {}

    for number, (hour, body) in enumerate(shuffled + shuffled[:3]):
        place(rows, observed(hour, body, number), sights)

    assert ranges(rows) == by_hand(told_bodies)
    assert list(overlaps(rows)) == []


@given(observations)
@settings(max_examples=150)
def test_what_each_import_left_is_told_again_after_those_that_came_later(told_bodies):
    rows, sights = [], {}
    left = []
    for number, (hour, body) in enumerate(told_bodies):
        place(rows, observed(hour, body, number), sights)
        left.append(ranges(rows))

    for number, then in enumerate(left):
        runs = {f"run-{earlier}" for earlier in range(number + 1)}
        assert ranges(as_told_by(rows, sights.values(), runs, LATEST)) == then


def test_a_range_of_nights_that_an_import_lengthens_or_parts_is_told_again_as_it_was():
    night = observed(2, "A", -1) | {"last_captured_at": START + timedelta(hours=6), "run_id": "night"}
    rows, sights = [night], {}
    before = ranges(rows)
    for number, (hour, body) in enumerate([(1, "A"), (7, "A"), (4, "B"), (0, "A")]):
        place(rows, observed(hour, body, number), sights)

    known = as_told_by(rows, sights.values(), {"night"}, LATEST)

    assert [one[1:] for one in ranges(rows)] == [("A", 0, 2), ("B", 4, 4), ("A", 6, 7)]
    assert ranges(known) == before
    assert [row["run_id"] for row in known] == ["night"]
    assert [one[1:] for one in ranges(as_told_by(rows, sights.values(), {"night"}, START + timedelta(hours=3)))] == [
        ("A", 2, 2)
    ]


def test_a_range_that_begins_before_another_has_ended_is_found():
    long = observed(1, "A") | {"last_captured_at": START + timedelta(hours=5)}

    assert [
        (one["canonical_sha256"], other["canonical_sha256"]) for one, other in overlaps([long, observed(3, "B")])
    ] == [("A", "B")]
    assert list(overlaps([long, observed(5, "B")])) == []
