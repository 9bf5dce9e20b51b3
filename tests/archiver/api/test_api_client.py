"""Each endpoint's request, and the course of each answer."""

import gzip
import json
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from loopback_server import Loopback, Said, in_turn, said

from archiver.api.client import Limits
from archiver.api.payloads import canonical
from archiver.api.signing import Signer, signature
from archiver.errors import GiveUpPlanError, GiveUpRunError, PlanGoneError

PLAN = {"id": "plan-1", "components": [{"id": "c1", "job_id": "j1", "seq": 1}]}
LIST = {"count": 1, "release_plans": [{"id": "plan-1", "name": "n"}]}


async def test_the_list_is_asked_for_and_decoded(make_api, clock):
    async with Loopback(in_turn(said(body=LIST))) as server:
        api = make_api(server.url)

        plans, answer = await api.list_release_plans()

    seen = server.requests[0]
    assert (seen.method, seen.target) == ("GET", "/v3/p1/cas/release-plans")
    assert seen.headers["content-type"] == "application/json;charset=utf8"
    assert seen.headers["x-auth-token"] == "TOKEN-SECRET"
    assert plans.is_whole
    assert json.loads(answer.body) == LIST
    assert answer.captured_at == clock.now()
    assert (api.counts.requests, api.counts.retries) == (1, 0)


async def test_an_endpoint_may_have_a_prefix_and_a_trailing_slash(make_api):
    async with Loopback(in_turn(said(body=PLAN))) as server:
        await make_api(f"{server.url}/gate/way/").fetch_deploy_info("plan-1")

    assert server.requests[0].target == "/gate/way/v3/p1/cas/release-plans/plan-1/deploy-info"


