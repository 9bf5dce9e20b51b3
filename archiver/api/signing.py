"""The signature of an access key: `SDK-HMAC-SHA256`, as huaweicloudsdkcore's signer.py makes it."""

import hashlib
import hmac
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC
from urllib.parse import parse_qsl, quote, unquote_to_bytes

import httpx

from archiver.api.credentials import header_word
from archiver.clock import Clock

_ALGORITHM = "SDK-HMAC-SHA256"
# What a proxy may add or change on the way (Accept, User-Agent, Via) is left out.
_SIGNED_HEADERS = ("content-type", "host", "x-project-id", "x-sdk-date", "x-security-token")


class Signer(httpx.Auth):
    """Signs each try anew with an access key and its secret key, so that a retry carries a fresh date."""

    requires_request_body = True

    def __init__(
        self,
        access_key: str,
        secret_key: str,
        *,
        clock: Clock,
        project_id: str | None = None,
        security_token: str | None = None,
    ) -> None:
        """Hold the keys. `project_id` for project credentials, `security_token` for temporary keys."""
        self._access_key = header_word(access_key, "ARCHIVER_ACCESS_KEY")
        self._secret_key = secret_key.strip()
        self._clock = clock
        self._project_id = project_id and header_word(project_id, "ARCHIVER_PROJECT_ID")
        self._security_token = security_token and header_word(security_token, "ARCHIVER_SECURITY_TOKEN")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign the request."""
        await request.aread()
        request.headers["X-Sdk-Date"] = self._clock.now().astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        if self._project_id:
            request.headers["X-Project-Id"] = self._project_id
        if self._security_token:
            request.headers["X-Security-Token"] = self._security_token
        path, _, query = request.url.raw_path.decode().partition("?")
        headers = {name: request.headers[name] for name in _SIGNED_HEADERS if name in request.headers}
        found = signature(request.method, path, query, headers, request.content, secret_key=self._secret_key)
        names = ";".join(sorted(headers))
        request.headers["Authorization"] = (
            f"{_ALGORITHM} Access={self._access_key}, SignedHeaders={names}, Signature={found}"
        )
        yield request


def signature(method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, *, secret_key: str) -> str:
    """Sign a request: its path and query as sent, the headers to sign (lower case, with `x-sdk-date`)."""
    names = sorted(headers)
    canonical = "\n".join(
        (
            method.upper(),
            canonical_path(path),
            canonical_query(query),
            *(f"{name}:{headers[name].strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        )
    )
    to_sign = f"{_ALGORITHM}\n{headers['x-sdk-date']}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.new(secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


def canonical_path(path: str) -> str:
    """Write each segment of a path in the one canonical encoding, and end it with a slash.

    Segments are split before they are decoded, so an encoded slash inside an id stays inside, as it is sent.
    """
    segments = [quote(unquote_to_bytes(segment), safe="~") for segment in path.split("/")]
    return "/".join(segments).removesuffix("/") + "/"


def canonical_query(query: str) -> str:
    """Write a query's pairs in the one canonical encoding, sorted."""
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in pairs)
