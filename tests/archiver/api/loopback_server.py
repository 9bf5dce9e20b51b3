"""A loopback HTTP server that answers as a test says, down to the byte, and remembers what it was asked."""

import asyncio
import contextlib
import inspect
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Seen:
    """One request as it arrived; `target` is the raw request target."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Said:
    """Bytes to send. `then_close` ends the connection; `pause_seconds` comes between single bytes of `drip`."""

    head_and_body: bytes
    then_close: bool = False
    drip: bytes = b""
    pause_seconds: float = 0.0


RESET = Said(b"", then_close=True)


def said(status=200, body=b"", headers=()):
    """Build a delimited answer. A body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"HTTP/1.1 {status} X",
        f"Content-Length: {len(content)}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return Said("\r\n".join(lines).encode() + b"\r\n\r\n" + content)


def in_turn(*answers):
    """Give the answers one after the other, and the last one for ever."""
    waiting = list(answers)
    return lambda _seen: waiting.pop(0) if len(waiting) > 1 else waiting[0]


@dataclass
class Loopback:
    """`async with Loopback(answer) as server`: `answer(seen)`, plain or async, returns a Said."""

    answer: Callable
    tls: ssl.SSLContext | None = None
    requests: list[Seen] = field(default_factory=list)
    connections: int = 0
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def asked(self, count):
        """Wait until so many requests have arrived."""
        while len(self.requests) < count:
            self._arrived.clear()
            await self._arrived.wait()

    async def __aenter__(self):
        self._tasks = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._serve_one(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve_one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append(Seen(method, target, headers, body))
        self._arrived.set()
        answer = self.answer(self.requests[-1])
        if inspect.isawaitable(answer):
            answer = await answer
        writer.write(answer.head_and_body)
        for byte in answer.drip:
            await writer.drain()
            await asyncio.sleep(answer.pause_seconds)
            writer.write(bytes([byte]))
        await writer.drain()
        return not answer.then_close


@dataclass
class ConnectProxy:
    """A forwarding proxy: CONNECT tunnels, whatever host is named, lead to `port` on loopback."""

    port_behind: int
    refuse_with: bytes = b""
    heads: list[str] = field(default_factory=list)

    async def __aenter__(self):
        self._tasks = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
            if self.refuse_with:
                writer.write(self.refuse_with)
                await writer.drain()
            else:
                there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.port_behind)
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        writer.close()


async def _pump(source, sink):
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()
