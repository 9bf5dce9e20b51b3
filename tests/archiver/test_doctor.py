"""The doctor: each check against the simulator or a real database, well and ill; and nothing is made."""

import asyncio
import json
import os
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from receivers import web_server
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from archiver import doctor_database
from archiver.clock import ManualClock
from archiver.doctor import diagnosis_lines, examine
from archiver.simulator import Credentials, Fault, Faults, Simulator, build_history, running

ENDS_AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
HISTORY = build_history(7, ends_at=ENDS_AT, weeks=1, plans_per_week=4)
PROJECT = HISTORY.project_ids[0]
SECRET = "hunter2-do-not-show"


@pytest.fixture
def cloud(monkeypatch):
    """Serve the history and set what reaches it; return a function that serves it with faults."""
    opened = []

    def serve(*faults, **given):
        credentials = Credentials(tokens=(SECRET,))
        context = running(Simulator(HISTORY, now=lambda: ENDS_AT, faults=Faults(faults), credentials=credentials))
        opened.append(context)
        settings = {"ENDPOINT": context.__enter__(), "PROJECT_ID": PROJECT, "TOKEN": SECRET} | given
        for name, value in settings.items():
            monkeypatch.setenv(f"ARCHIVER_{name}", value)

    yield serve
    for context in opened:
        context.__exit__(None, None, None)


def look(clock=None, config=None):
    found = asyncio.run(examine(config, clock or ManualClock(ENDS_AT)))
    assert SECRET not in json.dumps(found.as_json())
    assert SECRET not in "\n".join(diagnosis_lines(found))
    assert all(check.advice for check in found.findings)
    return found


def states(found):
    return {check.name: check.state for check in found.checks}


def ill(found):
    """Return the findings: what each is called, and what it says."""
    return {check.name: check.told for check in found.findings}


def test_where_all_is_well_each_check_says_so_and_nothing_is_made(cloud, tmp_path):
    cloud()

    found = look()

    assert states(found) == {
        **dict.fromkeys(("settings", "proxy and CA", "disk space", "database", "next night"), "ok"),
        **dict.fromkeys(("DNS", "TLS", "clock", "credentials", "list", "deploy-info"), "ok"),
    }
    assert list(diagnosis_lines(found))[-1] == "all is well"
    assert list(tmp_path.iterdir()) == []


def test_each_setting_says_where_it_came_from_and_secrets_are_stars(cloud, monkeypatch, tmp_path):
    (tmp_path / "key").write_text(SECRET)
    (tmp_path / "archiver.toml").write_text('timezone = "Europe/Berlin"\nsweep_days = 7\n')
    cloud(SWEEP_DAYS="9")
    monkeypatch.delenv("ARCHIVER_TOKEN")
    monkeypatch.setenv("ARCHIVER_TOKEN_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", "https://iam.example.com")

    found = {one.name: (one.shown, one.source) for one in look().settings}

    assert found["ARCHIVER_TOKEN"] == ("********", f"file {tmp_path / 'key'}")
    assert found["ARCHIVER_TIMEZONE"] == ("Europe/Berlin", "archiver.toml")
    assert found["ARCHIVER_SWEEP_DAYS"] == ("9", "environment")
    assert found["ARCHIVER_RECHECK_DAYS"] == ("14", "default")
    assert found["ARCHIVER_IAM_ENDPOINT"] == ("https://iam.example.com", "environment, HUAWEICLOUD_SDK_IAM_ENDPOINT")
    assert found["ARCHIVER_DATABASE_URL"] == ("sqlite:///archive.db", "default")


