"""Pings: where they go, that they fail no run, and that their URL is shown nowhere."""

import socket
import threading
import time
from contextlib import suppress

import pytest
import structlog
from pydantic import SecretStr
from receivers import web_server

from archiver import pings
from archiver.errors import SettingsError
from archiver.pings import begun, ping, ping_address
from archiver.settings import Settings, load_settings

KEY = "5f0a-hunter2"


@pytest.mark.parametrize(
    ("url", "word", "address"),
    [
        ("https://hc.example/5f", "success", "https://hc.example/5f"),
        ("https://hc.example/5f", "start", "https://hc.example/5f/start"),
        ("https://hc.example/key/slug/?create=1", "fail", "https://hc.example/key/slug/fail?create=1"),
    ],
)
def test_the_word_goes_to_the_end_of_the_path(url, word, address):
    assert ping_address(url, word) == address


async def test_each_word_is_asked_for(monkeypatch):
    with web_server() as web:
        settings = Settings(ping_url=SecretStr(f"http://127.0.0.1:{web.server_address[1]}/{KEY}"))
        for word in ("start", "success", "fail"):
            await ping(settings, word)

    assert web.paths == [f"/{KEY}/start", f"/{KEY}", f"/{KEY}/fail"]


@pytest.mark.parametrize(
    ("path", "event"), [("busy", "ping.refused"), ("moved", "ping.refused"), (None, "ping.not_sent")]
)
async def test_a_ping_that_fails_is_said_without_its_url(path, event):
    with web_server() as web:
        port = web.server_address[1] if path else 1
        settings = Settings(ping_url=SecretStr(f"http://127.0.0.1:{port}/{path}?key={KEY}"))
        with structlog.testing.capture_logs() as log:
            await ping(settings, "success")

    assert [entry["event"] for entry in log] == [event]
    assert KEY not in str(log)
    assert KEY not in repr(settings)


def drip_a_head_that_never_ends(server):
    client, _ = server.accept()
    with client, suppress(OSError):
        client.recv(4096)
        client.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            time.sleep(0.02)
            client.sendall(b"x")


def answer_without_http(server):
    client, _ = server.accept()
    with client:
        client.recv(4096)
        client.sendall(b"220 ready\r\n\r\n")


@pytest.mark.parametrize(
    ("behave", "error"),
    [(drip_a_head_that_never_ends, "TimeoutError"), (answer_without_http, "ClientResponseError")],
)
async def test_a_server_that_is_none_neither_fails_nor_holds_a_run(monkeypatch, behave, error):
    monkeypatch.setattr(pings, "PING_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        serving = threading.Thread(target=behave, args=(server,))
        serving.start()
        with structlog.testing.capture_logs() as log:
            await ping(Settings(ping_url=SecretStr(f"http://127.0.0.1:{server.getsockname()[1]}/{KEY}")), "start")
        serving.join()

    assert [(entry["event"], entry["error"]) for entry in log] == [("ping.not_sent", error)]


async def test_a_host_name_that_is_none_fails_no_run():
    with structlog.testing.capture_logs() as log:
        await ping(Settings(ping_url=SecretStr(f"https://ä..example/{KEY}")), "start")

    assert [entry["event"] for entry in log] == ["ping.not_sent"]
    assert KEY not in str(log)


async def test_a_certificate_that_is_not_trusted_is_named(certificate):
    with web_server(certificate) as web, structlog.testing.capture_logs() as log:
        await ping(Settings(ping_url=SecretStr(f"https://127.0.0.1:{web.server_address[1]}/{KEY}")), "start")

    assert [entry["error"] for entry in log] == ["ClientConnectorCertificateError"]


async def test_a_run_that_breaks_pings_its_failure():
    with web_server() as web:
        settings = Settings(ping_url=SecretStr(f"http://127.0.0.1:{web.server_address[1]}/{KEY}"))
        with pytest.raises(SettingsError):
            async with begun(settings):
                raise SettingsError("a proxy that is none")

    assert web.paths == [f"/{KEY}/start", f"/{KEY}/fail"]


async def test_a_proxy_carries_pings_too():
    with web_server() as web:
        proxy = SecretStr(f"http://127.0.0.1:{web.server_address[1]}")
        await ping(Settings(ping_url=SecretStr("http://127.0.0.1:1/key"), proxy=proxy), "success")

    assert web.paths == ["http://127.0.0.1:1/key"]


@pytest.mark.parametrize("url", [f"http://example.com/{KEY}", KEY, f"https://e.com/{KEY} x", f"ftp://e.com/{KEY}"])
def test_a_url_that_is_none_or_in_the_clear_is_refused_without_showing_it(monkeypatch, url):
    monkeypatch.setenv("ARCHIVER_PING_URL", url)

    with pytest.raises(SettingsError, match="ARCHIVER_PING_URL") as caught:
        load_settings()

    assert KEY not in str(caught.value)


def test_the_url_can_stand_in_a_file(monkeypatch, tmp_path):
    (tmp_path / "ping").write_text(f"https://hc.example/{KEY}\n")
    monkeypatch.setenv("ARCHIVER_PING_URL_FILE", str(tmp_path / "ping"))

    assert load_settings().ping_url.get_secret_value() == f"https://hc.example/{KEY}"
