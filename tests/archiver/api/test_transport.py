"""Proxies and trust, through a real CONNECT proxy and certificates made here."""

import base64
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from loopback_server import ConnectProxy, Loopback, in_turn, said

from archiver.api.auth import IamUser, PasswordToken
from archiver.api.client import Limits
from archiver.api.throttle import Throttle
from archiver.api.transport import open_http
from archiver.errors import GiveUpPlanError, GiveUpRunError, SettingsError

GOOD = said(body={"components": []})
HOST = "servicestage.test"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def named(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def certificate(subject, key, issuer, issuer_key, *extensions):
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(named(subject)).issuer_name(named(issuer))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture(scope="module")
def trust(tmp_path_factory):
    """Return (file of the private authority, a server's TLS context with a certificate that it signed)."""
    folder = tmp_path_factory.mktemp("trust")
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    is_authority = x509.BasicConstraints(ca=True, path_length=None)
    authority = certificate("Test CA", authority_key, "Test CA", authority_key, is_authority)
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    names = x509.SubjectAlternativeName([x509.DNSName(HOST), x509.DNSName("iam.test"), loopback])
    server = certificate(HOST, key, "Test CA", authority_key, names)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(
        server.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return folder / "ca.pem", context


async def test_api_and_iam_go_through_the_proxy_with_a_private_authority(make_api, clock, trust):
    ca_file, tls = trust

    def answer(seen):
        return said(201, {}, [("X-Subject-Token", "T")]) if seen.method == "POST" else GOOD

    async with Loopback(answer, tls=tls) as server, ConnectProxy(server.port) as proxy:
        url = f"http://me:p%40ss@127.0.0.1:{proxy.port}"
        async with open_http(proxy=url, ca_bundle=ca_file, concurrency=2) as http:
            user = IamUser("https://iam.test", "robot", "password", "acme", "p1")
            auth = PasswordToken(user, http=http, throttle=Throttle(0), clock=clock, limits=Limits())
            await make_api(f"https://{HOST}", http=http, auth=auth).fetch_deploy_info("plan-1")

    assert [head.split("\r\n")[0] for head in proxy.heads] == [
        "CONNECT iam.test:443 HTTP/1.1",
        f"CONNECT {HOST}:443 HTTP/1.1",
    ]
    credentials = base64.b64encode(b"me:p@ss").decode()
    assert all(f"Proxy-Authorization: Basic {credentials}" in head for head in proxy.heads)
    assert all("X-Auth-Token" not in head for head in proxy.heads)
    assert len(server.requests) == 2


@pytest.mark.parametrize("is_through_proxy", [False, True])
async def test_without_the_authority_the_error_names_the_setting(make_api, trust, is_through_proxy):
    _, tls = trust
    async with Loopback(in_turn(GOOD), tls=tls) as server, ConnectProxy(server.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}" if is_through_proxy else None
        endpoint = f"https://{HOST}" if is_through_proxy else server.url
        async with open_http(proxy=url, ca_bundle=None, concurrency=2) as http:
            api = make_api(endpoint, http=http)
            with pytest.raises(GiveUpRunError, match=r"not trusted \(.*\); set ARCHIVER_CA_BUNDLE") as caught:
                await api.list_release_plans()

    assert "\n" not in str(caught.value)
    assert api.counts.requests == 1
    assert server.requests == []


async def test_a_certificate_for_another_host_is_refused(make_api, trust):
    ca_file, tls = trust
    async with (
        Loopback(in_turn(GOOD), tls=tls) as server,
        ConnectProxy(server.port) as proxy,
        open_http(proxy=f"127.0.0.1:{proxy.port}", ca_bundle=ca_file, concurrency=2) as http,
    ):
        with pytest.raises(GiveUpPlanError, match="Hostname mismatch"):
            await make_api("https://other.test", http=http).fetch_deploy_info("plan-1")


async def test_the_private_authority_adds_to_the_systems_trust(trust):
    ca_file, _ = trust
    async with (
        open_http(proxy=None, ca_bundle=None, concurrency=1) as system,
        open_http(proxy=None, ca_bundle=ca_file, concurrency=1) as both,
    ):
        before = system._transport.ssl_context.cert_store_stats()["x509_ca"]
        context = both._transport.ssl_context

    assert context.cert_store_stats()["x509_ca"] == before + 1
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_the_environments_proxy_is_followed(make_api, trust, monkeypatch, variable):
    ca_file, tls = trust
    async with Loopback(in_turn(GOOD), tls=tls) as server, ConnectProxy(server.port) as proxy:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.port}")
        async with open_http(proxy=None, ca_bundle=ca_file, concurrency=2) as http:
            await make_api(f"https://{HOST}", http=http).fetch_deploy_info("plan-1")

    assert len(proxy.heads) == 1


async def test_ssl_cert_file_is_followed(make_api, trust, monkeypatch):
    ca_file, tls = trust
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    async with (
        Loopback(in_turn(GOOD), tls=tls) as server,
        open_http(proxy=None, ca_bundle=None, concurrency=2) as http,
    ):
        await make_api(server.url, http=http).fetch_deploy_info("plan-1")

    assert len(server.requests) == 1


async def test_no_proxy_is_followed(make_api, monkeypatch):
    async with Loopback(in_turn(GOOD)) as server, ConnectProxy(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", ".invalid")
        async with open_http(proxy=None, ca_bundle=None, concurrency=2) as http:
            transport = http._transport
            await make_api(server.url, http=http).fetch_deploy_info("plan-1")
            direct = transport._proxy_for(http.build_request("GET", "https://a.invalid/").url)
            proxied = transport._proxy_for(http.build_request("GET", "https://a.example/").url)

    assert direct is None
    assert proxied == f"http://127.0.0.1:{proxy.port}"
    assert proxy.heads == []


async def test_loopback_goes_through_an_explicit_proxy_only(make_api, monkeypatch):
    async with Loopback(in_turn(GOOD)) as server, Loopback(in_turn(GOOD)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        async with open_http(proxy=None, ca_bundle=None, concurrency=2) as http:
            await make_api(server.url, http=http).fetch_deploy_info("plan-1")
        assert len(server.requests) == 1
        assert proxy.requests == []

        async with open_http(proxy=proxy.url, ca_bundle=None, concurrency=2) as http:
            await make_api(server.url, http=http).fetch_deploy_info("plan-1")
        assert proxy.requests[0].target == f"{server.url}/v3/p1/cas/release-plans/plan-1/deploy-info"


async def test_a_proxy_that_refuses_is_named_and_not_asked_again(make_api):
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with ConnectProxy(1, refuse_with=refusal) as proxy:
        url = f"http://user:proxy-secret@127.0.0.1:{proxy.port}"
        async with open_http(proxy=url, ca_bundle=None, concurrency=2) as http:
            with pytest.raises(GiveUpRunError, match=r"HTTP 407.*check ARCHIVER_PROXY") as caught:
                await make_api(f"https://{HOST}", http=http).list_release_plans()

    assert len(proxy.heads) == 1
    assert "proxy-secret" not in str(caught.value)


async def test_a_proxy_that_is_down_is_retried_and_named(make_api):
    async with open_http(proxy="http://user:proxy-secret@127.0.0.1:1", ca_bundle=None, concurrency=2) as http:
        api = make_api(f"https://{HOST}", http=http)
        with pytest.raises(GiveUpRunError, match=r"the proxy can't be reached.*check ARCHIVER_PROXY") as caught:
            await api.list_release_plans()

    assert api.counts.retries > 1
    assert "proxy-secret" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["socks5://user:proxy-secret@h:1", "http://", "::", "ftp://h"])
def test_a_proxy_that_is_none_is_refused_without_being_shown(proxy):
    with pytest.raises(SettingsError, match="ARCHIVER_PROXY must be") as caught:
        open_http(proxy=proxy, ca_bundle=None, concurrency=1)

    assert "proxy-secret" not in str(caught.value)


def test_a_bundle_that_can_not_be_read_is_refused(tmp_path):
    (tmp_path / "not.pem").write_text("hello")
    for path in (tmp_path / "missing.pem", tmp_path / "not.pem"):
        with pytest.raises(SettingsError, match="ARCHIVER_CA_BUNDLE"):
            open_http(proxy=None, ca_bundle=path, concurrency=1)