@pytest.mark.parametrize(
    ("plan_id", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("100%", "100%25"),
        ("%2F", "%252F"),
        ("a b:@!$", "a%20b%3A%40%21%24"),
        ("Ünï", "%C3%9Cn%C3%AF"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("?q#f", "%3Fq%23f"),
        ("a\r\nX: y", "a%0D%0AX%3A%20y"),
    ],
)
async def test_an_id_is_one_segment_and_signed_as_it_is_sent(make_api, clock, plan_id, segment):
    async with Loopback(in_turn(said(body={"components": []}))) as server:
        signer = Signer("AK", "SK", clock=clock, project_id="p1")
        await make_api(server.url, auth=signer).fetch_deploy_info(plan_id)

    seen = server.requests[0]
    assert seen.target == f"/v3/p1/cas/release-plans/{segment}/deploy-info"
    assert unquote(segment) == plan_id
    names = ("content-type", "host", "x-project-id", "x-sdk-date")
    expected = signature("GET", seen.target, "", {n: seen.headers[n] for n in names}, b"", secret_key="SK")
    assert seen.headers["authorization"].endswith(f"Signature={expected}")


async def test_an_empty_id_is_not_asked_for(make_api):
    with pytest.raises(GiveUpPlanError, match="without an ID"):
        await make_api("http://127.0.0.1:1").fetch_deploy_info("")


async def test_a_gzip_body_is_stored_decompressed(make_api):
    body = gzip.compress(json.dumps(PLAN).encode())
    async with Loopback(in_turn(said(body=body, headers=[("Content-Encoding", "gzip")]))) as server:
        info, answer = await make_api(server.url).fetch_deploy_info("plan-1")

    assert info.components[0].job_id == "j1"
    assert json.loads(answer.body) == PLAN


async def test_a_body_whose_compression_ends_early_is_asked_for_again(make_api):
    """Its length is as its head says: what was cut off was cut off before it was sent."""
    packed = gzip.compress(json.dumps(PLAN).encode())
    headers = [("Content-Encoding", "gzip")]
    cut, whole = (said(body=body, headers=headers) for body in (packed[: len(packed) // 2], packed))
    async with Loopback(in_turn(cut, whole)) as server:
        api = make_api(server.url)
        info, _ = await api.fetch_deploy_info("plan-1")

    assert info.components[0].job_id == "j1"
    assert api.counts.retries == 1


async def test_a_byte_order_mark_is_read_over_and_kept(make_api):
    body = b"\xef\xbb\xbf" + json.dumps(PLAN).encode()
    async with Loopback(in_turn(said(body=body))) as server:
        info, answer = await make_api(server.url).fetch_deploy_info("plan-1")

    assert info.components[0].job_id == "j1"
    assert answer.body == body
    assert canonical(body) == canonical(json.dumps(PLAN).encode())


async def test_a_missing_plan_is_gone(make_api):
    body = {"error_code": "SVCSTG.00100404", "error_msg": "not found"}
    async with Loopback(in_turn(said(404, body, [("X-Request-Id", "r-1")]))) as server:
        with pytest.raises(PlanGoneError) as caught:
            await make_api(server.url).fetch_deploy_info("plan-1")

    error = caught.value
    assert (error.stage, error.status, error.error_code) == ("deploy_info", 404, "SVCSTG.00100404")
    assert error.request_id == "r-1"
    assert str(error) == "plan plan-1: HTTP 404 SVCSTG.00100404: not found (request id r-1)"


@pytest.mark.parametrize("status", [400, 403, 405, 409, 410, 413, 418, 451, 204, 206, 304])
async def test_a_refused_plan_is_given_up_without_a_retry(make_api, status):
    async with Loopback(in_turn(said(status, b"" if status in (204, 304) else {"error_code": "X.1"}))) as server:
        api = make_api(server.url)
        with pytest.raises(GiveUpPlanError, match=f"HTTP {status}") as caught:
            await api.fetch_deploy_info("plan-1")

    assert caught.value.status == status
    assert (api.counts.requests, api.counts.retries) == (1, 0)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_refused_list_ends_the_run_without_a_retry(make_api, status):
    async with Loopback(in_turn(said(status, {"error_code": "X.1", "error_msg": "no"}))) as server:
        with pytest.raises(GiveUpRunError, match=f"HTTP {status} X.1: no; ") as caught:
            await make_api(server.url).list_release_plans()

    assert caught.value.stage == "list"
    assert len(server.requests) == 1


async def test_a_refused_ready_token_ends_the_run_even_on_a_plan(make_api):
    async with Loopback(in_turn(said(401, {"error_msg": "expired"}))) as server:
        with pytest.raises(GiveUpRunError, match="set ARCHIVER_TOKEN"):
            await make_api(server.url).fetch_deploy_info("plan-1")


async def test_a_401_on_a_signed_plan_is_tried_a_little_and_then_that_plans_failure(make_api, clock):
    async with Loopback(in_turn(said(401, {"error_msg": "bad"}))) as server:
        api = make_api(server.url, auth=Signer("AK", "SK", clock=clock), limits=Limits(backoff_seconds=2))
        with pytest.raises(GiveUpPlanError, match="after 3 tries"):
            await api.fetch_deploy_info("plan-1")

    dates = {seen.headers["x-sdk-date"] for seen in server.requests}
    assert len(server.requests) == 3
    assert len(dates) == 3  # waits of at least a second each: every try is signed anew


async def test_a_clock_that_is_off_is_named_on_a_refused_signature(make_api, clock):
    clock.set(datetime(2026, 11, 24, 2, 0, tzinfo=UTC))
    refused = said(401, {"error_msg": "bad"}, [("Date", "Tue, 24 Nov 2026 02:40:00 GMT")])
    async with Loopback(in_turn(refused)) as server:
        with pytest.raises(GiveUpRunError, match="clock is 40 min behind the server's"):
            await make_api(server.url, auth=Signer("AK", "SK", clock=clock)).list_release_plans()


async def test_a_redirect_is_refused_and_its_host_named(make_api):
    moved = said(302, b"", [("Location", "https://user:pw@evil.example.com/login?x=1")])
    async with Loopback(in_turn(moved)) as server:
        with pytest.raises(GiveUpRunError, match=r"redirects to evil\.example\.com") as caught:
            await make_api(server.url).list_release_plans()
        with pytest.raises(GiveUpPlanError, match=r"redirects to evil\.example\.com"):
            await make_api(server.url).fetch_deploy_info("plan-1")

    assert "pw" not in str(caught.value)
    assert len(server.requests) == 2


@pytest.mark.parametrize("location", ["http://[broken", "/elsewhere", ""])
async def test_a_redirect_to_nonsense_is_refused_too(make_api, location):
    async with Loopback(in_turn(said(301, b"", [("Location", location)]))) as server:
        with pytest.raises(GiveUpRunError, match="redirects to the same host"):
            await make_api(server.url).list_release_plans()


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"null", b'{"id": "plan-1"}', b'{"components": {}}', b"", b'{"components": [', b"\xff"]
)
async def test_a_whole_body_of_the_wrong_shape_is_kept_and_not_retried(make_api, body):
    async with Loopback(in_turn(said(body=body))) as server:
        with pytest.raises(GiveUpPlanError, match="wrong shape") as caught:
            await make_api(server.url).fetch_deploy_info("plan-1")
        with pytest.raises(GiveUpRunError, match="wrong shape"):
            await make_api(server.url).list_release_plans()

    assert caught.value.body == body
    assert caught.value.stage == "deploy_info"
    assert len(server.requests) == 2


async def test_the_deployment_information_of_another_plan_is_refused(make_api):
    async with Loopback(in_turn(said(body={"id": "plan-2", "components": []}))) as server:
        with pytest.raises(GiveUpPlanError, match="of another plan") as caught:
            await make_api(server.url).fetch_deploy_info("plan-1")

    assert b"plan-2" in caught.value.body


@pytest.mark.parametrize("own_id", [None, "", "7", 7])
async def test_a_missing_or_numeric_own_id_is_no_contradiction(make_api, own_id):
    async with Loopback(in_turn(said(body={"id": own_id, "components": []}))) as server:
        info, _ = await make_api(server.url).fetch_deploy_info("7")

    assert info.components == []


async def test_a_list_whose_count_is_off_is_asked_again(make_api):
    short = {"count": 2, "release_plans": [{"id": "plan-1"}]}
    async with Loopback(in_turn(said(body=short), said(body=LIST))) as server:
        plans, _ = await make_api(server.url).list_release_plans()

    assert plans.is_whole
    assert len(server.requests) == 2


async def test_a_list_that_stays_incomplete_is_returned_as_such(make_api):
    short = {"count": 2, "release_plans": [{"id": "plan-1"}]}
    async with Loopback(in_turn(said(body=short))) as server:
        plans, _ = await make_api(server.url).list_release_plans()

    assert not plans.is_whole
    assert len(plans.release_plans) == 1
    assert len(server.requests) == 3


async def test_an_incomplete_list_is_better_than_none(make_api):
    short = {"count": 2, "release_plans": [{"id": "plan-1"}]}
    async with Loopback(in_turn(said(body=short), said(400))) as server:
        plans, _ = await make_api(server.url).list_release_plans()

    assert not plans.is_whole


async def test_a_body_past_its_cap_is_refused_by_its_decompressed_size(make_api):
    bomb = said(body=gzip.compress(b" " * 1_000_000), headers=[("Content-Encoding", "gzip")])
    limits = Limits(max_body_bytes=100_000, max_list_bytes=200_000)
    async with Loopback(in_turn(bomb)) as server:
        api = make_api(server.url, limits=limits)
        with pytest.raises(GiveUpPlanError, match="body larger than 100000 bytes"):
            await api.fetch_deploy_info("plan-1")
        with pytest.raises(GiveUpRunError, match="body larger than 200000 bytes"):
            await api.list_release_plans()

    assert len(server.requests) == 2


async def test_no_cookie_is_kept(make_api):
    cookie = said(body=PLAN, headers=[("Set-Cookie", "session=1; Path=/")])
    async with Loopback(in_turn(cookie)) as server:
        api = make_api(server.url)
        for _ in range(2):
            await api.fetch_deploy_info("plan-1")

    assert all("cookie" not in seen.headers for seen in server.requests)


async def test_a_chunked_body_is_read_to_its_end(make_api):
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (b'{"components"', b": []}"))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with Loopback(in_turn(Said(head + chunks + b"0\r\n\r\n"))) as server:
        info, answer = await make_api(server.url).fetch_deploy_info("plan-1")

    assert info.components == []
    assert answer.body == b'{"components": []}'
