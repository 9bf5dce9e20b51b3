"""What is made of a list: which items are looked at closely, and which are as they were."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from builders import plan_item
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.api.client import Answer
from archiver.api.payloads import PlainItem, PlanList, canonical, decode, encode_sorted
from archiver.listing import read_list
from archiver.store import body_of

AT = datetime(2026, 11, 24, 2, 15, tzinfo=UTC)


def read(items, present):
    """Read a list of items, each a dict or JSON as it is."""
    written = [item if isinstance(item, str) else json.dumps(item) for item in items]
    body = f'{{"count": {len(items)}, "release_plans": [{", ".join(written)}]}}'.encode("utf-8", "surrogatepass")
    return read_list(decode(body, PlanList), Answer(body, AT), present)


def hash_of(item):
    return body_of(json.dumps(item).encode(), AT).canonical_sha256


def test_an_item_that_is_as_it_was_is_not_looked_at_closely_however_it_is_written():
    item = plan_item("a", note="é")
    other_order = json.dumps(dict(reversed(item.items())), ensure_ascii=False, indent=1)

    for written in (item, other_order):
        assert read([written], {"a": hash_of(item)}) == ({"a": None}, [])


@pytest.mark.parametrize("known", [{}, {"a": None}, {"a": hash_of(plan_item("a", "RUNNING"))}])
def test_an_item_that_is_new_due_or_changed_is_read_whole(known):
    listed, nameless = read([plan_item("a")], known)

    assert listed["a"].item.status == "SUCCESS"
    assert listed["a"].item_body.canonical_sha256 == hash_of(plan_item("a"))
    assert nameless == []


def test_the_last_of_two_items_of_a_plan_wins_whether_it_is_as_it_was_or_not():
    known, other = plan_item("a"), plan_item("a", "RUNNING")

    assert read([other, known], {"a": hash_of(known)})[0] == {"a": None}
    assert read([known, other], {"a": hash_of(known)})[0]["a"].item.status == "RUNNING"


def test_an_id_that_is_not_as_it_was_names_no_plan_though_one_is_known_by_it():
    item = plan_item("a\N{REPLACEMENT CHARACTER}")

    listed, nameless = read([item], {item["id"]: hash_of(item)})

    assert listed == {}
    assert [name for name, _ in nameless] == ["missing:release a\N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize("item", ["5", "[]", '{"id": ["a"]}', '{"id": null}'])
def test_an_item_without_a_readable_id_is_no_plan_that_is_known(item):
    listed, _ = read([item], {"5": hash_of(json.loads(item))})

    assert None not in listed.values()


@pytest.mark.parametrize(
    "item",
    [
        '{"id": 5, "status": "SUCCESS"}',
        '{"status": "SUCCESS", "id": "5", "more": {"b": 1, "a": [2.50]}}',
        '{"id": "5", "name": ["x"], "create_time": 1e3}',
        '{"id": "5", "name": "\\ud800", "size": NaN}',
    ],
)
def test_an_item_that_is_not_plain_is_as_it_was_too(item):
    known = body_of(item.encode(), AT).canonical_sha256

    assert read([item], {"5": known}) == ({"5": None}, [])
    assert read([item], {"5": "another"})[0]["5"].item_body.canonical_sha256 == known


texts = st.text().map(json.dumps)
written = st.one_of(
    texts,
    st.one_of(st.integers(), st.integers(2**52, 2**70), st.floats(allow_nan=False, allow_infinity=False)).map(str),
    st.sampled_from(["null", "true", "[]", "-0", "-0.0", "1.0", "1E2", "0.1e1", "1e400", "1e-400", r'"\u00e9\/"']),
)
FIELDS = ("action", "create_time", "creator", "execute_time", "modify_time", "name", "status")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(FIELDS), written)), texts)
def test_a_plain_item_is_hashed_as_any_body_is(fields, plan_id):
    half = len(fields) // 2
    parts = [f'"{name}" :{value}' for name, value in [*fields[:half], ("id", plan_id), *fields[half:]]]
    body = f"{{{', '.join(parts)}}}".encode()

    try:
        plain = msgspec.json.decode(body, type=PlainItem)
    except msgspec.MsgspecError:
        return  # looked at closely
    assert encode_sorted(plain) == canonical(body)
