"""Faults by number: which request is struck, and what its answer looks like without a socket."""

import json
from datetime import timedelta

import pytest

from archiver.simulator import Fault, Faults, Request, Simulator, WireFault


@pytest.fixture
def visit(history, clock):
    """Return a function that sends a request to a simulator with the faults given first."""

    def start(*rules):
        simulator = Simulator(history, now=clock.now, faults=Faults(rules))
        base = f"/v3/{history.project_ids[0]}/cas/release-plans"
        return lambda rest="": simulator.handle(Request("GET", base + rest))

    return start


@pytest.fixture
def plan_ids(history):
    return [plan.plan_id for plan in history.timelines[history.project_ids[0]] if plan.states[-1].deploy_info]


def test_every_third_request_of_a_kind_is_struck(visit, plan_ids):
    go = visit(Fault("status", match="deploy-info", every=3, status=429, headers={"Retry-After": "2"}))

    answers = [go(f"/{plan_id}/deploy-info") for plan_id in plan_ids[:7]]
    lists = [go() for _ in range(6)]

    assert [a.status for a in answers] == [200, 200, 429, 200, 200, 429, 200]
    assert {a.status for a in lists} == {200}
    assert answers[2].headers["Retry-After"] == "2"
    error = json.loads(answers[2].body)
    assert error["error_code"] == "APIGW.0308"
    assert error["request_id"] == answers[2].headers["X-Request-Id"]


def test_some_go_free_first_and_a_fault_wears_out(visit):
    go = visit(Fault("status", status=500, after=2, times=1))

    assert [go().status for _ in range(5)] == [200, 200, 500, 200, 200]


def test_one_plan_alone_can_be_struck(visit, plan_ids):
    go = visit(Fault("status", plan_id=plan_ids[1], status=403))

    assert [go(f"/{plan_id}/deploy-info").status for plan_id in plan_ids[:3]] == [200, 403, 200]


def test_the_list_alone_can_be_struck(visit, plan_ids):
    go = visit(Fault("status", match="release-plans$", status=502, body=b"<html>Bad gateway</html>"))

    assert (go().status, go().body) == (502, b"<html>Bad gateway</html>")
    assert go(f"/{plan_ids[0]}/deploy-info").status == 200


def test_the_service_can_be_away_for_a_while(visit, clock):
    start = clock.now()
    go = visit(Fault("status", status=503, since=start + timedelta(hours=1), until=start + timedelta(hours=2)))
    statuses = []

    for _ in range(4):
        statuses.append(go().status)
        clock.advance(40 * 60)

    assert statuses == [200, 200, 503, 200]


def test_the_first_rule_that_strikes_wins_and_the_others_count_on(visit):
    go = visit(Fault("status", every=2, status=500), Fault("status", every=3, status=429))

    assert [go().status for _ in range(6)] == [200, 500, 429, 500, 200, 500]


def test_a_wrong_count_is_one_more_than_the_list_holds(visit):
    content = json.loads(visit(Fault("wrong_count"))().body)

    assert content["count"] == len(content["release_plans"]) + 1


def test_a_body_of_the_wrong_shape_is_whole_json(visit, plan_ids):
    go = visit(Fault("wrong_json", match="deploy-info", times=1), Fault("wrong_json", body=b"[NaN"))

    response = go(f"/{plan_ids[0]}/deploy-info")

    assert response.status == 200
    assert not isinstance(json.loads(response.body)["components"], list)
    assert go().body == b"[NaN"
    assert go("/nobody/deploy-info").status == 404


@pytest.mark.parametrize("kind", ["cut", "reset", "drip", "delay"])
def test_what_only_a_socket_can_do_is_left_as_a_hint(visit, kind):
    good = visit()()

    response = visit(Fault(kind, at_byte=7, with_content_length=False, pause_seconds=0.5))()

    assert response.body == good.body
    assert response.fault == WireFault(kind, at_byte=7, with_content_length=False, pause_seconds=0.5)
