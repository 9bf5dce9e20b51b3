"""One request and its answer: sent, read to the end within a deadline and a size, or a fault with a name."""

import asyncio
from collections.abc import AsyncIterable
from dataclasses import dataclass, field

import aiohttp
import httpx

from archiver.api.faults import fault_of
from archiver.api.limits import MEBIBYTE
from archiver.api.refusals import Reply, Subject
from archiver.api.transport import Http

# An error's body is read so far: enough for its words, and a server that sends more of it gains nothing.
_MAX_ERROR_BYTES = MEBIBYTE


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long one try may take, and how large its decoded body may be."""

    timeout_seconds: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request, what signs it, and the credentials in its body, which no message may show."""

    request: httpx.Request
    auth: httpx.Auth | None
    secrets: tuple[bytes, ...] = field(default=(), repr=False)


async def exchange(http: Http, outgoing: Outgoing, subject: Subject, bounds: Bounds) -> Reply:
    """Send a request and read its answer.

    Raises PassingError where the network, the server's end or the deadline cut it off, and the subject's
    last word on a certificate that is not trusted, a proxy that refuses, or a body past the cap. No error
    is chained to the client's own, whose request holds the credentials.
    """
    try:
        async with asyncio.timeout(bounds.timeout_seconds) as deadline:
            return await _send(http, outgoing, subject, bounds)
    except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, UnicodeError) as error:
        if isinstance(error, TimeoutError) and deadline.expired():
            text, is_passing = f"no whole answer within {bounds.timeout_seconds:.3g} s", True
        else:
            text, is_passing = fault_of(error)
    # Raised out here so that not even the implicit context carries the request's headers.
    raise subject.passing(text) if is_passing else subject.final(text)


async def _send(http: Http, outgoing: Outgoing, subject: Subject, bounds: Bounds) -> Reply:
    request = outgoing.request
    response = await http.carry(request, outgoing.auth)
    try:
        is_error = not response.is_success
        chunks = []
        size_bytes = 0
        async for chunk in _parts(response):
            chunks.append(chunk)
            size_bytes += len(chunk)
            if is_error and size_bytes > _MAX_ERROR_BYTES:
                break
            if size_bytes > bounds.max_bytes:
                raise subject.final(f"body larger than {_size(bounds.max_bytes)}", status=response.status_code)
    finally:
        await response.aclose()
    # What the head says of the end is said of the packed bytes: those may be whole, and what is packed cut off.
    is_packed = "content-encoding" in response.headers
    has_end = "content-length" in response.headers or "transfer-encoding" in response.headers
    return Reply(
        status=response.status_code,
        headers=response.headers,
        body=b"".join(chunks),
        is_delimited=has_end and not is_packed,
        verdict=response.extensions.get("verdict"),
        secrets=outgoing.secrets,
        sent=request.headers,
    )


def _parts(response: httpx.Response) -> AsyncIterable[bytes]:
    """Give the parts of a decoded body; of one that was not encoded as they come."""
    stream = response.stream
    if isinstance(stream, httpx.AsyncByteStream) and "content-encoding" not in response.headers:
        return stream
    return response.aiter_bytes()


def _size(count_bytes: int) -> str:
    return f"{count_bytes // MEBIBYTE} MiB" if count_bytes >= MEBIBYTE else f"{count_bytes} bytes"
