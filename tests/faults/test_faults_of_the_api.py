"""An API that fails: what it said is archived, what it did not is named, and the next run has it all."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from checker import rows_of
from program import Case
from upstream import PROJECT, USER, Upstream, drip, reset, said, sometimes

from archiver.clock import ManualClock


class MovingClock(ManualClock):
    """A clock whose waits take no time, and which moves on by itself as the machine's does."""

    def __init__(self):
        super().__init__(datetime.now(UTC))

    def now(self):
        self.advance(0.001)
        return super().now()


@pytest.fixture
def hasty(after_one_night):
    """Return the case of the second night with waits that take no time."""
    after_one_night.clock = MovingClock()
    return after_one_night


ABSURD = [
    *(None, "1", "0", "-5", "1e9", "1000000000", "9" * 400, "Thu, 01 Jan 1970 00:00:00 GMT"),
    *("Fri, 31 Dec 9999 23:59:59 GMT", "soon", ""),
]


@pytest.mark.parametrize("retry_after", ABSURD, ids=lambda value: f"Retry-After {value}"[:30])
def test_throttling_on_a_third_of_the_calls_loses_nothing(hasty, flawless, retry_after):
    headers = {} if retry_after is None else {"Retry_After": retry_after}
    hasty.upstream.strike = sometimes(0.3, [lambda _: said(429, **headers)])

    ran = hasty.run_here()

    assert ran.code in (0, 1)
    assert hasty.losses(flawless[2]) == []


@pytest.mark.parametrize("seed", range(4))
def test_server_errors_and_resets_on_a_fifth_of_the_calls_lose_nothing(hasty, flawless, seed):
    answers = [
        *(lambda _: said(500), lambda _: said(502, b"<html>Bad Gateway</html>"), lambda _: said(503)),
        *(reset, lambda good: reset(good, 40)),
    ]
    hasty.upstream.strike = sometimes(0.2, answers, seed=seed)

    ran = hasty.run_here()

    assert ran.code == 0
    assert ran.result.counts.retries > 0
    assert hasty.losses(flawless[2]) == []


@pytest.mark.parametrize("answer", [lambda _: said(503), reset], ids=["503", "reset"])
def test_an_api_away_for_a_whole_window_leaves_a_gap_that_says_so(archive, tmp_path, nights, flawless, answer):
    clock = ManualClock(datetime.now(UTC).replace(hour=2, minute=30))
    case = Case(archive.url, Upstream().show(nights.first_night), tmp_path, clock)
    assert case.run_here().code == 0
    clock.advance(86_400)
    case.upstream.show(nights.second_night).strike = lambda call: answer(call.good)

    away = case.run_here()
    clock.advance(86_400)

    assert away.code == 3
    assert away.result.outcome == "failed"
    assert case.losses(flawless[2]) == []
    states = rows_of(case.url, "SELECT state FROM nights ORDER BY night_date")
    assert [row["state"] for row in states] == ["done", "missed", "done"]


def test_a_server_that_drips_one_byte_a_second_is_ended_in_time(after_one_night, flawless):
    after_one_night.upstream.strike = lambda call: drip(call.good) if call.plan_id in ("plan-00", "plan-01") else None

    started = time.monotonic()
    ran = after_one_night.run_here(timeout_seconds=1, retry_seconds=1)
    took_seconds = time.monotonic() - started

    assert ran.code == 1
    assert ran.result.counts.plans_failed == 2
    assert took_seconds < 1 + 2
    assert after_one_night.losses(flawless[2]) == []


def test_a_run_whose_every_answer_drips_ends_in_time(after_one_night, flawless):
    after_one_night.upstream.strike = lambda call: drip(call.good) if call.plan_id else None

    started = time.monotonic()
    ran = after_one_night.run_here(run_seconds=2)
    took_seconds = time.monotonic() - started

    assert ran.result.outcome in ("partial", "failed")
    assert took_seconds < 2 + 2
    named = rows_of(after_one_night.url, f"SELECT stage FROM fetch_failures WHERE run_id = '{ran.result.run_id}'")
    assert {row["stage"] for row in named} == {"not_tried"}
    assert after_one_night.losses(flawless[2]) == []


