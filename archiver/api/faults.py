"""The names of what goes wrong on the way, and which of it may pass."""

import ssl
from collections.abc import Callable
from typing import Any

import aiohttp
import httpx

from archiver.api.refusals import is_passing, one_line

_CHECK_PROXY = "check ARCHIVER_PROXY or HTTPS_PROXY"
_IS_OTHER_HOSTS = "check the endpoint's name: another machine answers, or its certificate lacks that name"
_IS_OUT_OF_TIME = "set this machine's clock; if it is right, whoever runs that server must renew its certificate"
# OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID, …_CERT_HAS_EXPIRED, …_HOSTNAME_MISMATCH, …_IP_ADDRESS_MISMATCH.
_CERTIFICATE_WAYS_OUT = {9: _IS_OUT_OF_TIME, 10: _IS_OUT_OF_TIME, 62: _IS_OTHER_HOSTS, 64: _IS_OTHER_HOSTS}
_IS_OF_UNKNOWN_AUTHORITY = "set ARCHIVER_CA_BUNDLE to the file of your authority's certificates"


def fault_of(error: Exception) -> tuple[str, bool]:
    """Say in words what broke a request, and whether it may pass. Nothing of URLs, headers or passwords.

    Where it is known what to do, that follows a semicolon.
    """
    causes = _causes(error)
    for cause in causes:
        for kind, describe in _FAULTS:
            if isinstance(cause, kind):
                return describe(cause)
    return f"the request failed ({type(causes[0]).__name__}: {one_line(str(causes[0]), 120)})", True


def _causes(error: BaseException) -> list[BaseException]:
    """List an error and its causes from the innermost outwards, as far as they tell of HTTP."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        # What made aiohttp's own error is the same thing said less well.
        current = None if isinstance(current, aiohttp.ClientError) else current.__cause__
    return chain[::-1]


def _certificate(error: aiohttp.ClientConnectorCertificateError) -> tuple[str, bool]:
    reason = one_line(getattr(error.certificate_error, "verify_message", "") or "no reason given", 120)
    code = getattr(error.certificate_error, "verify_code", 0)
    way_out = _CERTIFICATE_WAYS_OUT.get(code, _IS_OF_UNKNOWN_AUTHORITY)
    return f"the certificate of {error.host}:{error.port} is not trusted ({reason}); {way_out}", False


def _proxy_refused(error: aiohttp.ClientHttpProxyError) -> tuple[str, bool]:
    words = one_line(f"HTTP {error.status} {error.message}", 80)
    return f"the proxy refused the connection ({words}); {_CHECK_PROXY}", is_passing(error.status)


def _proxy_unreachable(error: aiohttp.ClientProxyConnectionError) -> tuple[str, bool]:
    return f"the proxy can't be reached ({_os_words(error)}); {_CHECK_PROXY}", True


def _unreachable(error: aiohttp.ClientConnectorError) -> tuple[str, bool]:
    return f"can't connect to {error.host}:{error.port} ({_os_words(error)})", True


def _os_words(error: aiohttp.ClientConnectorError) -> str:
    return one_line(error.os_error.strerror or str(error.os_error) or type(error.os_error).__name__, 120)


def _passing(text: str) -> Callable[[Any], tuple[str, bool]]:
    return lambda _error: (text, True)


# The first that fits: special before general.
_FAULTS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], Callable[[Any], tuple[str, bool]]], ...] = (
    (aiohttp.ClientConnectorCertificateError, _certificate),
    (aiohttp.ClientHttpProxyError, _proxy_refused),
    (aiohttp.ClientProxyConnectionError, _proxy_unreachable),
    (aiohttp.ClientConnectorError, _unreachable),
    (aiohttp.ClientPayloadError, _passing("the body ended early")),
    (httpx.DecodingError, _passing("the body can't be decompressed")),
    ((aiohttp.ServerTimeoutError, httpx.TimeoutException, TimeoutError), _passing("timed out")),
    (aiohttp.ClientResponseError, _passing("the answer is no HTTP")),
    (
        (
            aiohttp.ClientConnectionError,
            ConnectionError,
            ssl.SSLError,
            httpx.NetworkError,
            httpx.RemoteProtocolError,
        ),
        _passing("the connection was lost before the answer was whole"),
    ),
)
