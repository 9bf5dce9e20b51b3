"""What all tests share: a clean environment, and empty places for an archive on SQLite and on PostgreSQL."""

import ipaddress
import os
import secrets
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import Engine, create_engine, event, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from archiver import schema
from archiver.database import open_writer
from archiver.migrate import upgrade

_SERVER = os.environ.get("ARCHIVER_TEST_POSTGRES_URL") or "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
_IS_REQUIRED = os.environ.get("ARCHIVER_TEST_REQUIRE_POSTGRES", "") not in ("", "0")
_HOW = "start one on 127.0.0.1:5432 (user postgres, trust) or name one with ARCHIVER_TEST_POSTGRES_URL"
_OURS = ("ARCHIVER_", "HUAWEICLOUD_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass
class Archive:
    """A migrated archive."""

    url: str
    engine: Engine
    revision: str

    def rows(self, table, **equal):
        """Return a table's rows as dicts, in the order of its key."""
        matching = [table.c[name] == value for name, value in equal.items()]
        with self.engine.connect() as connection:
            found = connection.execute(select(table).where(*matching).order_by(*table.primary_key.columns))
            return [dict(row) for row in found.mappings()]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch, tmp_path):
    """Keep the developer's settings out of the tests, and the tests' files out of the tree."""
    for name in list(os.environ):
        if (name.startswith(_OURS) and not name.startswith("ARCHIVER_TEST_")) or name.upper() in _PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def _postgres_server():
    """Return an engine on the server, to make databases with; without a server, skip or fail."""
    server = create_engine(
        _SERVER, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args={"connect_timeout": 3}
    )
    try:
        server.connect().close()
    except Exception as error:  # noqa: BLE001 - whatever keeps the server away, there is nothing to test with
        answer = pytest.fail if _IS_REQUIRED else pytest.skip
        answer(f"no PostgreSQL server answers: {_HOW} ({str(error).splitlines()[0]})")
    return server


@pytest.fixture(scope="session")
def _postgres_database(_postgres_server):
    """Return the URL of a database that this test process alone uses; it is dropped at the end."""
    name = f"archiver_test_{os.getpid()}_{secrets.token_hex(3)}"
    with _postgres_server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(_SERVER).set(database=name).render_as_string(hide_password=False)
    with _postgres_server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def postgres_url(_postgres_database, _postgres_server):
    """Return the URL of an empty PostgreSQL database; what the test makes in it is removed after."""
    yield _postgres_database
    engine = create_engine(_postgres_database, poolclass=NullPool)
    with _postgres_server.connect() as connection:
        # A connection that the test left open would keep its tables from being dropped.
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": make_url(_postgres_database).database},
        )
    with engine.begin() as connection:
        made = text("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'")
        for schema in connection.execute(made).scalars().all():
            connection.execute(text(f'DROP SCHEMA "{schema}" CASCADE'))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def archive_url(request, tmp_path):
    """Return the URL of an empty place for an archive, on each database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'archive.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def _migrated_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("migrated") / "archive.db"
    engine = open_writer(f"sqlite:///{path}", "")
    revision = upgrade(engine, f"sqlite:///{path}", "")[1]
    return path, revision


@pytest.fixture
def sqlite_archive_file(_migrated_file, tmp_path):
    """Return a migrated SQLite archive with nothing in it."""
    path, revision = _migrated_file
    shutil.copy(path, tmp_path / "archive.db")
    url = f"sqlite:///{tmp_path / 'archive.db'}"
    return Archive(url, open_writer(url, ""), revision)


@pytest.fixture(params=["sqlite", "postgresql"])
def archive(request):
    """Return a migrated archive with nothing in it, on each database in turn."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_archive_file")
        return
    url = request.getfixturevalue("postgres_url")
    engine = open_writer(url, "release_archive")
    yield Archive(url, engine, upgrade(engine, url, "release_archive")[1])
    engine.dispose()


@pytest.fixture(scope="session")
def make_certificate(tmp_path_factory):
    """Return a function that makes the files of a certificate that vouches for itself, and of its key."""

    def make(address="127.0.0.1", *, begins_in_days=-1, ends_in_days=1):
        folder = tmp_path_factory.mktemp("certificate")
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        built = built.not_valid_before(now + timedelta(days=begins_in_days))
        built = built.not_valid_after(now + timedelta(days=ends_in_days))
        built = built.add_extension(names, critical=False).sign(key, hashes.SHA256())
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        (folder / "certificate.pem").write_bytes(built.public_bytes(pem))
        (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        return folder / "certificate.pem", folder / "key.pem"

    return make


@pytest.fixture(scope="session")
def certificate(make_certificate):
    """Return the files of a certificate for 127.0.0.1, and of its key."""
    return make_certificate()


@pytest.fixture
def sqlite_archive(tmp_path):
    """Return the engine of an empty SQLite archive."""
    engine = create_engine(f"sqlite:///{tmp_path / 'archive.db'}")
    schema.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def postgres_archive(postgres_url):
    """Return the engine of an empty PostgreSQL archive; foreign keys are left aside, as on SQLite."""
    engine = create_engine(postgres_url)

    @event.listens_for(engine, "connect")
    def _without_foreign_keys(connection, _record):
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
        connection.commit()

    schema.metadata.create_all(engine)
    yield engine
    engine.dispose()


def pytest_terminal_summary(terminalreporter):
    """Say loudly how much was not tested for want of a PostgreSQL server."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if "PostgreSQL" in str(report.longrepr)]
    if skipped:
        terminalreporter.section("PostgreSQL was NOT tested", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests were skipped for want of a PostgreSQL server: {_HOW}.")
