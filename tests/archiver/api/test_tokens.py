"""Tokens fetched for a password: when they are fetched, renewed and shared."""

import asyncio
import json
from datetime import timedelta

import pytest
from cloud import PASSWORD, Cloud
from loopback_server import RESET, Loopback, in_turn, said

from archiver.api.client import Limits
from archiver.errors import ApiError, GiveUpRunError


def stamp(instant):
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


@pytest.mark.parametrize(("region", "project"), [(None, {"id": "p1"}), ("cn-north-4", {"name": "cn-north-4"})])
async def test_a_token_is_asked_for_as_the_vendor_documents(make_api, make_auth, region, project):
    async with Loopback(Cloud().answer) as server:
        api = make_api(server.url, auth=make_auth(server.url, region=region))
        await api.fetch_deploy_info("plan-1")

    asked, fetched = server.requests
    assert (asked.method, asked.target) == ("POST", "/v3/auth/tokens?nocatalog=true")
    assert asked.headers["content-type"] == "application/json;charset=utf8"
    assert "x-auth-token" not in asked.headers
    assert json.loads(asked.body) == {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "robot", "password": PASSWORD, "domain": {"name": "acme"}}},
            },
            "scope": {"project": project},
        }
    }
    assert fetched.headers["x-auth-token"] == "T1"
    assert api.counts.requests == 2


async def test_a_token_of_many_kilobytes_is_taken(make_api, make_auth):
    cloud = Cloud()
    long = "M" * 30_000

    def answer(seen):
        return cloud.issue(long) if seen.method == "POST" else said(200, {"components": []})

    async with Loopback(answer) as server:
        await make_api(server.url, auth=make_auth(server.url)).fetch_deploy_info("plan-1")

    assert server.requests[1].headers["x-auth-token"] == long


async def test_requests_that_start_together_share_one_token(make_api, make_auth):
    cloud = Cloud()
    async with Loopback(cloud.answer) as server:
        api = make_api(server.url, auth=make_auth(server.url))
        await asyncio.gather(*(api.fetch_deploy_info(f"plan-{number}") for number in range(20)))

    assert cloud.issued == 1


@pytest.mark.parametrize(
    ("life", "used_after", "issued"),
    [
        (timedelta(hours=24), timedelta(hours=23, minutes=54), 1),
        (timedelta(hours=24), timedelta(hours=23, minutes=56), 2),  # five minutes before the end
        (timedelta(minutes=10), timedelta(minutes=8, seconds=59), 1),
        (timedelta(minutes=10), timedelta(minutes=9, seconds=1), 2),  # a tenth of a short life
        (timedelta(hours=-1), timedelta(hours=30), 1),  # a clock that is off: used until it is refused
    ],
)
async def test_a_token_is_renewed_shortly_before_it_expires(*, make_api, make_auth, clock, life, used_after, issued):
    cloud = Cloud(expires_at=stamp(clock.now() + life))
    async with Loopback(cloud.answer) as server:
        api = make_api(server.url, auth=make_auth(server.url))
        await api.fetch_deploy_info("plan-1")
        cloud.expires_at = None
        clock.advance(used_after.total_seconds())
        await api.fetch_deploy_info("plan-1")

    assert cloud.issued == issued


@pytest.mark.parametrize("expires_at", ["soon", 17, ["x"], "9999-99-99T00:00:00Z", "2026-11-25T00:00:00"])
async def test_an_unreadable_end_does_not_matter(make_api, make_auth, expires_at):
    cloud = Cloud(expires_at=expires_at)
    async with Loopback(cloud.answer) as server:
        api = make_api(server.url, auth=make_auth(server.url))
        for _ in range(2):
            await api.fetch_deploy_info("plan-1")

    assert cloud.issued == 1


async def test_all_requests_that_lost_their_token_share_one_renewal(make_api, make_auth):
    cloud = Cloud(delay_seconds=0.005)
    async with Loopback(cloud.answer) as server:
        api = make_api(server.url, auth=make_auth(server.url))
        await api.fetch_deploy_info("plan-0")
        cloud.left.clear()  # revoked
        await asyncio.gather(*(api.fetch_deploy_info(f"plan-{number}") for number in range(8)))

    assert cloud.issued == 2
    assert cloud.refused["T1"] == 8
    assert api.counts.retries == 8


@pytest.mark.parametrize("uses", [1, 2, 3, 7])
@pytest.mark.parametrize("in_flight", [1, 8])
async def test_a_token_that_dies_after_every_few_requests_still_finishes(make_api, make_auth, uses, in_flight):
    cloud = Cloud(uses=uses, delay_seconds=0.001)
    gate = asyncio.Semaphore(in_flight)
    async with Loopback(cloud.answer) as server:
        api = make_api(server.url, auth=make_auth(server.url))

        async def fetch(number):
            async with gate:
                return await api.fetch_deploy_info(f"plan-{number}")

        answers = await asyncio.gather(*(fetch(number) for number in range(40)))

    assert len(answers) == 40
    assert cloud.issued >= 40 // uses


