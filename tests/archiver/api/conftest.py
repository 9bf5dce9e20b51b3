"""What the tests of the API client share: one HTTP client a test, and a builder of the API."""

from datetime import UTC, datetime

import pytest
import pytest_asyncio
from cloud import PASSWORD

from archiver.api.auth import IamUser, PasswordToken, ready_token
from archiver.api.client import Limits, ReleaseApi
from archiver.api.throttle import Throttle
from archiver.api.transport import open_http
from archiver.clock import ManualClock

NOW = datetime(2026, 11, 24, 2, 15, tzinfo=UTC)


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest_asyncio.fixture
async def http():
    client = open_http(proxy=None, ca_bundle=None, concurrency=8)
    yield client
    await client.aclose()


@pytest.fixture
def make_api(http, clock):
    def make(url, *, auth=None, limits=None, project_id="p1", http=http, throttle=None):
        return ReleaseApi(
            http,
            url,
            project_id,
            auth=auth or ready_token("TOKEN-SECRET"),
            throttle=throttle or Throttle(0),
            clock=clock,
            limits=limits or Limits(),
        )

    return make


@pytest.fixture
def make_auth(http, clock):
    def make(url, *, limits=None, region=None):
        user = IamUser(url + "/", "robot", PASSWORD, "acme", "p1", region)
        return PasswordToken(user, http=http, throttle=Throttle(0), clock=clock, limits=limits or Limits())

    return make
