"""A night: settings, API client and store put together, and every project archived once."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import httpx
from sqlalchemy import Engine

from archiver.api.auth import IamUser, PasswordToken, ready_token
from archiver.api.client import Limits, ReleaseApi
from archiver.api.signing import Signer
from archiver.api.throttle import Throttle
from archiver.api.transport import Http, open_http
from archiver.clock import Clock
from archiver.database import connected
from archiver.due import RunOptions
from archiver.errors import ArchiverError, LeaseHeldError, SettingsError
from archiver.ingest import archive_project, refuse_project
from archiver.known_failures import load_known_failures
from archiver.ledger import Night, RunResult
from archiver.progress import Progress
from archiver.settings import Settings, check_credentials
from archiver.stopping import Stop
from archiver.targets import Resolved, resolve_targets


@dataclass(frozen=True, slots=True)
class ProjectOutcome:
    """What became of one project: its run, or why there was none."""

    project_id: str
    result: RunResult | None = None
    error: ArchiverError | None = None
    is_ok: bool = False  # though not complete

    @property
    def exit_code(self) -> int:
        """0 complete, 1 in part, 3 not done, 75 held by another process."""
        if self.error is not None:
            return self.error.exit_code
        if self.is_ok:
            return 0
        return {"complete": 0, "failed": 3}.get(self.result.outcome if self.result else "failed", 1)


def exit_code(outcomes: list[ProjectOutcome]) -> int:
    """Sum up: 75 if all are held by others, 0 if the rest is complete, 3 if none of it saved anything, else 1."""
    codes = [outcome.exit_code for outcome in outcomes if not isinstance(outcome.error, LeaseHeldError)]
    if not codes:
        return LeaseHeldError.exit_code
    if all(code == 0 for code in codes):
        return 0
    if any(code in (0, 1) for code in codes):
        return 1
    return codes[0] if len(set(codes)) == 1 else 3  # nothing is saved, whatever the reasons


def known_failures_ok(outcomes: list[ProjectOutcome], engine: Engine, settings: Settings) -> list[ProjectOutcome]:
    """Take as done the projects of which nothing failed but what has failed alike in three nights in a row."""
    judged = []
    with connected(engine, settings.database_url.get_secret_value()) as connection:
        for outcome in outcomes:
            result, is_ok = outcome.result, False
            if result is not None and result.has_only_failed_plans:
                # They stand among this run's failures, so it is enough to count them.
                is_ok = len(load_known_failures(connection, [outcome.project_id])) == result.counts.plans_failed
            judged.append(replace(outcome, is_ok=is_ok))
    return judged


async def archive_all(
    settings: Settings,
    engine: Engine,
    revision: str,
    clock: Clock,
    *,
    kind: str = "manual",
    is_full: bool = False,
    leaves_served_nights: bool = False,
    stop: Stop | None = None,
    project_ids: Collection[str] | None = None,
    progress: Progress | None = None,
) -> list[ProjectOutcome]:
    """Archive every project of every target (or those of `project_ids`), one after the other.

    One that fails never stops the others, nor does a target whose credentials are not there: that is a run that failed.
    """
    options = RunOptions(
        kind=kind,
        night=Night(settings.schedule, ZoneInfo(settings.timezone)),
        revision=revision,
        is_full=is_full,
        leaves_served_nights=leaves_served_nights,
        concurrency=settings.concurrency,
        run_seconds=settings.run_seconds,
        recheck_days=settings.recheck_days,
        sweep_days=settings.sweep_days,
        stop=stop or Stop(),
        progress=progress or Progress(),
    )
    throttle = Throttle(settings.requests_per_second)
    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    outcomes = []

    async def outcome_of(project_id: str, target: Resolved) -> ProjectOutcome:
        refused = None
        try:
            try:
                api = open_api(target, project_id, http, throttle, clock)
            except SettingsError as error:
                refused = error
                result = await refuse_project(engine, project_id, clock, options, error)
            else:
                result = await archive_project(engine, api, project_id, clock, options)
        except ArchiverError as error:
            return ProjectOutcome(project_id, error=error)
        return ProjectOutcome(project_id, result=result, error=refused)

    async with open_http(proxy=proxy, ca_bundle=settings.ca_bundle, concurrency=settings.concurrency) as http:
        for target in resolve_targets(settings):
            for project_id in target.project_ids:
                if project_ids is None or project_id in project_ids:
                    options.stop.check()
                    outcomes.append(await outcome_of(project_id, target))
    return outcomes


def open_api(
    target: Resolved,
    project_id: str,
    http: Http,
    throttle: Throttle,
    clock: Clock,
    *,
    retry_seconds: float | None = None,
) -> ReleaseApi:
    """Return the API of one project of a target, with its credentials.

    SettingsError if the target has none, or no header can carry them.
    """
    settings = target.settings
    if settings is None:
        raise target.error or SettingsError(f"target {target.name} can't be used")
    check_credentials(settings)
    limits = Limits(
        timeout_seconds=settings.timeout_seconds,
        list_timeout_seconds=settings.list_timeout_seconds,
        retry_seconds=settings.retry_seconds if retry_seconds is None else retry_seconds,
    )
    return ReleaseApi(
        http,
        settings.service_endpoint(),
        project_id,
        auth=_auth(settings, project_id, http, throttle, clock, limits),
        throttle=throttle,
        clock=clock,
        limits=limits,
    )


def _auth(
    settings: Settings, project_id: str, http: Http, throttle: Throttle, clock: Clock, limits: Limits
) -> httpx.Auth:
    def secret(name: str) -> str:
        value = getattr(settings, name)
        return "" if value is None else str(value.get_secret_value())

    if settings.credential_kind == "token":
        return ready_token(secret("token"))
    if settings.credential_kind == "key":
        return Signer(
            secret("access_key"),
            secret("secret_key"),
            clock=clock,
            project_id=project_id,
            security_token=secret("security_token") or None,
        )
    user = IamUser(
        settings.token_endpoint(),
        secret("iam_user"),
        secret("iam_password"),
        secret("iam_domain"),
        project_id,
        settings.region,
    )
    return PasswordToken(user, http=http, throttle=throttle, clock=clock, limits=limits)
