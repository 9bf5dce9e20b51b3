"""Tokens: one that is ready, and one that is fetched for a password and renewed when it is refused."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from archiver.api.credentials import header_word
from archiver.api.exchange import Bounds, Outgoing, exchange
from archiver.api.limits import MEBIBYTE, Counts, Limits
from archiver.api.refusals import PassingError, Reply, Subject, is_passing, one_line, redirect_hint, refusal
from archiver.api.retry import Retrying, retry_after_seconds
from archiver.api.signing import Signer
from archiver.api.throttle import Throttle
from archiver.api.transport import Http
from archiver.clock import Clock
from archiver.errors import GiveUpRunError, SettingsError

__all__ = ["IamUser", "PasswordToken", "ReadyToken", "Signer", "ready_token"]

TOKEN_HEADER = "X-Auth-Token"  # noqa: S105 - a header's name
CONTENT_TYPE = "application/json;charset=utf8"
# So many tokens that were good for others may be refused to one request before it gets one of its own.
_LOSSES_BEFORE_OWN = 3
_LONGEST_MARGIN = timedelta(minutes=5)
_HINTS = {
    400: "check ARCHIVER_IAM_USER, ARCHIVER_IAM_DOMAIN, and ARCHIVER_REGION or ARCHIVER_PROJECT_ID",
    401: "check ARCHIVER_IAM_USER, ARCHIVER_IAM_PASSWORD and ARCHIVER_IAM_DOMAIN",
    403: "check that the user may sign in by programs and has access to the project",
    404: "check ARCHIVER_IAM_ENDPOINT",
}


class ReadyToken(httpx.Auth):
    """A token that was fetched elsewhere. It can't be renewed here."""

    def __init__(self, token: str) -> None:
        self._token = header_word(token, "ARCHIVER_TOKEN")

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers[TOKEN_HEADER] = self._token
        yield request


def ready_token(token: str) -> httpx.Auth:
    """Send this token. Raises SettingsError if no header can carry it."""
    return ReadyToken(token)


@dataclass(frozen=True, slots=True)
class IamUser:
    """Who asks IAM for a token, and for which project: the region's if one is given, else by its ID."""

    endpoint: str
    name: str = field(repr=False)
    password: str = field(repr=False)
    domain: str = field(repr=False)
    project_id: str
    region: str | None = None

    def token_request(self) -> dict[str, Any]:
        """Return the body (API reference of IAM, "Obtaining a User Token Through Password")."""
        user = {"name": self.name, "password": self.password, "domain": {"name": self.domain}}
        project = {"name": self.region} if self.region else {"id": self.project_id}
        identity = {"methods": ["password"], "password": {"user": user}}
        return {"auth": {"identity": identity, "scope": {"project": project}}}


class _Token:
    """One token and what its answers told: a token that was ever accepted is renewed when refused, a fresh
    one is not.

    Several requests may carry it at once. Where the first answer is a refusal, the verdict waits for the
    others: a token that is good for a single request is refused to all but one.
    """

    def __init__(self, text: str, renew_at: datetime | None) -> None:
        self.text = text
        self.renew_at = renew_at
        self.has_worked = False
        self.is_refused = False
        self._in_flight = 0
        self._decided = asyncio.Event()

    def is_usable(self, now: datetime) -> bool:
        return not self.is_refused and (self.renew_at is None or now < self.renew_at)

    def sent(self) -> None:
        self._in_flight += 1
        if not self.has_worked:
            self._decided.clear()

    def answered(self, *, is_accepted: bool) -> None:
        self.has_worked = self.has_worked or is_accepted
        self.is_refused = self.is_refused or not is_accepted

    def done(self) -> None:
        self._in_flight -= 1
        if self.has_worked or not self._in_flight:
            self._decided.set()

    async def is_condemned(self) -> bool:
        """Wait until one request was accepted or all have come back, and tell whether none was accepted."""
        await self._decided.wait()
        return not self.has_worked


