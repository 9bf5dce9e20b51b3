"""The archive that the documents ask, made once on each database."""

import os
import secrets

import pytest
from archives import make_archive
from sqlalchemy import text
from sqlalchemy.engine import make_url

_SERVER = os.environ.get("ARCHIVER_TEST_POSTGRES_URL") or "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"


@pytest.fixture(scope="session")
def sqlite_docs(tmp_path_factory):
    """Return the engine of the archive on SQLite."""
    engine = make_archive(f"sqlite:///{tmp_path_factory.mktemp('docs') / 'archive.db'}")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def postgresql_docs(_postgres_server):
    """Return the engine of the archive on PostgreSQL, in a database of its own."""
    name = f"archiver_docs_{os.getpid()}_{secrets.token_hex(3)}"
    with _postgres_server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = make_archive(make_url(_SERVER).set(database=name).render_as_string(hide_password=False))
    yield engine
    engine.dispose()
    with _postgres_server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(params=["sqlite", "postgresql"])
def docs(request):
    """Return the archive's engine, on each database in turn."""
    return request.getfixturevalue(f"{request.param}_docs")
