"""Bodies: what is cut short, what has the wrong shape, and what is mended."""

import json

import pytest

from archiver.api.payloads import CutShortError, DeployInfo, PlanList, WrongShapeError, canonical, decode

BODY = '{"id": "é", "components": [{"seq": -1.5e3, "x": [true, null, "\\u00e9\\n"]}]}'.encode()


def test_every_beginning_of_a_body_is_cut_short():
    for length in range(len(BODY)):
        with pytest.raises(CutShortError):
            decode(BODY[:length], DeployInfo)

    assert decode(BODY, DeployInfo).components[0].seq == -1500.0


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"components": 1}', b'{"components": [1-]}', b"{} {"])
def test_a_whole_body_of_another_shape_is_told_apart(body):
    with pytest.raises(WrongShapeError):
        decode(body, DeployInfo)


def test_what_json_forbids_but_servers_send_is_mended_visibly():
    body = b'{"components": [{"name": "a\xff\\ud800", "seq": NaN, "start_time": 1e999, "version": "NaN"}]}'

    component = decode(body, DeployInfo).components[0]

    assert component.name == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    assert (component.seq, component.start_time, component.version) == ("NaN", "1e999", "NaN")


def test_a_mended_body_that_is_cut_short_is_still_cut_short():
    with pytest.raises(CutShortError):
        decode(b'{"components": [{"seq": NaN, "name": "a', DeployInfo)


@pytest.mark.parametrize("text", ["9e999", "NaN", "-Infinity", "sha 12e400 of"])
def test_a_message_that_holds_no_number_and_is_cut_short_is_still_cut_short(text):
    with pytest.raises(CutShortError):
        decode(b'{"components": [{"fail_message": "' + text.encode() + b" and then", DeployInfo)


def test_equal_content_has_equal_canonical_bytes():
    spaced = json.dumps({"b": [1, {"d": 2, "c": None}], "a": "é"}, indent=2).encode()

    assert canonical(spaced) == '{"a":"é","b":[1,{"c":null,"d":2}]}'.encode()


@pytest.mark.parametrize(
    ("body", "is_whole"),
    [
        (b'{"count": 1, "release_plans": [{}]}', True),
        (b'{"count": "1", "release_plans": [{}]}', True),
        (b'{"count": 2, "release_plans": [{}]}', False),
        (b'{"release_plans": []}', False),
    ],
)
def test_a_list_is_whole_if_its_count_is_its_length(body, is_whole):
    assert decode(body, PlanList).is_whole is is_whole
