"""A canary in every setting that is a credential sings nowhere: not on success, and not in any failure."""

import base64
import json
import os
import re
import secrets
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
import zstandard
from receivers import web_server
from sqlalchemy import create_engine, select
from sqlalchemy.engine import make_url

from archiver import schema
from archiver.settings import Settings
from archiver.simulator import Credentials, Simulator, build_history, running

ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
HISTORY = build_history(7, ends_at=ENDS_AT, weeks=1, projects=1, plans_per_week=4)
PROJECT = HISTORY.project_ids[0]
TAG = secrets.token_hex(9)  # what every canary holds
LOUD = Path(__file__).with_name("loud.py")


def canary(name):
    """Return the canary of a setting: a text that a header, a URL and a password field can carry."""
    return f"{name}-{TAG}"


KEYS = {"ARCHIVER_ACCESS_KEY": canary("ak"), "ARCHIVER_SECRET_KEY": canary("sk")}
PASSWORD = {
    "ARCHIVER_IAM_USER": canary("user"),
    "ARCHIVER_IAM_PASSWORD": canary("password"),
    "ARCHIVER_IAM_DOMAIN": canary("domain"),
}
TOKEN = {"ARCHIVER_TOKEN": canary("token")}
VENDOR = {
    "HUAWEICLOUD_SDK_AK": canary("ak"),
    "HUAWEICLOUD_SDK_SK": canary("sk"),
    "HUAWEICLOUD_SDK_SECURITY_TOKEN": canary("sts"),
}
STS = {"ARCHIVER_SECURITY_TOKEN": canary("sts")}
DATABASE = {"ARCHIVER_DATABASE_URL": f"postgresql+psycopg://u:{canary('db')}@127.0.0.1:1/d"}
PROXY = {"ARCHIVER_PROXY": f"http://proxy:{canary('proxy')}@127.0.0.1:1"}
PING = {"ARCHIVER_PING_URL": f"http://127.0.0.1:1/{canary('ping')}"}
NOTIFY = {"ARCHIVER_NOTIFY_URLS": f"json://me:{canary('hook')}@127.0.0.1:1/{canary('path')}"}


def songs(text):
    """Return where the canary's tag stands in bytes: as it is, or in the encodings that carry credentials."""
    forms = {TAG.encode(), TAG.upper().encode(), quote(TAG).encode(), TAG.encode().hex().encode()}
    for shift in range(3):
        forms.add(base64.b64encode(b"x" * shift + TAG.encode())[4 if shift else 0 : -4].rstrip(b"="))
    return [text[max(0, text.index(form) - 80) : text.index(form) + 80] for form in forms if form in text]


def command_lines():
    """Return the arguments of every process there is, as anyone on this machine can read them."""
    found = b""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += process.read_bytes() + b"\n"
        except OSError:
            continue  # it ended meanwhile
    return found


class Watched:
    """What is looked at from outside while the program is at work: all command lines, at each request."""

    def __init__(self):
        self.lines = b""

    def now(self):
        self.lines += command_lines()
        return datetime.now(UTC)  # signatures are made by the machine's clock


class Taken(list):
    """The messages that came. Their courier is at work while one is put in."""

    def __init__(self, watched):
        super().__init__()
        self.watched = watched

    def append(self, one):
        self.watched.now()
        super().append(one)


@pytest.fixture
def loud(tmp_path):
    """Return a function that runs commands, gives their exit codes, and finds no canary in what they printed."""

    def call(*jobs):
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith("ARCHIVER_")}
        base = {
            "ARCHIVER_PROJECT_ID": PROJECT,
            "ARCHIVER_RETRY_SECONDS": "0",
            "ARCHIVER_TIMEOUT_SECONDS": "5",
            "ARCHIVER_LIST_TIMEOUT_SECONDS": "5",
        }
        work = [{"command": list(command), "settings": base | settings} for settings, *command in jobs]
        done = subprocess.run(
            [sys.executable, str(LOUD)],
            env=surroundings,
            input=json.dumps(work).encode(),
            capture_output=True,
            check=False,
            timeout=120,
        )
        assert songs(done.stdout) == songs(done.stderr) == []
        codes = json.loads(done.stdout.splitlines()[-1])
        assert len(codes) == len(jobs), done.stderr.decode()
        return codes, done.stdout.decode(), done.stderr.decode()

    return call


