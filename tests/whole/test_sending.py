"""`reports weekly --send`: real deliveries over loopback, those that fail, and the secrets that show nowhere."""

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from receivers import mail_server, web_server
from report_builders import attempt, component, night, run, save
from sqlalchemy import create_engine

from archiver import delivery, schema
from archiver.clock import ManualClock
from archiver.delivery import Service
from reports import cli

# Apprise looks for this module of the standard library when it loads its services.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

CANARY = "canary-4f1d9e"
CLOCK = ManualClock(datetime(2026, 11, 24, 12, tzinfo=UTC))
STEM = "weekly-2026-W47"


@pytest.fixture
def web():
    with web_server() as server:
        yield server


@pytest.fixture
def hook(web):
    """Return a function that gives the URL of one of the web server's paths, secrets in every part of it."""
    port = web.server_address[1]
    return lambda path: f"json://user:{CANARY}@127.0.0.1:{port}/{path}?-token={CANARY}"


@pytest.fixture
def send(sqlite_archive_file, monkeypatch, capfd):
    """Return a function that sends the report of 2026-W47 to URLs, and gives exit code, output and errors.

    A delivery asks nothing of the database, so that one kind of it is enough.
    """
    engine = create_engine(sqlite_archive_file.url)  # without foreign keys
    save(
        engine,
        attempts=[attempt("failed", component="=api")],
        components=[component()],
        nights=[night(f"2026-11-{16 + day}") for day in range(7)],
        runs=[run()],
    )
    engine.dispose()
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", sqlite_archive_file.url)

    def call(*urls, options=()):
        if urls:
            monkeypatch.setenv("ARCHIVER_NOTIFY_URLS", " ".join(urls))
        code = cli.run(["weekly", "--send", *options], clock=CLOCK)
        return code, *capfd.readouterr()

    return call


def test_a_webhook_gets_the_text_the_page_and_the_json_of_the_report(send, web, hook, tmp_path):
    code, out, err = send(hook("ok"), options=["--out", str(tmp_path / "out")])

    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "sent to json://127.0.0.1"
    [taken] = web.taken
    assert taken["title"] == "Releases in 2026-W47: too little data"
    assert "- 1 of 1 finished attempt failed." in taken["message"]
    files = {one["filename"]: base64.b64decode(one["base64"]) for one in taken["attachments"]}
    assert files == {name: (tmp_path / "out" / name).read_bytes() for name in (f"{STEM}.html", f"{STEM}.json")}


def test_a_mail_has_the_charts_as_svg_the_text_beside_it_and_the_files(send):
    with mail_server() as (port, mails):
        code, out, _ = send(f"mailto://127.0.0.1:{port}?from=archiver@example.org&to=ana@example.org,bo@example.org")

    assert (code, out) == (0, "sent to mailto://127.0.0.1\n")
    assert [recipients for recipients, _ in mails] == [["ana@example.org"], ["bo@example.org"]]
    mail = mails[0][1]
    assert mail["subject"] == "Releases in 2026-W47: too little data"
    assert mail.get_body(("html",)).get_content().count('<img src="data:image/svg+xml;base64,') == 2
    words = mail.get_body(("plain",)).get_content()
    assert "1 of 1 finished attempt failed." in words
    assert "W46W47" not in words  # as the drawings' axes would say it
    assert [one.get_filename() for one in mail.iter_attachments()] == [f"{STEM}.html", f"{STEM}.json"]


def test_of_two_services_one_fails_and_the_other_has_it_and_the_report_is_kept(
    send, web, hook, sqlite_archive_file, tmp_path
):
    code, out, err = send(hook("busy"), hook("ok"), options=["--issue", "--out", str(tmp_path / "out")])

    assert code == 1
    assert err == (
        "reports: the report of 2026-W47 was not delivered to json://127.0.0.1 (URL 1 of 2): HTTP status 503\n"
    )
    assert out.splitlines()[-1] == "sent to json://127.0.0.1 (URL 2 of 2)"
    assert len(web.taken) == 1
    [issued] = sqlite_archive_file.rows(schema.issued_reports)
    assert (tmp_path / "out" / f"{STEM}.json").read_text("utf-8") == issued["report"]


