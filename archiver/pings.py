"""Pings in the style of healthchecks.io: that a run began, and how it ended. They never fail a run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import httpx
import structlog

from archiver.api.transport import open_http
from archiver.errors import ArchiverError
from archiver.settings import Settings

log = structlog.get_logger()

PING_SECONDS = 10
Word = Literal["start", "success", "fail"]


async def ping(settings: Settings, word: Word) -> None:
    """Ask for the URL of ARCHIVER_PING_URL, with `/start` or `/fail` at its path's end. What goes wrong is logged.

    The URL holds a key: it is shown nowhere.
    """
    if settings.ping_url is None:
        return
    url = ping_address(settings.ping_url.get_secret_value(), word)
    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    try:
        async with (
            asyncio.timeout(PING_SECONDS),
            open_http(proxy=proxy, ca_bundle=settings.ca_bundle, concurrency=1) as http,
            http.stream("GET", url) as answer,  # of which the head is enough
        ):
            if not answer.is_success:
                log.warning("ping.refused", word=word, status=answer.status_code)
    except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, UnicodeError) as error:
        # Its text can hold the URL. What httpx calls a timeout can be a certificate that is not trusted.
        cause = error.__cause__ if isinstance(error, httpx.HTTPError) else None
        log.warning("ping.not_sent", word=word, error=type(cause or error).__name__)
    except ArchiverError as error:
        log.warning("ping.not_sent", word=word, error=str(error))


@asynccontextmanager
async def begun(settings: Settings) -> AsyncIterator[None]:
    """Ping that a run begins, and that it failed if the block breaks; how else it went the block pings itself."""
    await ping(settings, "start")
    try:
        yield
    except Exception:
        await ping(settings, "fail")
        raise


def ping_address(url: str, word: Word) -> str:
    """Return the URL for a word; a query stays where it is."""
    if word == "success":
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{word}"))
