"""The service without a socket: endpoints, errors and the three ways to prove who one is."""

import json
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from archiver.clock import ManualClock
from archiver.simulator import PLANTED_SECRET, Credentials, Faults, Request, Simulator
from archiver.simulator.access import signature_refusal

BY_PASSWORD = Credentials(user="archiver", password="right", domain="acme")
PROJECT = "0123456789abcdef0123456789abcdef"
PLAN = "4cf4d39e-c11a-41b0-82eb-30defc376d52"


def get(simulator, path, **headers):
    return simulator.handle(
        Request("GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()})
    )


def list_path(history):
    return f"/v3/{history.project_ids[0]}/cas/release-plans"


def token_request(*, is_right=True, scope=None):
    user = {"name": "archiver", "password": "right" if is_right else "wrong", "domain": {"name": "acme"}}
    identity = {"methods": ["password"], "password": {"user": user}}
    auth = {"identity": identity, "scope": {"project": scope or {"name": "cn-north-4"}}}
    return Request("POST", "/v3/auth/tokens", "nocatalog=true", body=json.dumps({"auth": auth}).encode())


def test_the_list_grows_as_the_clock_moves_on_and_forgets_the_deleted(history):
    clock = ManualClock(history.starts_at)
    simulator = Simulator(history, now=clock.now)
    counts, ever = [], set()

    for _ in range(57):
        content = json.loads(get(simulator, list_path(history)).body)
        assert content["count"] == len(content["release_plans"])
        counts.append(content["count"])
        ever |= {item["id"] for item in content["release_plans"]}
        clock.advance(86_400)

    assert counts[0] < 5
    assert counts[-1] > 150
    assert len(ever) > counts[-1]


def test_a_quiet_instant_gives_the_same_bytes_and_the_list_is_not_in_order_of_time(simulator, history):
    first = get(simulator, list_path(history))

    again = get(simulator, list_path(history))

    created = [int(item["create_time"]) for item in json.loads(first.body)["release_plans"]]
    assert first.body == again.body
    assert created != sorted(created)
    assert created != sorted(created, reverse=True)


def test_deploy_info_tells_the_state_of_the_instant(history):
    plan = history.timelines[history.project_ids[0]][20]
    clock = ManualClock(history.starts_at)
    simulator = Simulator(history, now=clock.now)

    for state in plan.states:
        clock.set(datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=state.valid_from_ms))
        response = get(simulator, f"{list_path(history)}/{plan.plan_id}/deploy-info")
        assert response.status == (200 if state.deploy_info else 404)
        assert state.deploy_info is None or json.loads(response.body) == state.deploy_info


def test_a_plan_is_not_there_before_its_creation_nor_after_its_deletion(history):
    plan = next(p for p in history.timelines[history.project_ids[0]] if p.states[-1].list_item is None)
    path = f"{list_path(history)}/{plan.plan_id}/deploy-info"
    epoch = datetime.fromtimestamp(0, UTC)
    clock = ManualClock(epoch + timedelta(milliseconds=plan.states[0].valid_from_ms - 1))
    simulator = Simulator(history, now=clock.now)

    before = get(simulator, path)
    clock.set(epoch + timedelta(milliseconds=plan.states[-1].valid_from_ms))
    after = get(simulator, path)

    for response in (before, after):
        error = json.loads(response.body)
        assert response.status == 404
        assert error["error_code"].startswith("SVCSTG.00100")
        assert plan.plan_id in error["error_msg"]
        assert response.headers["X-Request-Id"]


def test_only_plan_detail_shows_the_planted_secret_and_calls_are_counted(simulator, history):
    plan_id = json.loads(get(simulator, list_path(history)).body)["release_plans"][0]["id"]

    detail = get(simulator, f"{list_path(history)}/{plan_id}")
    others = [get(simulator, list_path(history)), get(simulator, f"{list_path(history)}/{plan_id}/deploy-info")]

    content = json.loads(detail.body)
    assert content["id"] == plan_id
    assert content["components"][0].keys() == {"seq", "component_id", "name", "config"}
    assert content["fail_strategy"] in {"stop", "continue"}
    assert PLANTED_SECRET.encode() in detail.body
    assert not any(PLANTED_SECRET.encode() in response.body for response in others)
    assert simulator.seen == {"list": 2, "detail": 1, "deploy_info": 1}