class PasswordToken(httpx.Auth):
    """Fetches a token when one is needed, shares it between requests, and fetches one new token for all
    that were refused.

    A token counts as worked once any request with it got an answer other than 401. `counts` are those of
    the client that uses it.
    """

    def __init__(self, user: IamUser, *, http: Http, throttle: Throttle, clock: Clock, limits: Limits) -> None:
        self.counts = Counts()
        self._user = user
        self._http = http
        self._throttle = throttle
        self._clock = clock
        self._limits = limits
        self._token: _Token | None = None
        self._one_at_a_time = asyncio.Lock()
        self._fetches = 0
        self._losses: Counter[bytes] = Counter()
        self._failure: GiveUpRunError | None = None
        host = urlsplit(user.endpoint).netloc
        # User and domain are credentials too, and may come from a secret file: they are not shown.
        self._subject = Subject("token", one_line(f"token of ARCHIVER_IAM_USER at {host}"), GiveUpRunError)

    async def ready(self) -> _Token:
        """Return a token that can be used, fetching one if need be; all who wait share one fetch and its
        failure.

        Raises GiveUpRunError if IAM gives none.
        """
        if self._token and self._token.is_usable(self._clock.now()):
            return self._token
        fetches_before = self._fetches
        async with self._one_at_a_time:
            if self._token and self._token.is_usable(self._clock.now()):
                return self._token
            if self._failure and self._fetches != fetches_before:
                raise GiveUpRunError(
                    str(self._failure),
                    stage="token",
                    status=self._failure.status,
                    error_code=self._failure.error_code,
                    request_id=self._failure.request_id,
                )
            self._failure = None
            try:
                self._token = await self._fetch()
            except GiveUpRunError as error:
                self._failure = error
                raise
            finally:
                self._fetches += 1
            return self._token

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the token, and note what the answer tells about it. The client asks again after a refusal.

        A request that keeps losing the race for short-lived tokens gets one of its own, which is shared
        once it was accepted. The verdict on a refusal is left in the response's extensions.
        """
        place = request.url.raw_path
        has_own = self._losses[place] >= _LOSSES_BEFORE_OWN
        token = await (self._fetch() if has_own else self.ready())
        request.headers[TOKEN_HEADER] = token.text
        token.sent()
        try:
            response = yield request
            token.answered(is_accepted=response.status_code != 401)
        finally:
            token.done()
        if response.status_code != 401:
            self._losses.pop(place, None)
            if has_own:
                self._token = token
            return
        self._losses[place] += 1
        if has_own:
            self._losses.pop(place, None)
            response.extensions["verdict"] = "refused here"
        elif await token.is_condemned():
            self._losses.pop(place, None)
            response.extensions["verdict"] = "refused"

    async def _fetch(self) -> _Token:
        retrying = Retrying(self._clock, self._limits, self.counts, self._throttle.wait)
        return await retrying.run(self._subject, self._ask, timeout_seconds=self._limits.timeout_seconds)

    async def _ask(self, timeout_seconds: float) -> _Token:
        request = self._http.build_request(
            "POST",
            f"{self._user.endpoint.rstrip('/')}/v3/auth/tokens?nocatalog=true",
            content=msgspec.json.encode(self._user.token_request()),
            headers={"Content-Type": CONTENT_TYPE},
            timeout=None,
        )
        said = (self._user.password, self._user.name, self._user.domain)
        secrets = tuple({form.encode() for word in said for form in (word, json.dumps(word)[1:-1])})
        bounds = Bounds(timeout_seconds, MEBIBYTE)
        reply = await exchange(self._http, Outgoing(request, None, secrets), self._subject, bounds)
        if reply.status not in (200, 201):
            raise self._refusal(reply)
        try:
            text = header_word(reply.headers.get("X-Subject-Token", ""), "X-Subject-Token")
        except SettingsError:
            raise self._subject.final(
                "IAM answered without a usable token in X-Subject-Token; check ARCHIVER_IAM_ENDPOINT",
                status=reply.status,
            ) from None
        return _Token(text, _renew_at(reply.body, self._clock.now()))

    def _refusal(self, reply: Reply) -> Exception:
        if is_passing(reply.status):
            error = refusal(PassingError, self._subject, reply)
            error.retry_after_seconds = retry_after_seconds(reply.headers.get("Retry-After"), self._clock.now())
            return error
        hint = redirect_hint(reply) if 300 <= reply.status < 400 else _HINTS.get(reply.status, _HINTS[400])
        return refusal(GiveUpRunError, self._subject, reply, hint)


def _renew_at(body: bytes, now: datetime) -> datetime | None:
    """Say when to renew: shortly before `token.expires_at`. None if that is unreadable or past."""
    try:
        content = msgspec.json.decode(body)
        expires_at = datetime.fromisoformat(content["token"]["expires_at"])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError, ValueError):
        return None
    life = (expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC)) - now
    return now + life - min(_LONGEST_MARGIN, life / 10) if life > timedelta(0) else None
