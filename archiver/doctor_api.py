"""The doctor's look at the API of each target: name, connection, clock, credentials, and what they may read."""

import asyncio
import socket
import urllib.request
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import httpx

from archiver.api.faults import fault_of
from archiver.api.retry import http_date
from archiver.api.throttle import Throttle
from archiver.api.transport import Http, open_http
from archiver.checkup import Check, finding, ok, skipped
from archiver.clock import Clock
from archiver.errors import ApiError, ArchiverError, PlanGoneError, SettingsError
from archiver.listing import read_list
from archiver.nightly import open_api
from archiver.settings import Settings, is_loopback
from archiver.targets import Resolved, resolve_targets

LARGEST_SKEW_SECONDS = 60
ANSWER_SECONDS = 15
_PLANS_TRIED = 5


async def check_targets(settings: Settings, clock: Clock) -> AsyncIterator[Check]:
    """Look at each target: its hosts, then its projects."""
    proxy = settings.proxy.get_secret_value() if settings.proxy else None
    try:
        http = open_http(proxy=proxy, ca_bundle=settings.ca_bundle, concurrency=1)
    except SettingsError as error:
        yield finding("proxy and CA", str(error), "mend ARCHIVER_PROXY or ARCHIVER_CA_BUNDLE")
        return
    async with http:
        for target in resolve_targets(settings):
            if target.settings is None:
                yield finding("target", str(target.error), "mend this target's settings", target.name)
                continue
            is_reached = True
            for url in _endpoints(target.settings):
                async for check in _check_host(http, url, clock, has_proxy=proxy is not None or _is_proxied(url)):
                    is_reached = is_reached and (check.state != "finding" or check.name == "clock")
                    yield check
            if is_reached:
                async for check in _check_projects(http, target, clock):
                    yield check
            else:
                yield skipped("credentials", "the endpoint was not reached", target.name)


def _is_proxied(url: str) -> bool:
    """Whether the usual variables send this URL through a proxy; loopback is always reached directly."""
    parts = urlsplit(url)
    proxies, host = urllib.request.getproxies(), parts.hostname or ""
    is_direct = is_loopback(host) or bool(urllib.request.proxy_bypass(host))
    return not is_direct and bool(proxies.get(parts.scheme) or proxies.get("all"))


def _endpoints(settings: Settings) -> list[str]:
    found = [settings.service_endpoint()]
    if settings.credential_kind == "password":
        found.append(settings.token_endpoint())
    return list(dict.fromkeys(found))


async def _check_host(http: Http, url: str, clock: Clock, *, has_proxy: bool) -> AsyncIterator[Check]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if has_proxy:
        yield skipped("DNS", "the proxy looks the name up", host)
    else:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
            yield ok("DNS", ", ".join(sorted({str(one[4][0]) for one in found})), host)
        except (OSError, TimeoutError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or "no answer"
            advice = "check the region or the endpoint, and this machine's name servers"
            yield finding("DNS", f"the name is not known ({reason})", advice, host)
            return
    try:
        async with asyncio.timeout(ANSWER_SECONDS), http.stream("GET", url) as answer:
            pass
    except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError) as error:
        told, _, advice = fault_of(error)[0].partition("; ")
        yield finding("TLS", told, advice or "check endpoint, firewall and proxy (ARCHIVER_PROXY)", host)
        return
    secure = "the certificate is trusted" if parts.scheme == "https" else "loopback, without TLS"
    yield ok("TLS", secure, host)
    yield _check_clock(answer, clock, host)


def _check_clock(answer: httpx.Response, clock: Clock, host: str) -> Check:
    server_at = http_date(answer.headers.get("Date"))
    if server_at is None:
        return skipped("clock", "the server names no time", host)
    skew_seconds = (clock.now() - server_at).total_seconds()
    side = "ahead of" if skew_seconds > 0 else "behind"
    told = f"{abs(skew_seconds):.0f} s {side} the server's"
    if abs(skew_seconds) <= LARGEST_SKEW_SECONDS:
        return ok("clock", told, host)
    advice = "set this machine's clock (NTP): a signature more than 15 minutes off is refused, and times are archived"
    return finding("clock", told, advice, host)


async def _check_projects(http: Http, target: Resolved, clock: Clock) -> AsyncIterator[Check]:
    throttle = Throttle(0)
    for project_id in target.project_ids:
        try:
            api = open_api(target, project_id, http, throttle, clock, retry_seconds=0)
            listing, answer = await api.list_release_plans()
        except ApiError as error:
            async for check in _refused(error, project_id):
                yield check
            continue
        except ArchiverError as error:
            yield finding("credentials", str(error), "set the credentials anew", project_id)
            continue
        yield ok("credentials", "they are taken", project_id)
        count = len(listing.release_plans)
        if listing.is_whole:
            yield ok("list", f"{count:,} plans", project_id)
        else:
            told = f"{count:,} plans, but its count says {listing.count!r}"
            yield finding("list", told, "ask the vendor: runs stay partial, and nothing is tombstoned", project_id)
        plan_ids = list(read_list(listing, answer, {})[0])[:_PLANS_TRIED]
        try:
            for plan_id in plan_ids:
                try:
                    await api.fetch_deploy_info(plan_id)
                except PlanGoneError:
                    continue
                yield ok("deploy-info", f"read, of plan {plan_id}", project_id)
                break
            else:
                yield skipped("deploy-info", "there is no plan to try it with", project_id)
        except ApiError as error:
            is_right = error.status == 403
            advice = "grant the credentials read rights on release tasks' deployment information"
            advice = advice if is_right else "run again; if it stays so, `archiver run` names each plan that fails"
            yield finding("deploy-info", str(error), advice, project_id)


async def _refused(error: ApiError, project_id: str) -> AsyncIterator[Check]:
    """Tell credentials that are refused from those that may not list, and both from an API that fails."""
    if error.stage == "token" or error.status == 401:
        yield finding("credentials", str(error), "set them anew: see `Settings` in the README", project_id)
    elif error.status == 403:
        yield ok("credentials", "they are taken", project_id)
        yield finding("list", str(error), "grant the credentials read rights on release tasks", project_id)
    else:
        advice = "check endpoint, region and project ID, and whether the service is up"
        yield finding("list", str(error), advice, project_id)
    yield skipped("deploy-info", "there is no list to choose a plan from", project_id)