async def test_a_fresh_token_refused_at_its_first_use_ends_the_run(make_api, make_auth):
    cloud = Cloud(uses=0)
    async with Loopback(cloud.answer) as server:
        api = make_api(server.url, auth=make_auth(server.url))
        with pytest.raises(GiveUpRunError, match=r"HTTP 401 APIGW\.0307.*a fresh token was refused") as caught:
            await api.list_release_plans()

    assert cloud.issued == 1
    assert (caught.value.stage, caught.value.status) == ("list", 401)


async def test_a_renewed_token_refused_at_its_first_use_ends_the_run(make_api, make_auth):
    cloud = Cloud(uses=1)
    async with Loopback(cloud.answer) as server:
        api = make_api(server.url, auth=make_auth(server.url))
        await api.fetch_deploy_info("plan-1")
        cloud.uses = 0
        with pytest.raises(GiveUpRunError, match="a fresh token was refused"):
            await api.fetch_deploy_info("plan-2")

    assert cloud.issued == 2


async def test_eight_requests_with_a_token_that_is_no_good_agree_on_it(make_api, make_auth):
    cloud = Cloud(uses=0, delay_seconds=0.002)
    async with Loopback(cloud.answer) as server:
        api = make_api(server.url, auth=make_auth(server.url))
        ended = await asyncio.gather(*(api.fetch_deploy_info("p") for _ in range(8)), return_exceptions=True)

    assert all(isinstance(end, GiveUpRunError) for end in ended)
    assert cloud.issued == 1


async def test_a_refusal_waits_for_the_verdict_of_a_request_in_flight(make_api, make_auth):
    """The first answer to a fresh token is 401, the second, later, is good: the token had worked."""
    cloud = Cloud()
    let_go = asyncio.Event()

    async def answer(seen):
        if seen.method == "POST":
            return cloud.issue()
        if "slow" in seen.target:
            await let_go.wait()
            return said(200, {"components": []})
        return said(401) if seen.headers["x-auth-token"] == "T1" else said(200, {"components": []})

    async with Loopback(answer) as server:
        api = make_api(server.url, auth=make_auth(server.url))
        slow = asyncio.create_task(api.fetch_deploy_info("slow"))
        await server.asked(2)
        quick = asyncio.create_task(api.fetch_deploy_info("quick"))
        await server.asked(3)
        await asyncio.sleep(0.005)
        let_go.set()
        await asyncio.gather(slow, quick)

    assert cloud.issued == 2


async def test_a_stragglers_refusal_of_the_old_token_does_not_condemn_the_new(make_api, make_auth):
    cloud = Cloud()
    let_go = asyncio.Event()

    async def answer(seen):
        if seen.method == "POST":
            return cloud.issue()
        if "straggler" in seen.target and seen.headers["x-auth-token"] == "T1":
            await let_go.wait()
            return said(401)
        if "quick" in seen.target and seen.headers["x-auth-token"] == "T1":
            return said(401)
        return said(200, {"components": []})

    async with Loopback(answer) as server:
        api = make_api(server.url, auth=make_auth(server.url))
        await api.fetch_deploy_info("first")
        straggler = asyncio.create_task(api.fetch_deploy_info("straggler"))
        await server.asked(3)
        await api.fetch_deploy_info("quick")
        let_go.set()
        await straggler

    assert cloud.issued == 2


async def test_a_reset_on_a_fresh_token_says_nothing_about_it(make_api, make_auth):
    cloud = Cloud()
    plan_answers = in_turn(RESET, RESET, RESET, said(200, {"components": []}))

    def answer(seen):
        return cloud.issue() if seen.method == "POST" else plan_answers(seen)

    async with Loopback(answer) as server:
        await make_api(server.url, auth=make_auth(server.url)).fetch_deploy_info("plan-1")

    assert cloud.issued == 1


async def test_a_plan_that_is_always_refused_while_others_are_not_is_that_plans_failure(make_api, make_auth):
    cloud = Cloud()

    def answer(seen):
        if seen.method == "POST":
            return cloud.issue()
        return said(401) if "bad" in seen.target else said(200, {"components": []})

    async with Loopback(answer) as server:
        api = make_api(server.url, auth=make_auth(server.url), limits=Limits(retry_seconds=20))
        is_over = False

        async def others():
            while not is_over:
                await api.fetch_deploy_info("good")

        alongside = [asyncio.create_task(others()) for _ in range(4)]
        with pytest.raises(ApiError, match="HTTP 401") as caught:
            await api.fetch_deploy_info("bad")
        is_over = True
        await asyncio.gather(*alongside)

    assert caught.value.status == 401
    assert cloud.issued < 12


async def test_a_token_is_renewed_even_without_time_for_retries(make_api, make_auth):
    cloud = Cloud(uses=1)
    async with Loopback(cloud.answer) as server:
        limits = Limits(retry_seconds=0)
        api = make_api(server.url, auth=make_auth(server.url, limits=limits), limits=limits)
        for _ in range(3):
            await api.fetch_deploy_info("plan-1")

    assert cloud.issued == 3