@pytest.mark.parametrize("path", ["/", "/v3", "/v2/x/cas/release-plans", "/v3/x/cas/release-plans/", "/v3/x/y/z"])
def test_an_unknown_path_is_the_gateways_404(simulator, path):
    response = get(simulator, path)

    error = json.loads(response.body)
    assert (response.status, error["error_code"]) == (404, "APIGW.0101")
    assert error["request_id"] == response.headers["X-Request-Id"]


def test_an_unknown_project_is_forbidden(simulator):
    response = get(simulator, f"/v3/{PROJECT}/cas/release-plans")

    assert response.status == 403


def test_an_encoded_id_stays_one_segment(simulator, history):
    response = get(simulator, f"{list_path(history)}/a%2Fdeploy-info%3F/deploy-info")

    assert response.status == 404
    assert "a/deploy-info?" in json.loads(response.body)["error_msg"]


def test_iam_gives_a_long_token_for_a_day(history, clock):
    simulator = Simulator(history, now=clock.now, credentials=BY_PASSWORD)

    answer = simulator.handle(token_request())
    token = answer.headers["X-Subject-Token"]
    at_once = get(simulator, list_path(history), x_auth_token=token)
    clock.advance(86_399)
    just_in_time = get(simulator, list_path(history), x_auth_token=token)
    clock.advance(1)
    too_late = get(simulator, list_path(history), x_auth_token=token)

    assert answer.status == 201
    assert len(token) > 2000
    assert json.loads(answer.body)["token"]["expires_at"] == "2026-11-24T00:00:00.000000Z"
    assert [r.status for r in (at_once, just_in_time, too_late)] == [200, 200, 401]
    assert json.loads(too_late.body)["error_code"] == "APIGW.0307"


def test_a_token_can_be_revoked_and_another_one_had(history, clock):
    simulator = Simulator(history, now=clock.now, credentials=BY_PASSWORD)
    first = simulator.handle(token_request()).headers["X-Subject-Token"]

    simulator.gate.revoke_tokens()
    second = simulator.handle(token_request()).headers["X-Subject-Token"]

    assert get(simulator, list_path(history), x_auth_token=first).status == 401
    assert get(simulator, list_path(history), x_auth_token=second).status == 200
    assert simulator.gate.tokens_issued == 2


def test_a_token_can_die_after_so_many_requests(history, clock):
    simulator = Simulator(history, now=clock.now, credentials=BY_PASSWORD, faults=Faults(token_dies_after=2))
    first = simulator.handle(token_request()).headers["X-Subject-Token"]
    statuses = [get(simulator, list_path(history), x_auth_token=first).status for _ in range(4)]
    second = simulator.handle(token_request()).headers["X-Subject-Token"]

    assert statuses == [200, 200, 401, 401]
    assert get(simulator, list_path(history), x_auth_token=second).status == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (token_request(is_right=False), 401),
        (token_request(scope={"id": "nobody's"}), 404),
        (Request("POST", "/v3/auth/tokens", body=b'{"auth": []}'), 400),
        (Request("POST", "/v3/auth/tokens", body=b"not JSON"), 400),
    ],
)
def test_iam_refuses_in_its_own_words(history, clock, request_, status):
    simulator = Simulator(history, now=clock.now, credentials=BY_PASSWORD)

    response = simulator.handle(request_)

    error = json.loads(response.body)["error"]
    assert (response.status, error["code"]) == (status, status)
    assert error.keys() == {"code", "message", "title"}
    assert "X-Subject-Token" not in response.headers


def test_iam_takes_a_project_by_its_id_too(history, clock):
    simulator = Simulator(history, now=clock.now, credentials=BY_PASSWORD)

    assert simulator.handle(token_request(scope={"id": history.project_ids[0]})).status == 201


def test_a_ready_token_comes_in_and_no_other(history, clock):
    simulator = Simulator(history, now=clock.now, credentials=Credentials(tokens=("ready",)))

    assert get(simulator, list_path(history), x_auth_token="ready").status == 200
    assert get(simulator, list_path(history), x_auth_token="other").status == 401
    assert get(simulator, list_path(history)).status == 401


def test_secrets_do_not_show_in_a_repr():
    shown = repr(Credentials(tokens=("hush",), password="hush", secret_key="hush", security_token="hush"))

    assert "hush" not in shown


