"""How bytes travel: one HTTP client for everything, its proxy and its trust."""

import ipaddress
import logging
import ssl
import urllib.request
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream, map_aiohttp_exceptions
from yarl import URL

import archiver
from archiver.api.refusals import one_line
from archiver.errors import SettingsError

# Token renewals and notifications go out beside the requests that the caller counts.
_SPARE_CONNECTIONS = 4
_KEEPALIVE_SECONDS = 15
# A token of IAM comes in a header and is several kB long; aiohttp's own limit is 8,190 bytes.
_MAX_HEADER_BYTES = 256 * 1024
# For callers that set no deadline of their own. The API client sets one for each whole request instead.
_FALLBACK_TIMEOUT_SECONDS = 30
_NO_TIMEOUT = aiohttp.ClientTimeout()


class Http(httpx.AsyncClient):
    """The client, and beside its `send` a shorter way for what the API is asked."""

    def __init__(self, transport: "_Transport", headers: dict[str, str]) -> None:
        super().__init__(
            transport=transport,
            timeout=_FALLBACK_TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,  # of what it would read, the proxies are read below, and `.netrc` never
            headers=headers,
        )
        self.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._carrier = transport

    async def carry(self, request: httpx.Request, auth: httpx.Auth | None) -> httpx.Response:
        """Send a request as its auth says, once, and return the answer, still to be read and closed.

        What `send` does besides, for cookies, redirects, hooks and its log, is most of what it costs beyond aiohttp.
        """
        if auth is None:
            return await self._carrier.handle_async_request(request)
        flow = auth.async_auth_flow(request)
        try:
            response = await self._carrier.handle_async_request(await anext(flow))
            try:
                with suppress(StopAsyncIteration):
                    await flow.asend(response)
            except BaseException:
                await response.aclose()
                raise
        finally:
            await flow.aclose()
        return response


def open_http(*, proxy: str | None, ca_bundle: str | Path | None, concurrency: int) -> Http:
    """Open the one client for API, IAM, notifications and pings. Close it with `aclose`; it belongs to one
    event loop.

    An explicit `proxy` carries everything, this machine's loopback too. Without one, HTTPS_PROXY,
    HTTP_PROXY, ALL_PROXY and NO_PROXY are followed, and loopback is always reached directly. Certificates
    are always verified, against the system's trust (or SSL_CERT_FILE, SSL_CERT_DIR); `ca_bundle`, a file or
    directory, adds to it. Cookies, redirects and `.netrc` are not followed. Raises SettingsError on a proxy
    or a bundle that can't be used.
    """
    # At INFO it prints every URL. Set only where nobody chose a level.
    log = logging.getLogger("httpx")
    if log.level == logging.NOTSET:
        log.setLevel(logging.WARNING)
    transport = _Transport(
        verify=_trust(ca_bundle),
        limits=httpx.Limits(max_connections=concurrency + _SPARE_CONNECTIONS, keepalive_expiry=_KEEPALIVE_SECONDS),
    )
    transport.explicit_proxy = _proxy_url(proxy, "ARCHIVER_PROXY") if proxy else None
    return Http(transport, {"User-Agent": f"release-archiver/{archiver.__version__}", "Accept-Encoding": "gzip"})


class _Transport(AiohttpTransport):
    """httpx-aiohttp's transport, with three differences: a path is sent as encoded by us (aiohttp would
    decode `%3A` and resolve `%2E%2E`, and the signature would no longer fit), the proxy is chosen per host,
    and no cookie is kept.
    """

    explicit_proxy: str | None = None
    _proxies: dict[tuple[str, str, int | None], str | None]

    def get_client(self) -> aiohttp.ClientSession:
        self._proxies = {}
        connector = aiohttp.TCPConnector(
            ssl=self.ssl_context,
            limit=self.limits.max_connections or 0,
            keepalive_timeout=self.limits.keepalive_expiry,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_field_size=_MAX_HEADER_BYTES,
            max_line_size=_MAX_HEADER_BYTES,
        )
        # It would send a GET again by itself where the connection broke: past the ceiling, and uncounted. It has no
        # option for that; the tests count what arrives.
        session._retry_connection = False  # noqa: SLF001
        return session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        body = await request.aread()
        with map_aiohttp_exceptions():
            response = await self.client.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers.multi_items(),
                data=body or None,
                allow_redirects=False,
                auto_decompress=False,
                proxy=self._proxy_for(request.url),
                timeout=_timeout(request.extensions.get("timeout")),
            )
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=AiohttpResponseStream(response),
            request=request,
        )

    def _proxy_for(self, url: httpx.URL) -> str | None:
        if self.explicit_proxy:
            return self.explicit_proxy
        place = (url.scheme, url.host, url.port)
        if place not in self._proxies:
            self._proxies[place] = _environment_proxy(*place)
        return self._proxies[place]


def _timeout(given: dict[str, float | None] | None) -> aiohttp.ClientTimeout:
    if given is None:
        return _NO_TIMEOUT
    return aiohttp.ClientTimeout(connect=given["pool"], sock_connect=given["connect"], sock_read=given["read"])


def _environment_proxy(scheme: str, host: str, port: int | None) -> str | None:
    proxies = urllib.request.getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    is_direct = _is_loopback(host) or urllib.request.proxy_bypass(f"{host}:{port}" if port else host)
    return None if is_direct or not proxy else _proxy_url(proxy, f"{scheme.upper()}_PROXY")


def _proxy_url(proxy: str, name: str) -> str:
    """Check a proxy's URL. It may hold a password, so the error doesn't show it."""
    try:
        url = httpx.URL(proxy if "://" in proxy else f"http://{proxy}")
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise SettingsError(f"{name} must be http://host:port or https://host:port")
    return str(url)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _trust(ca_bundle: str | Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    # From Python 3.13 on the default refuses what private authorities still issue, here or in SSL_CERT_FILE.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None:  # a Python that was built without a system store
        import certifi  # noqa: PLC0415 - needed on such machines only

        context.load_verify_locations(cafile=certifi.where())
    if ca_bundle:
        try:
            path = Path(ca_bundle)
            context.load_verify_locations(**{"capath" if path.is_dir() else "cafile": str(path)})
        except (OSError, ValueError) as error:
            reason = one_line(getattr(error, "strerror", None) or str(error))
            raise SettingsError(
                f"ARCHIVER_CA_BUNDLE={ca_bundle} can't be read as PEM certificates ({reason})"
            ) from None
    return context
