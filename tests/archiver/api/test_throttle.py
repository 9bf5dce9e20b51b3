"""The ceiling on requests a second."""

import asyncio

import pytest

from archiver.api.throttle import Throttle


class Time:
    """A time that moves by sleeping."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        await asyncio.sleep(0)
        self.now += seconds


def throttle_at(rate):
    time = Time()
    return time, Throttle(rate, monotonic=time.monotonic, sleep=time.sleep)


async def test_requests_are_evenly_spaced_over_all_who_share_it():
    time, throttle = throttle_at(20)
    left_at = []

    async def request():
        await throttle.wait()
        left_at.append(time.now)

    await asyncio.gather(*(request() for _ in range(41)))

    assert left_at == pytest.approx([100 + number / 20 for number in range(41)])


async def test_an_idle_minute_is_not_saved_up_for_a_burst():
    time, throttle = throttle_at(10)
    await throttle.wait()
    time.now += 60

    for _ in range(11):
        await throttle.wait()

    assert time.now - 160 == pytest.approx(1.0)  # ten spaces of 0.1 s


async def test_zero_is_no_ceiling():
    time, throttle = throttle_at(0)

    for _ in range(1000):
        await throttle.wait()

    assert time.now == 100


async def test_who_comes_first_leaves_first():
    _, throttle = throttle_at(5)
    order = []

    async def request(number):
        await throttle.wait()
        order.append(number)

    await asyncio.gather(*(request(number) for number in range(20)))

    assert order == list(range(20))


async def test_a_cancelled_waiter_takes_no_slot_and_blocks_no_one():
    time, throttle = throttle_at(1)
    await throttle.wait()
    waiters = [asyncio.create_task(throttle.wait()) for _ in range(5)]
    await asyncio.sleep(0)
    for waiter in waiters[:4]:
        waiter.cancel()

    await asyncio.gather(*waiters[:4], return_exceptions=True)
    await waiters[4]

    assert time.now == pytest.approx(101)


async def test_the_real_clock_keeps_the_rate():
    throttle = Throttle(500)
    started = asyncio.get_running_loop().time()

    for _ in range(26):
        await throttle.wait()

    # 25 spaces of 2 ms; only the lower bound is certain on a busy machine.
    assert asyncio.get_running_loop().time() - started >= 0.05 - 0.005
