"""What IAM says instead of a token, and what is never shown of one."""

import asyncio
import traceback

import pytest
from cloud import PASSWORD, Cloud
from loopback_server import RESET, Loopback, Said, in_turn, said

from archiver.api.client import Limits
from archiver.errors import GiveUpRunError


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, "ARCHIVER_IAM_DOMAIN"),
        (401, "check ARCHIVER_IAM_USER, ARCHIVER_IAM_PASSWORD and ARCHIVER_IAM_DOMAIN"),
        (403, "access to the project"),
        (404, "check ARCHIVER_IAM_ENDPOINT"),
        (302, "redirects"),
    ],
)
async def test_a_refusal_of_iam_ends_the_run_and_shows_no_credential(make_api, make_auth, status, hint):
    body = {
        "error": {"code": status, "message": f"no {PASSWORD} of robot in acme.example here", "title": "Unauthorized"}
    }
    async with Loopback(in_turn(said(status, body))) as server:
        api = make_api(server.url, auth=make_auth(server.url))
        with pytest.raises(GiveUpRunError, match=hint) as caught:
            await api.fetch_deploy_info("plan-1")

    assert caught.value.stage == "token"
    assert "token of ARCHIVER_IAM_USER at" in str(caught.value)
    assert not any(word in str(caught.value) + repr(caught.value.body) for word in ("robot", "acme"))
    assert "secret" not in str(caught.value) + repr(caught.value.body)
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", [said(429), said(503), RESET, Said(b"garbage\r\n\r\n", then_close=True)])
async def test_a_passing_fault_of_iam_is_retried(make_api, make_auth, fault):
    cloud = Cloud()
    iam_answers = in_turn(fault, fault, cloud.issue())

    def answer(seen):
        return iam_answers(seen) if seen.method == "POST" else said(200, {"components": []})

    async with Loopback(answer) as server:
        api = make_api(server.url, auth=make_auth(server.url))
        await api.fetch_deploy_info("plan-1")

    assert api.counts.retries >= 1


async def test_those_who_wait_for_a_token_share_its_failure(make_api, make_auth):
    async with Loopback(in_turn(said(503))) as server:
        limits = Limits(retry_seconds=20)
        api = make_api(server.url, auth=make_auth(server.url, limits=limits), limits=limits)
        ended = await asyncio.gather(*(api.fetch_deploy_info("p") for _ in range(8)), return_exceptions=True)

    assert all(isinstance(end, GiveUpRunError) and end.stage == "token" for end in ended)
    assert len({str(end) for end in ended}) == 1
    assert len(server.requests) < 15  # one request's tries, not eight times as many


async def test_iam_that_gives_no_token_ends_the_run(make_api, make_auth):
    async with Loopback(in_turn(said(201, {}))) as server:
        with pytest.raises(GiveUpRunError, match="without a usable token"):
            await make_api(server.url, auth=make_auth(server.url)).fetch_deploy_info("plan-1")


async def test_a_dripping_iam_ends_at_the_deadline(make_api, make_auth):
    head = b"HTTP/1.1 201 Created\r\nX-Subject-Token: T\r\nContent-Length: 500\r\n\r\n"
    limits = Limits(timeout_seconds=0.03, retry_seconds=0.05, backoff_seconds=0.01)
    async with Loopback(in_turn(Said(head, drip=b" " * 500, pause_seconds=0.005))) as server:
        with pytest.raises(GiveUpRunError, match="no whole answer within"):
            await make_api(server.url, auth=make_auth(server.url, limits=limits)).fetch_deploy_info("p")


async def test_a_cancelled_renewal_leaves_the_others_theirs(make_api, make_auth):
    cloud = Cloud()
    is_slow = True

    async def answer(seen):
        if is_slow:
            await asyncio.Event().wait()
        return await cloud.answer(seen)

    async with Loopback(answer) as server:
        api = make_api(server.url, auth=make_auth(server.url))
        first = asyncio.create_task(api.fetch_deploy_info("p"))
        second = asyncio.create_task(api.fetch_deploy_info("p"))
        await server.asked(1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        is_slow = False
        await asyncio.wait_for(second, 5)

    assert cloud.issued == 1


async def test_passwords_and_tokens_are_never_shown(make_api, make_auth, caplog):
    caplog.set_level("DEBUG")
    cloud = Cloud(uses=0)
    async with Loopback(cloud.answer) as server:
        auth = make_auth(server.url)
        cloud.issue = lambda: said(201, {}, [("X-Subject-Token", "TOKEN-SECRET")])
        with pytest.raises(GiveUpRunError) as caught:
            await make_api(server.url, auth=auth).list_release_plans()

    shown = "".join(traceback.format_exception(caught.value)) + caplog.text + repr(auth) + repr(auth._user)
    assert "TOKEN-SECRET" not in shown
    assert "secret" not in shown