@pytest.mark.parametrize("requests", [1, 2, 3, 7, 20])
def test_a_token_that_dies_after_every_nth_request_loses_nothing(archive, tmp_path, nights, flawless, requests):
    case = Case(archive.url, Upstream(token_lives=requests).show(nights.first_night), tmp_path, MovingClock())

    ran = case.run_here(**USER)

    assert ran.code == 0, ran.result
    assert case.upstream.gate.tokens_issued >= 31 // (requests + 1)
    case.upstream = Upstream().show(nights.first_night)
    assert case.losses(flawless[1]) == []


@pytest.mark.parametrize("lies", ["count too high", "count too low", "list cut short"])
def test_a_list_that_is_not_whole_tombstones_nothing(hasty, flawless, lies):
    whole = list(hasty.upstream.items)
    if lies == "list cut short":
        hasty.upstream.count = len(whole)
        hasty.upstream.items = whole[:10]
    else:
        hasty.upstream.count = len(whole) + (1 if lies == "count too high" else -1)

    ran = hasty.run_here()

    assert ran.code == 1
    assert "list is incomplete" in ran.result.error
    gone = rows_of(hasty.url, "SELECT plan_id FROM plans WHERE gone_at IS NOT NULL")
    assert [row["plan_id"] for row in gone] in ([], ["plan-26"])  # that one answered 404
    listed = b" ".join(hasty.upstream.items)
    told = {plan_id: told for plan_id, told in hasty.upstream.bodies.items() if plan_id.encode() in listed}
    hasty.upstream.items, hasty.upstream.count = whole, None
    assert hasty.losses(flawless[2], bodies=told) == []


def test_twenty_failing_requests_in_a_row_end_the_run_and_name_the_rest(hasty, flawless):
    struck = set()

    def strike(call):
        if call.kind == "deploy_info" and (call.nth > 5 or call.plan_id in struck):
            struck.add(call.plan_id)
            return said(503)
        return None

    hasty.upstream.strike = strike
    ran = hasty.run_here(concurrency=1)

    named = rows_of(hasty.url, f"SELECT plan_id, stage FROM fetch_failures WHERE run_id = '{ran.result.run_id}'")
    by_stage = {stage: sum(row["stage"] == stage for row in named) for stage in ("deploy_info", "not_tried")}
    assert ran.result.outcome == "partial"
    assert by_stage["deploy_info"] == len(struck) == 20
    assert by_stage["not_tried"] > 0
    counts = ran.result.counts
    assert counts.plans_failed == len(named)
    assert counts.plans_listed == counts.plans_fetched + counts.plans_skipped + counts.plans_failed
    assert hasty.losses(flawless[2]) == []


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_an_hour_off_is_survived(archive, tmp_path, nights, flawless, hours):
    clock = MovingClock()
    case = Case(archive.url, Upstream().show(nights.first_night), tmp_path, clock)
    clock.set(clock.now() + timedelta(hours=hours))
    assert case.run_here().code == 0
    case.upstream.show(nights.second_night)
    clock.set(datetime.now(UTC))

    ran = case.run_here()

    assert ran.code == 0
    assert case.losses(flawless[2], last_run_id=ran.result.run_id) == []


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_by_an_hour_within_a_run_is_survived(hasty, flawless, hours):
    def strike(call):
        if call.nth == 12 and call.kind == "deploy_info":
            hasty.clock.advance(hours * 3600)

    hasty.upstream.strike = strike
    ran = hasty.run_here()

    assert ran.code == 0
    assert hasty.losses(flawless[2], last_run_id=ran.result.run_id) == []


@pytest.mark.parametrize("hours", [1, -1])
def test_a_signature_of_a_clock_an_hour_off_is_refused_and_the_clock_is_named(case, flawless, hours):
    case.clock = MovingClock()
    case.clock.set(case.clock.now() + timedelta(hours=hours))
    case.upstream.strike = lambda _: said(401, b'{"error_code":"APIGW.0301","error_msg":"Signature expired"}')

    ran = case.run_here(access_key="AK", secret_key="SK")

    assert ran.code == 3
    assert f"clock is 60 min {'ahead of' if hours > 0 else 'behind'}" in str(ran.error or ran.result.error)
    case.clock = MovingClock()
    assert case.losses(flawless[1], last_run_id=ran.result.run_id) == []


def test_the_facts_are_equal_on_both_databases(after_one_night, flawless):
    assert after_one_night.run_here().code == 0

    assert after_one_night.facts() == flawless[2]
    assert {row["project_id"] for row in rows_of(after_one_night.url, "SELECT project_id FROM plans")} == {PROJECT}
