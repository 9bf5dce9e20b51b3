"""What passes: retried within its time, and no longer."""

import asyncio
import contextlib
import socket
import time
from datetime import timedelta

import pytest
from loopback_server import RESET, Loopback, Said, in_turn, said

from archiver.api.client import Limits
from archiver.api.retry import retry_after_seconds
from archiver.errors import GiveUpPlanError, GiveUpRunError

GOOD = said(body={"id": "plan-1", "components": []})
SHORT_LENGTH = Said(b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"components": []}', then_close=True)
OPEN_CHUNKS = Said(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n12\r\n{", then_close=True)
UNDELIMITED = Said(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"components": [', then_close=True)
BAD_GZIP = said(body=b"no gzip", headers=[("Content-Encoding", "gzip")])


@pytest.mark.parametrize(
    "fault",
    [said(status) for status in (408, 429, 500, 502, 503, 504, 599)]
    + [RESET, SHORT_LENGTH, OPEN_CHUNKS, UNDELIMITED, BAD_GZIP, Said(b"garbage\r\n\r\n", then_close=True)],
)
async def test_a_passing_fault_is_retried(make_api, fault):
    async with Loopback(in_turn(fault, fault, GOOD)) as server:
        api = make_api(server.url)
        info, _ = await api.fetch_deploy_info("plan-1")

    assert info.components == []
    assert api.counts.retries == api.counts.requests - 1
    assert api.counts.retries >= 1


async def test_a_connection_that_breaks_when_used_again_hides_no_request(make_api):
    """The ceiling and the counts hold for every request that goes out, whichever library would send it once more."""
    async with Loopback(in_turn(GOOD, RESET, RESET, GOOD)) as server:
        api = make_api(server.url)
        await api.fetch_deploy_info("plan-1")
        await api.fetch_deploy_info("plan-1")

    assert len(server.requests) == api.counts.requests == 4
    assert api.counts.retries == 2


async def test_a_whole_body_without_a_stated_end_is_taken(make_api):
    whole = Said(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"components": []}', then_close=True)
    async with Loopback(in_turn(whole)) as server:
        api = make_api(server.url)
        await api.fetch_deploy_info("plan-1")

    assert api.counts.requests == 1


async def test_a_lasting_fault_ends_within_the_time_for_retries(make_api, clock):
    body = {"error_code": "APIGW.0308", "error_msg": "throttled", "request_id": "r-9"}
    started_at = clock.now()
    async with Loopback(in_turn(said(429, body))) as server:
        api = make_api(server.url)
        with pytest.raises(GiveUpPlanError, match=r"HTTP 429 APIGW\.0308: throttled .*r-9.*given up after") as caught:
            await api.fetch_deploy_info("plan-1")

    assert caught.value.error_code == "APIGW.0308"
    assert 60 < (clock.now() - started_at).total_seconds() <= 120
    # Waits of 0.5, 1, 2, 4, 8, 16, 30, 30 s, each at least halved by jitter: at most 14 tries fit, at least
    # 7.
    assert 7 <= api.counts.requests <= 14


async def test_a_pause_that_is_longer_than_the_time_left_is_told_and_a_code_is_told_once(make_api):
    throttled = said(429, {"error_code": "429", "error_msg": "throttled"}, headers=[("Retry-After", "45")])
    async with Loopback(in_turn(throttled)) as server:
        api = make_api(server.url, limits=Limits(retry_seconds=30))
        with pytest.raises(
            GiveUpPlanError, match=r"HTTP 429: throttled; given up after 1 try in .* s, asked to wait 45 s"
        ):
            await api.fetch_deploy_info("plan-1")


async def test_a_lasting_fault_on_the_list_ends_the_run(make_api):
    async with Loopback(in_turn(said(503))) as server:
        with pytest.raises(GiveUpRunError, match="503") as caught:
            await make_api(server.url).list_release_plans()

    assert caught.value.stage == "list"


async def test_no_time_for_retries_still_leaves_one_try(make_api):
    async with Loopback(in_turn(said(503), GOOD)) as server:
        api = make_api(server.url, limits=Limits(retry_seconds=0))
        with pytest.raises(GiveUpPlanError):
            await api.fetch_deploy_info("plan-1")
        await api.fetch_deploy_info("plan-1")

    assert api.counts.retries == 0


async def test_a_refused_connection_is_retried_and_then_names_the_endpoint(make_api):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    api = make_api(f"http://127.0.0.1:{port}")

    with pytest.raises(GiveUpRunError, match=f"can't connect to 127.0.0.1:{port}"):
        await api.list_release_plans()

    assert api.counts.retries > 1


async def test_a_name_that_is_not_known_names_the_endpoint(make_api, monkeypatch):
    async def unknown(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)

    with pytest.raises(GiveUpRunError, match=r"can't connect to servicestage\.invalid:443 \(Name or service"):
        await make_api("https://servicestage.invalid").list_release_plans()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0.25", 0.25),
        ("Tue, 24 Nov 2026 02:15:20 GMT", 20),
        ("1000000000", 60),
        ("9" * 5000, 60),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60),
        ("Tue, 24 Nov 2026 02:14:59 GMT", None),
        ("-5", None),
        ("1e9", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Tue, 99 Nov 2026 99:99:99 GMT", None),
        (None, None),
    ],
)
def test_retry_after_is_read_and_capped(clock, value, seconds):
    assert retry_after_seconds(value, clock.now()) == seconds


async def test_retry_after_is_waited_for(make_api, clock):
    started_at = clock.now()
    async with Loopback(in_turn(said(429, b"", [("Retry-After", "17")]), GOOD)) as server:
        await make_api(server.url).fetch_deploy_info("plan-1")

    assert clock.now() - started_at == timedelta(seconds=17)


async def test_a_wait_past_the_time_for_retries_is_not_begun(make_api, clock):
    started_at = clock.now()
    async with Loopback(in_turn(said(503, b"", [("Retry-After", "3600")]))) as server:
        with pytest.raises(GiveUpPlanError):
            await make_api(server.url, limits=Limits(retry_seconds=50)).fetch_deploy_info("plan-1")

    assert clock.now() == started_at
    assert len(server.requests) == 1


async def test_a_dripping_server_ends_at_the_deadline(make_api):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
    async with Loopback(in_turn(Said(head, drip=b" " * 500, pause_seconds=0.005))) as server:
        api = make_api(server.url, limits=Limits(timeout_seconds=0.04, retry_seconds=0.1, backoff_seconds=0.01))
        started = time.monotonic()
        with pytest.raises(GiveUpPlanError, match="no whole answer within"):
            await api.fetch_deploy_info("plan-1")

    assert time.monotonic() - started < 1
    assert api.counts.requests >= 2


async def test_a_silent_server_ends_at_the_lists_own_deadline(make_api):
    async def never(_seen):
        await asyncio.Event().wait()

    async with Loopback(never) as server:
        limits = Limits(timeout_seconds=0.001, list_timeout_seconds=0.05, retry_seconds=0.01)
        with pytest.raises(GiveUpRunError, match=r"no whole answer within 0\.05 s"):
            await make_api(server.url, limits=limits).list_release_plans()


async def test_a_plans_single_try_is_cut_to_the_time_for_retries(make_api):
    async def never(_seen):
        await asyncio.Event().wait()

    async with Loopback(never) as server:
        with pytest.raises(GiveUpPlanError, match=r"no whole answer within 0\.03 s"):
            await make_api(server.url, limits=Limits(retry_seconds=0.03)).fetch_deploy_info("plan-1")


async def test_cancelled_requests_leave_the_client_usable(make_api):
    is_slow = True

    async def answer(_seen):
        if is_slow:
            await asyncio.Event().wait()
        return GOOD

    async with Loopback(answer) as server:
        api = make_api(server.url)
        waiting = [asyncio.create_task(api.fetch_deploy_info("plan-1")) for _ in range(200)]
        await server.asked(1)
        for task in waiting:
            task.cancel()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        is_slow = False

        answers = await asyncio.wait_for(
            asyncio.gather(*(api.fetch_deploy_info("plan-1") for _ in range(50))), timeout=10
        )

    assert all(isinstance(end, asyncio.CancelledError) for end in ended)
    assert len(answers) == 50


async def test_requests_cancelled_inside_a_body_leave_the_client_usable(make_api):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
    is_slow = True

    def answer(_seen):
        return Said(head, drip=b" " * 500, pause_seconds=0.01) if is_slow else GOOD

    async with Loopback(answer) as server:
        api = make_api(server.url)
        for _ in range(3):
            waiting = [asyncio.create_task(api.fetch_deploy_info("plan-1")) for _ in range(12)]
            await asyncio.sleep(0.02)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        is_slow = False

        answers = await asyncio.wait_for(
            asyncio.gather(*(api.fetch_deploy_info("plan-1") for _ in range(50))), timeout=10
        )

    assert len(answers) == 50


async def test_connections_are_reused(make_api):
    async with Loopback(in_turn(GOOD)) as server:
        api = make_api(server.url)
        for _ in range(10):
            await api.fetch_deploy_info("plan-1")

    assert server.connections == 1


async def test_requests_given_up_in_a_row_are_counted_until_one_is_answered(make_api):
    """A refusal is an answer too: the API is there."""
    one_try = Limits(retry_seconds=0)
    refusal = said(403, {"error_code": "APIGW.0302"})
    async with Loopback(in_turn(said(503), said(503), refusal, said(503), GOOD)) as server:
        api = make_api(server.url, limits=one_try)
        counted = []
        for _ in range(5):
            with contextlib.suppress(GiveUpPlanError):
                await api.fetch_deploy_info("plan-1")
            counted.append(api.counts.given_up_in_a_row)

    assert counted == [1, 2, 0, 1, 0]
