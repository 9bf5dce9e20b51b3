"""AK/SK signatures, against the vendor's two published vectors and the vendor's own signer."""

import warnings
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.api.signing import Signer, canonical_path, signature
from archiver.clock import ManualClock
from archiver.errors import SettingsError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the vendor's package uses what later Pythons deprecate
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.sdk_request import SdkRequest
    from huaweicloudsdkcore.signer.signer import Signer as VendorSigner

ID = "0123456789abcdef0123456789abcdef"
PLAN_PATH = f"/v3/{ID}/cas/release-plans/4cf4d39e-c11a-41b0-82eb-30defc376d52/deploy-info"


async def signed(signer, request):
    """Run the auth flow up to the request that it sends."""
    flow = signer.async_auth_flow(request)
    sent = await anext(flow)
    await flow.aclose()
    return sent


def test_the_first_published_vector():
    headers = {
        "content-type": "application/json",
        "host": "service.region.example.com",
        "x-sdk-date": "20191115T033655Z",
    }

    found = signature(
        "GET",
        "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs/",
        "limit=2&marker=13551d6b-755d-4757-b956-536f674975c0",
        headers,
        b"",
        secret_key="MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc",
    )

    assert found == "7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"


async def test_the_second_published_vector_through_the_auth_flow():
    clock = ManualClock(datetime(2024, 4, 1, 6, 27, 40, tzinfo=UTC))
    signer = Signer("AKEXAMPLE", "SKEXAMPLE", clock=clock, project_id=ID)
    url = f"https://servicestage.cn-north-4.myhuaweicloud.com{PLAN_PATH}"

    request = await signed(signer, httpx.Request("GET", url, headers={"Content-Type": "application/json"}))

    assert request.headers["X-Sdk-Date"] == "20240401T062740Z"
    assert request.headers["Authorization"] == (
        "SDK-HMAC-SHA256 Access=AKEXAMPLE, SignedHeaders=content-type;host;x-project-id;x-sdk-date, "
        "Signature=74e44aeb7bb617f6ab8e4d380bad7d58b3b15ca9419db5bc8643ca691de04fbc"
    )


async def test_a_temporary_key_signs_its_security_token():
    signer = Signer("AK", "SK", clock=ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), security_token="TEMPORARY")

    request = await signed(signer, httpx.Request("GET", "https://h/v3"))

    assert request.headers["X-Security-Token"] == "TEMPORARY"
    assert "SignedHeaders=host;x-sdk-date;x-security-token," in request.headers["Authorization"]


async def test_each_try_is_signed_with_its_own_date():
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    signer = Signer("AK", "SK", clock=clock)
    first = (await signed(signer, httpx.Request("GET", "https://h/v3"))).headers["Authorization"]

    clock.advance(1)
    second = (await signed(signer, httpx.Request("GET", "https://h/v3"))).headers["Authorization"]

    assert first != second


def test_an_encoded_slash_stays_inside_its_segment():
    assert canonical_path("/a%2Fb/%2E%2E/c%25") == "/a%2Fb/../c%25/"


def test_keys_that_no_header_can_carry_are_refused_without_being_shown():
    with pytest.raises(SettingsError, match="ARCHIVER_ACCESS_KEY") as caught:
        Signer("AK\nSECRET", "SK", clock=ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))

    assert "SECRET" not in str(caught.value)


segments = st.lists(st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"])), max_size=5)
pairs = st.dictionaries(st.text(min_size=1), st.text(), max_size=4)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@settings(deadline=None, max_examples=150)
@given(
    path=segments,
    query=pairs,
    content_type=st.sampled_from(["application/json", "application/json;charset=utf8"]),
    project_id=values,
    body=st.binary(max_size=40),
    method=st.sampled_from(["GET", "POST", "PUT"]),
)
def test_the_signature_is_the_vendors(*, path, query, content_type, project_id, body, method):
    sent_path = "/" + "/".join(quote(segment, safe="") for segment in path)
    headers = {
        "content-type": content_type,
        "host": "servicestage.example.com",
        "x-project-id": project_id,
        "x-sdk-date": "20240401T062740Z",
    }
    asked = SdkRequest(
        method=method,
        resource_path=sent_path,
        query_params=list(query.items()),
        header_params=dict(headers),
        body=body,
    )
    expected = VendorSigner(BasicCredentials("AK", "SK", "p")).sign(asked).header_params["Authorization"]

    found = signature(method, sent_path, urlencode(query), headers, body, secret_key="SK")

    assert expected.endswith(f"Signature={found}")
