"""How releases are packed for a page."""

import uuid

import numpy as np
from packs import read_pack

from reports.packing import Packable, group_of, packed

# What a missing instant is as a number.
NOTHING = np.iinfo(np.int64).min // 60_000


def releases(*rows):
    """Return releases of (plan, component, start in minutes or None, minutes until the end or None)."""
    plans, components, started, lasted = zip(*rows, strict=True)
    names = [name.upper() for name in components]
    return Packable(
        groups=[group_of({4: plans, "plan": plans}), group_of({1: components, "name": names})],
        plans=group_of({"plan": plans}).places,
        started=np.array([NOTHING if start is None else start for start in started]),
        is_started=np.array([start is not None for start in started]),
        ended=np.array([(start or 0) + (last or 0) for start, last in zip(started, lasted, strict=True)]),
        is_ended=np.array([last is not None for last in lasted]),
        cells=(0, 8),
    )


def read(some, *chosen):
    return [
        (one[4], one["plan"], one[1], one["name"], one[0], one[8])
        for one in read_pack(packed(some, np.array(chosen, dtype=np.bool_)))
    ]


def test_what_was_packed_is_read_as_it_was_in_the_order_of_the_starts():
    some = releases(("a", "api", 100, 5), ("b", "web", 110, None), ("a", "web", 120, 0), ("b", "api", 131, 70_000))

    assert read(some, True, True, True, True) == [
        ("a", "a", "api", "API", 100, 105),
        ("b", "b", "web", "WEB", 110, None),
        ("a", "a", "web", "WEB", 120, 120),
        ("b", "b", "api", "API", 131, 70_131),
    ]


def test_only_what_is_chosen_is_packed():
    some = releases(("a", "api", 100, 5), ("b", "web", 110, 1), ("a", "web", 120, 2))

    assert [row[4] for row in read(some, False, True, False)] == [110]
    assert read(some, False, False, False) == []


def test_an_end_before_the_start_stays_before_it():
    assert [row[5] for row in read(releases(("a", "api", 100, -30), ("a", "web", 101, 9)), True, True)] == [70, 110]


def test_a_release_without_a_start_has_none_and_alters_no_other():
    some = releases(("a", "api", None, None), ("b", "web", 100, 5), ("b", "api", None, 120), ("b", "db", 109, 1))

    told = read(some, True, True, True, True)

    assert [(row[2], row[4], row[5]) for row in told] == [
        ("api", None, None),
        ("web", 100, 105),
        ("api", None, 120),
        ("db", 109, 110),
    ]


def test_identifiers_of_both_shapes_come_back_and_take_16_bytes_each():
    """Of 2,000 of them each is 32 digits; nothing packs 16 random bytes into fewer."""
    plans = [str(uuid.UUID(bytes=np.random.default_rng(number).bytes(16))) for number in range(2_000)]
    plans = [plan if number % 2 else plan.replace("-", "") for number, plan in enumerate(plans)]
    some = releases(*((plan, "api", number, 1) for number, plan in enumerate(plans)))

    text = packed(some, np.ones(2_000, dtype=np.bool_))

    assert [one[4] for one in read_pack(text)] == plans
    assert len(text) * 3 / 4 < 2_000 * (16 + 2)


def test_what_only_looks_like_an_identifier_is_left_as_it_is():
    odd = ["A" * 32, "a" * 33, "0123-4567" * 4, "ü" * 32, "\ud800", "line\nfeed", "00000000-0000-0000-0000000000000000"]
    some = releases(*((plan, "api", number, 1) for number, plan in enumerate(odd)))

    told = [row[0] for row in read(some, *[True] * len(odd))]

    assert told == [plan.replace("\ud800", "?") for plan in odd]
