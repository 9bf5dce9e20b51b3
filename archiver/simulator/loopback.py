"""The simulator behind a loopback socket: enough HTTP/1.1, and the faults that only a socket can have."""

import asyncio
import http
import ipaddress
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from email.utils import format_datetime

from archiver.simulator.exchange import Request, Response
from archiver.simulator.server import Simulator

_MAX_HEAD_BYTES = 256 * 1024  # tokens are several kB long
_REASONS = {status.value: status.phrase for status in http.HTTPStatus}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@asynccontextmanager
async def serve(simulator: Simulator, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve while the context is open, and give the base URL. Port 0 takes a free one.

    Raises ValueError for a host that is not loopback: the simulator has no business on a network.
    """
    address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    if not address.is_loopback:
        raise ValueError(f"the simulator serves loopback only, not {host}: take 127.0.0.1 or ::1")
    conversations = _Conversations(simulator)
    server = await asyncio.start_server(conversations.hold, str(address), port, limit=_MAX_HEAD_BYTES)
    bound_port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://[{address}]:{bound_port}" if address.version == 6 else f"http://{address}:{bound_port}"
    finally:
        server.close()
        await conversations.end()
        await server.wait_closed()


async def serve_forever(
    simulator: Simulator, host: str = "127.0.0.1", port: int = 0, *, announce: Callable[[str], None]
) -> None:
    """Serve until cancelled; `announce` is called with the base URL once it is reachable."""
    async with serve(simulator, host, port) as base_url:
        announce(base_url)
        await asyncio.Event().wait()


@contextmanager
def running(simulator: Simulator, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve from a thread of its own while the context is open, and give the base URL."""
    ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def main() -> None:
        stop = asyncio.Event()
        async with serve(simulator, host, port) as base_url:
            ready.set_result((base_url, asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(main())
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=run, name="simulator", daemon=True)
    thread.start()
    base_url, loop, stop = ready.result()
    try:
        yield base_url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


class _BadRequestError(Exception):
    """The bytes are no request that this server reads."""


class _Conversations:
    """The open connections."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._tasks: set[asyncio.Task[None]] = set()

    async def hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests, one after the other."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: a coroutine runs in a task
        self._tasks.add(task)
        try:
            await self._answer_all(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # The client has gone, or the server ends: the connection is over either way, and so is its task.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def end(self) -> None:
        """End them all, waiting answers included."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        keeps_alive = True
        while keeps_alive:
            try:
                request = await _read_request(reader)
            except (_BadRequestError, asyncio.LimitOverrunError) as error:
                body = f"bad request: {error}".encode()
                await self._send(writer, Response(400, {"Content-Type": "text/plain"}, body), keeps_alive=False)
                return
            keeps_alive = request.headers.get("connection", "").lower() != "close"
            response = self._simulator.handle(request)
            keeps_alive = await self._send(writer, response, keeps_alive=keeps_alive)

    async def _send(self, writer: asyncio.StreamWriter, response: Response, *, keeps_alive: bool) -> bool:
        """Send a response, faults and all; return whether the connection can go on."""
        fault, body = response.fault, response.body
        has_length = fault is None or fault.with_content_length
        is_cut = fault is not None and fault.kind in {"cut", "reset"}
        head = self._head(response, has_length=has_length, keeps_alive=keeps_alive and has_length and not is_cut)
        if fault is None:
            writer.write(head + body)
        elif fault.kind == "delay":
            await asyncio.sleep(fault.pause_seconds)
            writer.write(head + body)
        elif fault.kind == "drip":
            writer.write(head)
            for byte in body:
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(fault.pause_seconds)
        elif fault.kind == "cut":
            writer.write(head + body[: fault.at_byte])
        else:
            if fault.at_byte:
                writer.write(head + body[: fault.at_byte])
                await writer.drain()
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()
            return False
        await writer.drain()
        return keeps_alive and has_length and not is_cut

    def _head(self, response: Response, *, has_length: bool, keeps_alive: bool) -> bytes:
        lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        if "Date" not in response.headers:
            lines.append(f"Date: {format_datetime(self._simulator.now(), usegmt=True)}")
        if has_length:
            lines.append(f"Content-Length: {len(response.body)}")
        if not keeps_alive:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _read_request(reader: asyncio.StreamReader) -> Request:
    """Read one request; raises IncompleteReadError where the client has closed."""
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[1].startswith("/"):
        raise _BadRequestError(f"request line {first[:80]!r}")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise _BadRequestError("a header line has no colon")
        headers[name.lower()] = value.strip()
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not length.isdecimal():
        raise _BadRequestError("the body needs a Content-Length")
    body = await reader.readexactly(int(length)) if length != "0" else b""
    path, _, query = words[1].partition("?")
    return Request(words[0], path, query, headers, body)