def kept(url):
    """Return all that an archive holds, bodies unpacked."""
    engine = create_engine(url)
    everything = b""
    with engine.connect() as connection:
        if not url.startswith("sqlite"):
            connection.exec_driver_sql("SET search_path TO release_archive")
        for table in schema.metadata.sorted_tables:
            for row in connection.execute(select(table)):
                for value in row:
                    is_packed = isinstance(value, bytes) and value.startswith(b"\x28\xb5\x2f\xfd")
                    everything += zstandard.decompress(value) if is_packed else repr(value).encode()
    engine.dispose()
    return everything


def written(folder):
    """Return every file's name and bytes below a folder, the secret files apart."""
    files = [path for path in folder.rglob("*") if path.is_file() and "secret-files" not in path.parts]
    return b"".join(str(path).encode() + path.read_bytes() for path in files)


@contextmanager
def echo_server(status):
    """Serve an API that says everything it was sent again, in an error."""

    class Echo(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            # Short ones first: a message is cut off at some length.
            words = " ".join(re.split("[=, ]", self.headers.get("Authorization", "")))
            said = json.dumps({"error_code": "APIGW.0301", "error_msg": f"{words} {body} {self.headers}"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_POST = do_GET  # noqa: N815 - the base class's names

        def log_message(self, format, *args):  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def as_files(folder, settings):
    """Put settings into files, and name these instead."""
    folder.mkdir(exist_ok=True)
    named = {}
    for name, value in settings.items():
        (folder / name).write_text(value + "\n")
        named[f"{name}_FILE"] = str(folder / name)
    return named


def test_the_canary_would_be_heard():
    """The detector finds what a careless program would print."""
    for text in (
        canary("token"),
        repr(b"x" + TAG.encode()),
        base64.b64encode(f"u:{canary('p')}".encode()).decode(),
        base64.b64encode(f"me:{canary('p')}".encode()).decode(),
    ):
        assert songs(text.encode())
    assert not songs(b"nothing of it")


def test_every_secret_setting_has_a_canary():
    """A new setting that is a secret must be put into these tests."""
    kinds = (KEYS, PASSWORD, TOKEN, STS, DATABASE, PROXY, NOTIFY, PING)
    held = {name.removeprefix("ARCHIVER_").lower() for kind in kinds for name in kind}
    hidden = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}

    assert hidden == held


def test_a_night_that_goes_well_shows_no_credential(loud, tmp_path):
    """AK/SK, password and token, from the environment, from files and by the vendor's names; report, mail and site."""
    watched = Watched()
    accepted = Credentials(
        tokens=(canary("token"),),
        user=canary("user"),
        password=canary("password"),
        domain=canary("domain"),
        access_key=canary("ak"),
        secret_key=canary("sk"),
        security_token=canary("sts"),
    )
    simulator = Simulator(HISTORY, now=watched.now, credentials=accepted)
    with running(simulator) as endpoint, web_server() as hook:
        hook.taken = Taken(watched)
        there = {"ARCHIVER_ENDPOINT": endpoint, "ARCHIVER_IAM_ENDPOINT": endpoint}
        url = f"json://me:{canary('hook')}@127.0.0.1:{hook.server_address[1]}/ok/{canary('path')}"
        weekly = ("reports", "weekly", "--week", "2026-W47")
        codes, _, _ = loud(
            *(
                (there | settings, "archiver", "run", "--full")
                for settings in (
                    KEYS | STS,
                    PASSWORD,
                    TOKEN,
                    VENDOR,
                    as_files(tmp_path / "secret-files", KEYS | STS),
                    as_files(tmp_path / "secret-files", PASSWORD),
                    as_files(tmp_path / "secret-files", TOKEN),
                    TOKEN | PING,
                    as_files(tmp_path / "secret-files", TOKEN | PING),
                )
            ),
            (TOKEN | there, "archiver", "doctor", "--json"),
            ({"ARCHIVER_NOTIFY_URLS": url}, *weekly, "--out", "out", "--issue", "--send"),
            (as_files(tmp_path / "secret-files", {"ARCHIVER_NOTIFY_URLS": url}), *weekly, "--send"),
            (KEYS, "archiver", "status", "--json"),
            (TOKEN, "archiver", "check"),
            (TOKEN | NOTIFY, "reports", "site", "site"),
        )

    assert codes == [0] * len(codes)
    assert len(hook.taken) == 2
    assert songs(watched.lines) == []
    assert b"archiver.courier" in watched.lines
    assert songs(json.dumps(hook.taken).encode()) == []  # the message, not the URL that carried it
    assert songs(kept(f"sqlite:///{tmp_path / 'archive.db'}")) == []
    assert songs(written(tmp_path)) == []


def test_what_a_database_s_password_opens_holds_no_password(loud, postgres_url, tmp_path):
    url = make_url(postgres_url).set(password=canary("db")).render_as_string(hide_password=False)
    watched = Watched()
    with running(Simulator(HISTORY, now=watched.now)) as endpoint:
        there = TOKEN | {"ARCHIVER_ENDPOINT": endpoint}
        codes, _, _ = loud(
            (there | {"ARCHIVER_DATABASE_URL": url}, "archiver", "database", "upgrade"),
            (there | {"ARCHIVER_DATABASE_URL": url}, "archiver", "run"),
            (as_files(tmp_path / "secret-files", {"ARCHIVER_DATABASE_URL": url}) | there, "archiver", "run"),
            ({"ARCHIVER_DATABASE_URL": url}, "archiver", "database", "check"),
            ({"ARCHIVER_DATABASE_URL": url}, "archiver", "database", "grant-analyst", "no such role"),
            ({"ARCHIVER_DATABASE_URL": url}, "reports", "weekly", "--out", "out"),
        )

    assert codes == [0, 0, 0, 0, 3, 0]
    assert songs(watched.lines) == []
    assert songs(kept(postgres_url)) == []
    assert songs(written(tmp_path)) == []


def test_no_failure_shows_a_credential(loud, tmp_path, certificate):
    """Refusals, faults of name, TLS, proxy, database and delivery, wrong settings, and an error nobody foresaw."""
    folder = tmp_path / "secret-files"
    (tmp_path / "broken.toml").write_text(f"token = {canary('toml')}\n")
    (tmp_path / "unknown.toml").write_text(f'tokens = "{canary("toml")}"\n')
    (tmp_path / "wrong.toml").write_text(f'token = ["{canary("toml")}"]\nconcurrency = "{canary("toml")}"\n')
    simulator = Simulator(HISTORY, now=lambda: ENDS_AT, credentials=Credentials(tokens=("another",), user="another"))
    free = Simulator(HISTORY, now=lambda: ENDS_AT)
    with (
        running(simulator) as closed,
        running(free) as open_,
        echo_server(401) as echo_401,
        echo_server(403) as echo_403,
        echo_server(400) as echo_400,
        echo_server(500) as echo_500,
        web_server(certificate) as tls,
    ):

        def at(endpoint):
            return {"ARCHIVER_ENDPOINT": endpoint, "ARCHIVER_IAM_ENDPOINT": endpoint}

        run = ("archiver", "run")
        refused = [
            (at(endpoint) | kind, *run)
            for endpoint in (closed, echo_401, echo_403, echo_400, echo_500)
            for kind in (KEYS | STS, PASSWORD, TOKEN)
        ]
        others = [
            (at("https://no-such-host.invalid") | PASSWORD, *run),
            (at(f"https://127.0.0.1:{tls.server_address[1]}") | PASSWORD, *run),
            (at("http://127.0.0.1:1") | KEYS, *run),
            (at(open_) | TOKEN | PROXY, *run),
            (at(open_) | TOKEN | DATABASE, *run),
            (at(open_) | TOKEN | as_files(folder, DATABASE), *run),
            (DATABASE, "archiver", "status"),
            (DATABASE, "reports", "failure-rates"),
            (DATABASE | {"ARCHIVER_DEBUG": "1"}, "archiver", "database", "upgrade"),
        ]
        looked_at = [
            (at(endpoint) | settings, "archiver", "doctor", *form)
            for endpoint, settings in (
                (echo_401, KEYS | STS),
                (closed, PASSWORD | PING),
                (open_, TOKEN | PROXY | DATABASE),
            )
            for form in ((), ("--json",))
        ]
        wrong = [
            (at(f"https://user:{canary('url')}@host") | TOKEN, *run),
            (at(f"{open_}?token={canary('url')}") | TOKEN, *run),
            (at(open_) | TOKEN | {"ARCHIVER_PROXY": f"ftp://u:{canary('proxy')}@h"}, *run),
            (at(open_) | TOKEN | {"ARCHIVER_DATABASE_URL": f"postgresql://u:{canary('db')}@h:port/d"}, *run),
            (at(open_) | TOKEN | {"ARCHIVER_DATABASE_URL": f"mysql://u:{canary('db')}@h/d"}, *run),
            (at(open_) | TOKEN | {"ARCHIVER_DATABASE_URL": canary("db")}, *run),
            (at(open_) | TOKEN | KEYS, *run),
            (at(open_) | {"ARCHIVER_ACCESS_KEY": canary("ak")}, *run),
            (at(open_) | {"ARCHIVER_TOKEN": f"two lines\n{canary('token')}"}, *run),
            (at(open_) | TOKEN | {"ARCHIVER_TOKEN_FILE": str(folder / "none")}, *run),
            (at(open_), *run, "--config", "broken.toml"),
            (at(open_), *run, "--config", "unknown.toml"),
            (at(open_), *run, "--config", "wrong.toml"),
            ({"ARCHIVER_NOTIFY_URLS": canary("no-url")}, "reports", "weekly", "--send"),
            ({"ARCHIVER_NOTIFY_URLS": f"nosuch://{canary('hook')}"}, "reports", "weekly", "--send"),
            ({"ARCHIVER_NOTIFY_URLS": f"json://u:{canary('hook')}@example.com"}, "reports", "weekly", "--send"),
        ]
        broken = [
            (at(open_) | settings | {"BREAK": "1"} | debug, *run)
            for settings in (KEYS | STS, PASSWORD, TOKEN)
            for debug in ({}, {"ARCHIVER_DEBUG": "1"})
        ]
        made = [(at(open_) | TOKEN, *run)]
        undelivered = [(NOTIFY, "reports", "weekly", "--week", "2026-W47", "--send")]
        codes, _, err = loud(*refused, *others, *looked_at, *wrong, *broken, *made, *undelivered)

    parts = [len(part) for part in (refused, others, looked_at, wrong, broken, made, undelivered)]
    ends = [sum(parts[:place]) for place in range(len(parts) + 1)]
    found = [codes[start:end] for start, end in pairwise(ends)]
    assert found[0] == [3] * len(refused)
    assert found[1] == [3] * len(others)
    assert found[2] == [1] * len(looked_at)
    assert found[3] == [2] * len(wrong)
    assert found[4] == [70, 1] * 3
    assert found[5:] == [[0], [1]]
    assert "DEBUG" in err
    assert "Traceback" in err
    assert "it broke" in err
    assert songs(kept(f"sqlite:///{tmp_path / 'archive.db'}")) == []
    for name in ("broken.toml", "unknown.toml", "wrong.toml"):
        (tmp_path / name).unlink()
    assert songs(written(tmp_path)) == []