def test_the_secrets_of_a_url_show_nowhere(send, web, hook, sqlite_archive_file, tmp_path):
    unreachable = f"jsons://user:{CANARY}@no-such-host.invalid/{CANARY}"
    refused = f"mailto://user:{CANARY}@127.0.0.1:1?from=a@example.org"

    _, out, err = send(hook("busy"), hook("ok"), unreachable, refused, options=["--issue", "--out", "out"])

    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    tables = [repr(sqlite_archive_file.rows(table)) for table in schema.metadata.sorted_tables]
    assert len(files) > 3
    assert f"token={CANARY}" in " ".join(web.paths)  # it did go where it belongs
    assert not any(CANARY in text for text in (out, err, *tables, json.dumps(web.taken)))
    assert not any(CANARY.encode() in content for content in files)
    assert CANARY not in repr(Service(unreachable, "jsons://no-such-host.invalid"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("json://127.0.0.1:1/", "json://127.0.0.1: the connection was refused"),
        ("mailto://127.0.0.1:1?from=a@example.org", "mailto://127.0.0.1: the connection was refused"),
        ("jsons://no-such-host.invalid/", "jsons://no-such-host.invalid: the host is not known"),
    ],
)
def test_a_service_out_of_reach_is_one_line_and_exit_1(send, url, words):
    code, out, err = send(url)

    assert (code, out) == (1, "")
    assert err == f"reports: the report of 2026-W47 was not delivered to {words}\n"


def test_a_redirect_is_not_followed_even_where_the_url_asks_for_it(send, web, hook):
    code, _, err = send(hook("moved") + "&redirect=yes")

    assert code == 1
    assert "HTTP status 307, and redirects are not followed" in err
    assert web.taken == []


def test_a_service_that_never_answers_is_given_up_after_its_time(send, web, hook, monkeypatch):
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", 3.0)

    code, out, err = send(hook("slow") + "&rto=600", hook("ok"))

    assert code == 1
    assert "(URL 1 of 2): it took longer than 3 s, and may have it or not" in err
    assert out == "sent to json://127.0.0.1 (URL 2 of 2)\n"
    assert [path.partition("?")[0] for path in web.paths] == ["/slow", "/ok"]


def test_a_private_authority_is_trusted_by_its_bundle_alone(send, certificate, monkeypatch):
    with web_server(tls=certificate) as server:
        url = f"jsons://127.0.0.1:{server.server_address[1]}/ok"
        without = send(url)
        monkeypatch.setenv("ARCHIVER_CA_BUNDLE", str(certificate[0]))
        with_it = send(url)

    assert without[0] == 1
    assert "its certificate is not trusted: name its CA in ARCHIVER_CA_BUNDLE" in without[2]
    assert with_it == (0, "sent to jsons://127.0.0.1\n", "")


def test_the_proxy_of_the_settings_carries_the_message_and_that_of_the_environment_leaves_loopback_alone(
    send, web, hook, monkeypatch
):
    proxy = f"http://127.0.0.1:{web.server_address[1]}"
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    direct = send(hook("ok"))
    monkeypatch.setenv("ARCHIVER_PROXY", proxy)
    carried = send("json://127.0.0.1:1/carried")

    assert (direct[0], carried[0]) == (0, 0)
    # A proxy is asked with the whole address.
    assert web.paths[-1] == "http://127.0.0.1:1/carried"


@pytest.mark.parametrize(
    ("urls", "words"),
    [
        ((), "set ARCHIVER_NOTIFY_URLS"),
        ((" , ",), "set ARCHIVER_NOTIFY_URLS"),
        ((f"jsons://example.com jsons://u:{CANARY}@example.com?verify=no",), "URL 2 of 2 says verify=no"),
        ((CANARY,), "ARCHIVER_NOTIFY_URLS holds no URL in place 1 of 1"),
    ],
)
def test_nowhere_to_send_to_is_one_line_and_exit_2_and_nothing_is_written(send, tmp_path, urls, words):
    code, out, err = send(*urls, options=["--out", str(tmp_path / "out")])

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err
    assert CANARY not in err
    assert not (tmp_path / "out").exists()


def test_without_the_extra_it_says_what_to_install(send, hook, monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)

    code, out, err = send(hook("ok"))

    assert (code, out) == (2, "")
    assert err == "reports: --send needs the extra notify: pip install 'release-archiver[notify]'\n"


def test_apprise_is_loaded_by_nothing_but_sending():
    loaded = "import sys, reports.cli, archiver.cli; print('apprise' in sys.modules, 'requests' in sys.modules)"

    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)

    assert said.stdout == "False False\n"