@pytest.mark.parametrize(
    ("faults", "given", "expected"),
    [
        ([], {"TOKEN": "wrong"}, {"credentials": "HTTP 401"}),
        ([], {"TOKEN": "", "TOKEN_FILE": "missing"}, {"credentials": "ARCHIVER_TOKEN_FILE: can't read missing"}),
        ([Fault("status", match="release-plans$", status=403)], {}, {"list": "HTTP 403"}),
        ([Fault("status", match="deploy-info", status=403)], {}, {"deploy-info": "HTTP 403"}),
        ([Fault("status", match="release-plans$", status=503)], {}, {"list": "HTTP 503"}),
        ([Fault("wrong_count", match="release-plans$")], {}, {"list": "count says"}),
        ([], {"PROJECT_ID": ""}, {"settings": "ARCHIVER_PROJECT_ID"}),
        ([], {"SWEEP_DAYS": "x"}, {"settings": "ARCHIVER_SWEEP_DAYS"}),
        ([], {"ENDPOINT": "https://no-such-host.invalid"}, {"DNS": "not known"}),
        ([], {"ENDPOINT": "http://127.0.0.1:1"}, {"TLS": "can't connect"}),
        ([], {"PROXY": "http://127.0.0.1:1"}, {"TLS": "proxy can't be reached"}),
        ([], {"CA_BUNDLE": "missing.pem"}, {"settings": "there is no file missing.pem"}),
        ([], {"SCHEDULE": "0 0 29 2 *"}, {"next night": "no more within 400 days"}),
        ([], {"NOTIFY_URLS": f"jsons://u:{SECRET}@example.com?verify=no"}, {"notifications": "verify=no"}),
        ([], {"DATABASE_URL": f"postgresql+psycopg://u:{SECRET}@127.0.0.1:1/x"}, {"database": "does not serve"}),
        ([], {"DATABASE_URL": "sqlite:///missing/archive.db"}, {"database": "can't be written to"}),
    ],
)
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_what_is_wrong_is_told_from_the_rest(cloud, faults, given, expected):
    cloud(*faults, **given)

    found = ill(look())

    assert found.keys() == expected.keys()
    assert all(words in found[name] for name, words in expected.items())


def hang_up(server):
    server.accept()[0].close()


def test_a_server_that_speaks_no_tls_is_a_finding(cloud):
    with socket.create_server(("127.0.0.1", 0)) as plain:
        threading.Thread(target=hang_up, args=(plain,), daemon=True).start()
        cloud(ENDPOINT=f"https://127.0.0.1:{plain.getsockname()[1]}")

        assert ill(look()).keys() == {"TLS"}


@pytest.mark.parametrize(
    ("made", "is_of_known_authority", "told", "advice"),
    [
        ({}, False, "self-signed", "ARCHIVER_CA_BUNDLE"),
        ({"begins_in_days": -9, "ends_in_days": -2}, True, "has expired", "clock"),
        ({"begins_in_days": 2, "ends_in_days": 9}, True, "not yet valid", "clock"),
        ({"address": "192.0.2.1"}, True, "mismatch", "endpoint's name"),
    ],
)
def test_certificates_of_strangers_of_the_past_and_of_other_hosts_are_told_apart(
    cloud, make_certificate, made, is_of_known_authority, told, advice
):
    files = make_certificate(**made)
    with web_server(files) as server:
        cloud(
            ENDPOINT=f"https://127.0.0.1:{server.server_port}", CA_BUNDLE=str(files[0]) if is_of_known_authority else ""
        )

        (found,) = look().findings

    assert found.name == "TLS"
    assert told in found.told
    assert advice in found.advice
    assert ("ARCHIVER_CA_BUNDLE" in found.advice) != is_of_known_authority


def test_a_clock_that_is_off_is_a_finding_and_the_rest_is_looked_at(cloud):
    cloud()

    found = look(ManualClock(ENDS_AT + timedelta(minutes=20)))

    assert ill(found) == {"clock": "1200 s ahead of the server's"}
    assert states(found)["deploy-info"] == "ok"


def test_a_target_that_can_not_be_used_is_named_and_the_others_are_looked_at(cloud, tmp_path):
    cloud()
    other = HISTORY.project_ids[1]
    (tmp_path / "archiver.toml").write_text(
        f'[[targets]]\nname = "north"\nregion = "r"\nproject_id = "x"\ntoken_env = "NOT_THERE"\n'
        f'[[targets]]\nproject_id = "{other}"\n'
    )

    found = look()

    assert {check.subject: check.told for check in found.findings} == {
        "north": "target north: token_env: there is no environment variable NOT_THERE"
    }
    assert [check.subject for check in found.checks if check.name == "list"] == [PROJECT, other]


def test_an_archive_that_is_behind_or_held_or_without_room_is_a_finding(cloud, sqlite_archive_file, monkeypatch):
    cloud(DATABASE_URL=sqlite_archive_file.url)
    assert ill(look()) == {}
    with monkeypatch.context() as full:
        full.setattr(doctor_database, "LEAST_FREE_BYTES", 10**18)
        assert ill(look()).keys() == {"disk space"}
    real_connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda path, timeout=5, **how: real_connect(path, timeout=0.05, **how)
    )  # it waits for five seconds

    with sqlite_archive_file.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    assert "run `archiver database upgrade`" in ill(look())["schema"]
    with sqlite_archive_file.engine.begin():
        assert "locked" in ill(look())["writing"]


def test_a_file_that_may_not_be_written_is_a_finding(cloud, sqlite_archive_file, monkeypatch):
    cloud(DATABASE_URL=sqlite_archive_file.url)
    monkeypatch.setattr(doctor_database.os, "access", lambda _, mode: mode == os.R_OK)  # root may write everything

    assert "may not be written" in ill(look())["writing"]


