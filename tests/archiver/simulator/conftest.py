"""The default history, built once for all tests of the simulator."""

from datetime import UTC, datetime

import pytest

from archiver.clock import ManualClock
from archiver.simulator import Simulator, build_history

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture(scope="session")
def history():
    return build_history(7, ends_at=MONDAY)


@pytest.fixture
def clock(history):
    return ManualClock(history.ends_at)


@pytest.fixture
def simulator(history, clock):
    return Simulator(history, now=clock.now)