KEYS = Credentials(access_key="AKEXAMPLE", secret_key="SKEXAMPLE")
SIGNED_AT = datetime(2024, 4, 1, 6, 27, 40, tzinfo=UTC)
SIGNED = Request(
    "GET",
    f"/v3/{PROJECT}/cas/release-plans/{PLAN}/deploy-info",
    headers={
        "content-type": "application/json",
        "host": "servicestage.cn-north-4.myhuaweicloud.com",
        "x-project-id": PROJECT,
        "x-sdk-date": "20240401T062740Z",
        "authorization": "SDK-HMAC-SHA256 Access=AKEXAMPLE, "
        "SignedHeaders=content-type;host;x-project-id;x-sdk-date, "
        "Signature=74e44aeb7bb617f6ab8e4d380bad7d58b3b15ca9419db5bc8643ca691de04fbc",
    },
)


def test_the_published_signature_with_project_id_is_right():
    assert signature_refusal(SIGNED, KEYS, SIGNED_AT) is None


def test_the_published_signature_with_a_query_is_right():
    signed = Request(
        "GET",
        "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs/",
        "limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
        {
            "content-type": "application/json",
            "host": "service.region.example.com",
            "x-sdk-date": "20191115T033655Z",
            "authorization": "SDK-HMAC-SHA256 Access=QTWAOYTTINDUT2QVKYUC, "
            "SignedHeaders=content-type;host;x-sdk-date, "
            "Signature=7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe",
        },
    )
    keys = Credentials(access_key="QTWAOYTTINDUT2QVKYUC", secret_key="MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc")

    assert signature_refusal(signed, keys, datetime(2019, 11, 15, 3, 36, 55, tzinfo=UTC)) is None


def with_headers(**headers):
    return replace(SIGNED, headers={**SIGNED.headers, **{k.replace("_", "-"): v for k, v in headers.items()}})


@pytest.mark.parametrize(
    ("request_", "keys", "signed_at", "reason"),
    [
        (replace(SIGNED, path=SIGNED.path + "x"), KEYS, SIGNED_AT, "Verify"),
        (replace(SIGNED, query="a=1"), KEYS, SIGNED_AT, "Verify"),
        (replace(SIGNED, body=b"x"), KEYS, SIGNED_AT, "Verify"),
        (replace(SIGNED, method="POST"), KEYS, SIGNED_AT, "Verify"),
        (with_headers(host="elsewhere"), KEYS, SIGNED_AT, "Verify"),
        (SIGNED, replace(KEYS, secret_key="other"), SIGNED_AT, "Verify"),
        (SIGNED, replace(KEYS, access_key="other"), SIGNED_AT, "secretKey"),
        (SIGNED, replace(KEYS, security_token="temporary"), SIGNED_AT, "security token"),
        (SIGNED, KEYS, SIGNED_AT + timedelta(minutes=15, seconds=1), "clock"),
        (SIGNED, KEYS, SIGNED_AT - timedelta(minutes=15, seconds=1), "clock"),
        (with_headers(x_sdk_date="yesterday"), KEYS, SIGNED_AT, "clock"),
        (with_headers(authorization="Basic xyz"), KEYS, SIGNED_AT, "format"),
    ],
)
def test_a_wrong_signature_is_refused_with_its_reason(request_, keys, signed_at, reason):
    _, message = signature_refusal(request_, keys, signed_at)

    assert reason in message


def test_a_signature_within_a_quarter_of_an_hour_comes_in_and_temporary_keys_need_their_token():
    temporary = replace(KEYS, security_token="temporary")

    assert signature_refusal(SIGNED, KEYS, SIGNED_AT + timedelta(minutes=15)) is None
    assert signature_refusal(with_headers(x_security_token="temporary"), temporary, SIGNED_AT) is None


def test_the_vendors_own_signer_comes_in_even_with_an_odd_id():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from huaweicloudsdkcore.auth.credentials import BasicCredentials
        from huaweicloudsdkcore.sdk_request import SdkRequest
        from huaweicloudsdkcore.signer.signer import Signer
    path = f"/v3/{PROJECT}/cas/release-plans/a%20b%25%E5%8F%91~/deploy-info"
    headers = {"Content-Type": "application/json", "X-Sdk-Date": "20240401T062740Z"}
    theirs = SdkRequest(
        method="GET",
        host="stage.example.com",
        resource_path=path,
        query_params=[("b", "2 3"), ("a", "1")],
        header_params=headers,
        body="",
    )

    signed = Signer(BasicCredentials("AKEXAMPLE", "SKEXAMPLE", PROJECT)).sign(theirs)

    names = {name.lower(): value for name, value in signed.header_params.items()}
    request = Request("GET", path, "a=1&b=2%203", {"host": "stage.example.com"} | names)
    assert signature_refusal(request, KEYS, SIGNED_AT) is None