@pytest.mark.parametrize("archive", ["postgresql"], indirect=True)
def test_a_reader_of_postgresql_may_look_and_not_write(cloud, archive):
    cloud(DATABASE_URL=archive.url)
    assert ill(look()) == {}
    engine = create_engine(archive.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    name = make_url(archive.url).database
    with engine.connect() as connection:
        connection.execute(text("DROP ROLE IF EXISTS doctors_reader"))
        connection.execute(text("CREATE ROLE doctors_reader LOGIN"))
        connection.execute(text("GRANT USAGE ON SCHEMA release_archive TO doctors_reader"))
        connection.execute(text("GRANT SELECT ON ALL TABLES IN SCHEMA release_archive TO doctors_reader"))
    try:
        reader = make_url(archive.url).set(username="doctors_reader").render_as_string(hide_password=False)
        cloud(DATABASE_URL=reader)
        assert "this user may not write" in ill(look())["writing"]
        with engine.connect() as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
        cloud(DATABASE_URL=archive.url)
        assert ill(look())["writing"] == "transactions are read-only"
    finally:
        admin = create_engine(
            make_url(archive.url).set(database="postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        with admin.connect() as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'))
        with engine.connect() as connection:
            connection.execute(text("SET default_transaction_read_only = off"))
            connection.execute(text("DROP OWNED BY doctors_reader"))
            connection.execute(text("DROP ROLE doctors_reader"))


@pytest.mark.parametrize("archive", ["postgresql"], indirect=True)
def test_a_database_on_this_machine_needs_no_tls(cloud, archive):
    cloud(DATABASE_URL=archive.url)

    assert [one.told for one in look().checks if one.name == "database TLS" and one.state == "ok"] == [
        "not needed: the server is on this machine"
    ]


@pytest.mark.parametrize(
    ("mode", "is_encrypted", "told"),
    [
        ("prefer", False, "in the clear"),
        ("prefer", True, "is believed"),
        ("require", True, "is believed"),
        ("verify-full", True, None),
    ],
)
def test_a_database_elsewhere_is_reached_by_verified_tls(mode, is_encrypted, told):
    found = doctor_database.secured(mode, is_here=False, is_encrypted=is_encrypted)

    assert (found.state, f"sslmode={mode}" in found.told) == ("finding" if told else "ok", True)
    assert told is None or (told in found.told and "verify-full&sslrootcert=" in found.advice)


class Pooler(threading.Thread):
    """A relay before PostgreSQL that names a process of its own to the client, as PgBouncer does."""

    def __init__(self, host, port):
        super().__init__(daemon=True)
        self.target, self.server = (host, port), socket.create_server(("127.0.0.1", 0))

    def run(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            upstream = socket.create_connection(self.target)
            threading.Thread(target=self.relay, args=(client, upstream, False), daemon=True).start()
            threading.Thread(target=self.relay, args=(upstream, client, True), daemon=True).start()

    @staticmethod
    def relay(source, sink, is_renaming):
        try:
            while data := source.recv(65536):
                at = data.find(b"K\x00\x00\x00\x0c")  # BackendKeyData
                if is_renaming and at >= 0:
                    data = data[: at + 5] + struct.pack("!i", 4242) + data[at + 9 :]
                sink.sendall(data)
        except OSError:
            pass
        finally:
            sink.close()


@pytest.mark.parametrize("archive", ["postgresql"], indirect=True)
def test_a_pooler_in_between_is_told_and_is_no_finding(cloud, archive):
    url = make_url(archive.url)
    pooler = Pooler(url.host, url.port or 5432)
    pooler.start()
    pooled = url.set(host="127.0.0.1", port=pooler.server.getsockname()[1]).update_query_dict({"sslmode": "disable"})
    told = []
    for one in (url, pooled):
        cloud(DATABASE_URL=one.render_as_string(hide_password=False))
        found = look()
        assert ill(found) == {}
        told.append(next(check.told for check in found.checks if check.name == "pooler"))
    pooler.server.close()

    assert told[0].startswith("none")
    assert "PgBouncer" in told[1]


def test_the_command_exits_1_on_a_finding_and_prints_json(cloud):
    cloud(TOKEN="wrong")
    done = subprocess.run(
        [sys.executable, "-m", "archiver", "doctor", "--json"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert list(found) == ["is_well", "settings", "checks"]
    assert {check["name"] for check in found["checks"] if check["state"] == "finding"} == {"clock", "credentials"}
