"""Errors are one line, say what the vendor said and what to do, and never show a credential."""

import logging
import traceback

import pytest
from loopback_server import Loopback, Said, in_turn, said

from archiver.api.auth import ready_token
from archiver.api.client import Limits
from archiver.api.signing import Signer
from archiver.errors import ApiError, GiveUpPlanError, SettingsError


async def refused(make_api, answer, **options):
    async with Loopback(in_turn(answer)) as server:
        with pytest.raises(ApiError) as caught:
            await make_api(server.url, **options).fetch_deploy_info("plan-1")
    return caught.value


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error_code": "SVCSTG.1", "error_msg": "bad plan"}, "HTTP 400 SVCSTG.1: bad plan"),
        ({"error_code": "APIGW.1", "error_msg": "m", "request_id": "r-7"}, "HTTP 400 APIGW.1: m (request id r-7)"),
        ({"error": {"code": 400, "message": "m", "title": "Bad"}}, "HTTP 400: m"),
        ({"error": "odd"}, "HTTP 400"),
        ([1, 2], "HTTP 400: [1, 2]"),
        (b"<html><body>Bad\r\n gateway</body></html>", "HTTP 400: <html><body>Bad gateway</body></html>"),
        (b"\xff\xfe\x00\x1b[31mred", "HTTP 400: �� [31mred"),
        (b"", "HTTP 400: no body"),
        ({"error_code": {"a": 1}, "error_msg": ["x\ny"]}, r"HTTP 400 {'a': 1}: ['x\ny']"),
        ({"error_msg": "line\nbreak\u2028\u202e\x07 and \x9b more"}, "HTTP 400: line break and more"),
    ],
)
async def test_every_shape_of_error_becomes_one_line(make_api, body, words):
    error = await refused(make_api, said(400, body))

    assert str(error) == f"plan plan-1: {words}"


async def test_a_long_message_is_cut(make_api):
    error = await refused(make_api, said(400, {"error_msg": "x" * 100_000}))

    assert len(str(error)) < 400


async def test_a_plan_id_in_a_message_is_made_safe_too(make_api):
    async with Loopback(in_turn(said(400))) as server:
        with pytest.raises(GiveUpPlanError) as caught:
            await make_api(server.url).fetch_deploy_info("a\nb")

    assert "\n" not in str(caught.value)


def everything_of(error, caplog):
    shown = [str(error), repr(error), repr(error.body), repr(vars(error)), caplog.text]
    shown += traceback.format_exception(error)
    seen = error
    while seen is not None:  # the implicit context too, which a debugger would show
        shown += [repr(seen), repr(getattr(seen, "_request", None) and seen._request.headers)]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(shown)


@pytest.mark.parametrize(
    "fault",
    [
        said(401, {"error_msg": "token TOKEN-SECRET and SIGNED are bad"}),
        said(400, b"you sent X-Auth-Token: TOKEN-SECRET"),
        said(200, b"no JSON: TOKEN-SECRET"),
        Said(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", then_close=True),
        Said(b"", then_close=True),
    ],
)
async def test_a_token_is_never_shown(make_api, fault, caplog):
    caplog.set_level(logging.DEBUG)
    error = await refused(make_api, fault, limits=Limits(retry_seconds=1))

    assert "TOKEN-SECRET" not in everything_of(error, caplog)


async def test_keys_and_signatures_are_never_shown(make_api, clock, caplog):
    caplog.set_level(logging.DEBUG)
    signer = Signer("AKID", "SECRET-KEY", clock=clock, security_token="TEMPORARY-TOKEN")

    def echo(seen):
        return said(400, repr(seen.headers).encode())

    async with Loopback(echo) as server:
        with pytest.raises(GiveUpPlanError) as caught:
            await make_api(server.url, auth=signer).fetch_deploy_info("plan-1")

    shown = everything_of(caught.value, caplog) + repr(signer)
    assert "SECRET-KEY" not in shown
    assert "TEMPORARY-TOKEN" not in shown
    assert "Signature=" not in shown


async def test_no_url_is_logged_at_info(make_api, caplog):
    caplog.set_level(logging.INFO)
    async with Loopback(in_turn(said(200, {"components": []}))) as server:
        await make_api(server.url).fetch_deploy_info("plan-1")

    assert "plan-1" not in caplog.text


@pytest.mark.parametrize("token", ["", "  ", "a\nb", "smart“quote”", "two words", "\x00"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_shown(token):
    with pytest.raises(SettingsError, match="ARCHIVER_TOKEN") as caught:
        ready_token(token)

    assert not token.strip() or token not in str(caught.value)
