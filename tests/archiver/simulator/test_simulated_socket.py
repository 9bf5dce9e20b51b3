"""The service over a real loopback socket, faults carried out."""

import asyncio
import http.client
import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from archiver.simulator import Fault, Faults, Simulator, running, serve, serve_forever


@pytest.fixture
def path(history):
    return f"/v3/{history.project_ids[0]}/cas/release-plans"


@pytest.fixture
def faulty(history, clock):
    def start(*rules):
        return Simulator(history, now=clock.now, faults=Faults(rules))

    return start


async def connect(base_url):
    parts = urlsplit(base_url)
    return await asyncio.open_connection(parts.hostname, parts.port)


async def ask(base_url, path):
    """Send one request on a connection of its own; return all bytes until the server closes."""
    reader, writer = await connect(base_url)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return await reader.read()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def arrival_at(simulator):
    """Wait until the first request has come."""
    while not simulator.seen:  # noqa: ASYNC110 - the simulator has no event for it, and need not have one
        await asyncio.sleep(0)


def test_a_thread_serves_several_requests_on_one_connection(simulator, path):
    with running(simulator) as base_url:
        connection = http.client.HTTPConnection(urlsplit(base_url).netloc)
        bodies = []
        for _ in range(3):
            connection.request("GET", path, headers={"X-Auth-Token": "t" * 9000})
            response = connection.getresponse()
            assert response.headers["Content-Type"] == "application/json;charset=utf8"
            assert response.headers["Date"] == "Mon, 23 Nov 2026 00:00:00 GMT"
            bodies.append(response.read())
        socket_used = connection.sock
        connection.close()

    assert socket_used is not None
    assert bodies[0] == bodies[2]
    assert json.loads(bodies[0])["count"] > 100


def test_a_token_request_sends_its_body(simulator):
    with running(simulator) as base_url:
        connection = http.client.HTTPConnection(urlsplit(base_url).netloc)
        connection.request("POST", "/v3/auth/tokens?nocatalog=true", body=b"{}")
        response = connection.getresponse()
        response.read()
        connection.close()

    assert response.status == 400
    assert simulator.seen == {"token": 1}


async def test_a_cut_with_a_length_sends_less_than_it_promised(faulty, path):
    async with serve(faulty(Fault("cut", at_byte=100))) as base_url:
        head, _, body = (await ask(base_url, path)).partition(b"\r\n\r\n")

    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert len(body) == 100
    assert length > 100


async def test_a_cut_without_a_length_looks_like_the_end(faulty, path):
    async with serve(faulty(Fault("cut", at_byte=100, with_content_length=False))) as base_url:
        head, _, body = (await ask(base_url, path)).partition(b"\r\n\r\n")

    assert b"content-length" not in head.lower()
    assert b"connection: close" in head.lower()
    assert len(body) == 100


@pytest.mark.parametrize("at_byte", [0, 50])
async def test_a_reset_is_one(faulty, path, at_byte):
    async with serve(faulty(Fault("reset", at_byte=at_byte))) as base_url:
        with pytest.raises(ConnectionResetError):
            await ask(base_url, path)


async def test_a_drip_comes_byte_by_byte_and_whole(faulty, path):
    rule = Fault("drip", match="nobody", pause_seconds=0)
    chunks = []
    async with serve(faulty(rule)) as base_url:
        reader, writer = await connect(base_url)
        writer.write(f"GET {path}/nobody HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        while chunk := await reader.read(1000):
            chunks.append(chunk)
        writer.close()

    assert json.loads(b"".join(chunks))["error_code"] == "SVCSTG.00100404"
    assert len(chunks) > 5


async def test_a_delay_comes_before_the_answer_and_others_need_not_wait(faulty, path):
    simulator = faulty(Fault("delay", pause_seconds=0.05, times=1))
    async with serve(simulator) as base_url:
        started = time.perf_counter()
        slow = asyncio.create_task(ask(base_url, path))
        await arrival_at(simulator)
        await ask(base_url, path)
        is_slow_still_waiting = not slow.done()
        body = await slow
        waited_seconds = time.perf_counter() - started

    assert is_slow_still_waiting
    assert waited_seconds >= 0.05
    assert body.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_server_ends_though_an_answer_hangs(faulty, path):
    simulator = faulty(Fault("delay", pause_seconds=3600))
    async with serve(simulator) as base_url:
        hanging = asyncio.create_task(ask(base_url, path))
        await arrival_at(simulator)

    assert await hanging == b""


@pytest.mark.parametrize("bad", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"GET /" + b"x" * 300_000])
async def test_what_is_no_request_is_refused(simulator, bad):
    async with serve(simulator) as base_url:
        reader, writer = await connect(base_url)
        writer.write(bad)
        head = await reader.readline()
        writer.close()

    assert head == b"HTTP/1.1 400 Bad Request\r\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
async def test_it_serves_loopback_only(simulator, host):
    with pytest.raises(ValueError, match="loopback only"):
        async with serve(simulator, host):
            pass


def test_a_thread_hands_its_refusal_over(simulator):
    with pytest.raises(ValueError, match="loopback only"), running(simulator, "0.0.0.0"):
        pass


async def test_serving_for_ever_announces_itself_and_ends_when_cancelled(simulator, path):
    announced = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve_forever(simulator, announce=announced.set_result))

    answer = await ask(await announced, path)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert task.cancelled()


async def test_the_date_is_the_simulators_clock(history, path):
    simulator = Simulator(history, now=lambda: datetime(2026, 10, 5, 2, 15, tzinfo=UTC))
    async with serve(simulator) as base_url:
        answer = await ask(base_url, path)

    assert b"Date: Mon, 05 Oct 2026 02:15:00 GMT\r\n" in answer
