"""Bodies of every shape: what decodes can always be hashed and kept, and what does not is told apart."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.api.payloads import (
    CutShortError,
    DeployInfo,
    PlanItem,
    PlanList,
    WrongShapeError,
    canonical,
    cleaned,
    decode,
)

_TEXTS = st.text(st.characters(), max_size=8)  # lone surrogates among them
_NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(10**25), 1e308])
_ANYTHING = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(_ANYTHING, st.booleans())
def test_whatever_a_field_holds_the_body_is_kept_and_its_hash_is_stable(value, ascii_only):
    content = {"id": value, "components": [{"name": value, "unheard of": value}], "x": value, "z": 0}
    body = json.dumps(content, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")

    info = decode(body, DeployInfo)
    once = canonical(body)

    assert len(info.components) == 1
    assert canonical(once) == once


@given(_ANYTHING)
def test_the_order_of_fields_and_the_space_between_do_not_matter(value):
    one = json.dumps({"components": [], "a": value, "b": 1}).encode()
    other = json.dumps({"b": 1, "a": value, "components": []}, indent=2).encode()

    assert canonical(one) == canonical(other)


@given(st.binary(max_size=60) | _ANYTHING.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")))
def test_any_bytes_decode_or_are_told_to_be_cut_short_or_misshapen(body):
    for kind in (PlanList, DeployInfo, PlanItem):
        try:
            decode(body, kind)
        except (CutShortError, WrongShapeError):
            continue
        canonical(body)


@given(st.data())
def test_a_body_cut_anywhere_is_told_to_be_cut_short(data):
    value = data.draw(_ANYTHING)
    body = json.dumps({"id": "a", "components": [{"id": "é", "name": value}]}, ensure_ascii=False)
    whole = cleaned(body.encode("utf-8", "surrogatepass"))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]

    with pytest.raises((CutShortError, WrongShapeError)):
        decode(cut, DeployInfo)


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"<html>sign in</html>",
        b'{"components":null}',
        b'{"components":{}}',
        b'{"components":[null]}',
        b'{"components":[[]]}',
        b'{"components":[]} {"components":[]}',
        b'{"error_code":"x","error_msg":"y"}',
        b'{"components":[],"deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_a_whole_body_of_another_shape_is_not_called_cut_short(body):
    with pytest.raises(WrongShapeError):
        decode(body, DeployInfo)


@pytest.mark.parametrize("letter", [b"a", b"\\\\"])
def test_a_long_message_that_has_to_be_cleaned_takes_little_more_than_its_own_room(letter):
    """A message of 10 MB with one lone surrogate took 1.2 GB."""
    body = b'{"components":[{"fail_message":"' + letter * 100_000 + b'\\ud800"}]}'
    tracemalloc.start()
    try:
        cleaned(body)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak_bytes < 20 * len(body)


def test_half_a_surrogate_pair_at_the_very_end_is_replaced():
    body = b'{"components":[{"rollback_fail_message":"cut \\ud83d"}]}'

    assert decode(body, DeployInfo).components[0].rollback_fail_message == "cut \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("count", "is_whole"), [(2, True), ("2", True), (3, False), (0, False), (None, False), (2.0, False), (-2, False)]
)
def test_a_list_is_whole_when_its_count_is_its_length(count, is_whole):
    listing = decode(json.dumps({"count": count, "release_plans": [{}, None]}).encode(), PlanList)

    assert listing.is_whole is is_whole


def test_items_of_a_list_keep_their_own_bytes():
    body = b'{"count":1,"release_plans":[ {"id" : "a", "x":1.50} ]}'

    (raw,) = decode(body, PlanList).release_plans

    assert bytes(raw).strip() == b'{"id" : "a", "x":1.50}'


def test_a_body_too_deep_to_sort_is_compared_as_it_came():
    deep = b"[" * 100_000 + b"]" * 100_000

    assert canonical(deep) == deep
