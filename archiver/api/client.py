"""The release task API: one method per endpoint, and the course of every answer it can give.

One client (`transport.open_http`) and one `Throttle` serve a process; each project has an auth
and a `ReleaseApi`. The caller bounds the requests in flight. What a method raises: PlanGoneError,
GiveUpPlanError, GiveUpRunError; what passes is retried within.

    auth = ready_token(token)
    auth = PasswordToken(IamUser(...), http=http, throttle=throttle, clock=clock, limits=limits)
    auth = Signer(access_key, secret_key, clock=clock, project_id=project_id)
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from urllib.parse import quote, urlsplit

import httpx

from archiver.api.auth import CONTENT_TYPE, PasswordToken, ReadyToken
from archiver.api.exchange import Bounds, Outgoing, exchange
from archiver.api.limits import Counts, Limits
from archiver.api.payloads import CutShortError, DeployInfo, PlanList, WrongShapeError, decode
from archiver.api.refusals import PassingError, Reply, Subject, is_passing, one_line, redirect_hint, refusal
from archiver.api.retry import Retrying, http_date, retry_after_seconds
from archiver.api.signing import Signer
from archiver.api.throttle import Throttle
from archiver.api.transport import Http
from archiver.clock import Clock
from archiver.errors import ApiError, GiveUpPlanError, GiveUpRunError, PlanGoneError

__all__ = ["Answer", "Counts", "Limits", "ReleaseApi"]

_LIST_ASKS = 3
_SIGNED_PLAN_TRIES = 3
_LARGEST_SKEW = timedelta(minutes=15)  # the gateway refuses a signature whose date is further off
_WHERE = "check ARCHIVER_ENDPOINT, ARCHIVER_REGION and ARCHIVER_PROJECT_ID"
_MAY = "the credentials may not read release tasks in this project; ask for ServiceStage read rights"

_T = TypeVar("_T", PlanList, DeployInfo)


@dataclass(frozen=True, slots=True)
class Answer:
    """A body as it came, decompressed, and when it was complete."""

    body: bytes
    captured_at: datetime


class ReleaseApi:
    """The release tasks of one project."""

    counts: Counts

    def __init__(
        self,
        http: Http,
        endpoint: str,
        project_id: str,
        *,
        auth: httpx.Auth,
        throttle: Throttle,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self.counts = Counts()
        if isinstance(auth, PasswordToken):
            auth.counts = self.counts
        self._http = http
        self._headers = httpx.Headers([*http.headers.multi_items(), ("Content-Type", CONTENT_TYPE)])
        self._plans_url = f"{endpoint.rstrip('/')}/v3/{_segment(project_id)}/cas/release-plans"
        self._auth = auth
        self._throttle = throttle
        self._clock = clock
        self._limits = limits
        self._retrying = Retrying(clock, limits, self.counts, self._prepare)
        self._list = Subject(
            "list",
            f"release task list of project {one_line(project_id)} at {urlsplit(endpoint).netloc}",
            GiveUpRunError,
        )

    async def list_release_plans(self) -> tuple[PlanList, Answer]:
        """Fetch the list. If its `count` is not its length it is asked for again, a few times."""
        found = await self._fetch_list()
        for ask in range(1, _LIST_ASKS):
            if found[0].is_whole:
                break
            await self._clock.sleep(self._limits.backoff_seconds * ask)
            self.counts.retries += 1
            try:
                found = await self._fetch_list()
            except GiveUpRunError:
                break  # what was listed is worth more than nothing; a lasting fault shows at the next request
        return found

    async def fetch_deploy_info(self, plan_id: str) -> tuple[DeployInfo, Answer]:
        """Fetch the deployment information of one plan."""
        subject = Subject("deploy_info", f"plan {one_line(plan_id)}", GiveUpPlanError)
        if not plan_id:
            raise subject.final("a plan without an ID can't be asked for")

        def check(info: DeployInfo) -> None:
            if info.id not in (None, "") and str(info.id) != plan_id:
                raise WrongShapeError("it is the deployment information of another plan")

        url = f"{self._plans_url}/{_segment(plan_id)}/deploy-info"

        async def attempt(timeout_seconds: float) -> tuple[DeployInfo, Answer]:
            bounds = Bounds(timeout_seconds, self._limits.max_body_bytes)
            return await self._try(subject, url, DeployInfo, check, bounds)

        return await self._retrying.run(subject, attempt, timeout_seconds=self._limits.timeout_seconds)

    async def _fetch_list(self) -> tuple[PlanList, Answer]:
        async def attempt(timeout_seconds: float) -> tuple[PlanList, Answer]:
            bounds = Bounds(timeout_seconds, self._limits.max_list_bytes)
            return await self._try(self._list, self._plans_url, PlanList, lambda _: None, bounds)

        return await self._retrying.run(
            self._list, attempt, timeout_seconds=self._limits.list_timeout_seconds, is_list=True
        )

    async def _prepare(self) -> None:
        if isinstance(self._auth, PasswordToken):
            await self._auth.ready()
        await self._throttle.wait()

    async def _try(
        self, subject: Subject, url: str, kind: type[_T], check: Callable[[_T], None], bounds: Bounds
    ) -> tuple[_T, Answer]:
        try:
            request = httpx.Request("GET", url, headers=self._headers)
        except httpx.InvalidURL as error:
            raise subject.final(f"its URL can't be asked for ({error})") from None
        reply = await exchange(self._http, Outgoing(request, self._auth), subject, bounds)
        captured_at = self._clock.now()
        if reply.status != 200:
            raise self._refusal(subject, reply)
        try:
            payload = decode(reply.body, kind)
            check(payload)
        except CutShortError as error:
            if not reply.is_delimited:
                raise subject.passing("the body ended early", status=200, body=reply.evidence) from None
            raise _misshapen(subject, reply, error) from None
        except WrongShapeError as error:
            raise _misshapen(subject, reply, error) from None
        return payload, Answer(reply.body, captured_at)

    def _refusal(self, subject: Subject, reply: Reply) -> ApiError:
        """Choose the course of an answer other than 200."""
        status = reply.status
        if status == 401:
            return self._unauthorized(subject, reply)
        if status == 404 and subject.stage == "deploy_info":
            return refusal(PlanGoneError, subject, reply)
        if is_passing(status):
            error = refusal(PassingError, subject, reply)
            error.retry_after_seconds = retry_after_seconds(reply.headers.get("Retry-After"), self._clock.now())
            return error
        if 300 <= status < 400:
            return refusal(subject.last_word, subject, reply, redirect_hint(reply))
        if status == 403:
            return refusal(subject.last_word, subject, reply, self._skew_hint(reply) or _MAY)
        return refusal(subject.last_word, subject, reply, _WHERE if subject.stage == "list" else "")

    def _unauthorized(self, subject: Subject, reply: Reply) -> ApiError:
        if isinstance(self._auth, PasswordToken) and reply.verdict is None:
            error = refusal(PassingError, subject, reply)
            error.is_at_once = True
            return error
        if reply.verdict == "refused here":
            return refusal(subject.last_word, subject, reply, "refused with a token of its own, too")
        if reply.verdict == "refused":
            hint = "a fresh token was refused; check that ARCHIVER_IAM_ENDPOINT fits ARCHIVER_ENDPOINT"
            return refusal(GiveUpRunError, subject, reply, hint)
        if isinstance(self._auth, ReadyToken):
            return refusal(GiveUpRunError, subject, reply, "the token was refused; get a new one, set ARCHIVER_TOKEN")
        hint = self._skew_hint(reply) or "check ARCHIVER_ACCESS_KEY and ARCHIVER_SECRET_KEY"
        if subject.stage == "list":
            return refusal(GiveUpRunError, subject, reply, hint)
        error = refusal(PassingError, subject, reply, hint)
        error.most_tries = _SIGNED_PLAN_TRIES
        return error

    def _skew_hint(self, reply: Reply) -> str:
        server_at = http_date(reply.headers.get("Date"))
        skew = server_at and self._clock.now() - server_at
        if not skew or abs(skew) <= _LARGEST_SKEW or not isinstance(self._auth, Signer):
            return ""
        minutes = round(abs(skew).total_seconds() / 60)
        side = "ahead of" if skew > timedelta(0) else "behind"
        return f"this machine's clock is {minutes} min {side} the server's; set it"


def _misshapen(subject: Subject, reply: Reply, error: ValueError) -> ApiError:
    hint = "" if subject.stage != "list" else f"; {_WHERE}"
    return subject.final(f"the body has the wrong shape: {error}{hint}", status=200, body=reply.evidence)


def _segment(text: str) -> str:
    """Encode an ID as one path segment; dots alone would be taken for steps up the path."""
    segment = quote(text, safe="", errors="replace")
    return segment.replace(".", "%2E") if not segment.strip(".") else segment
