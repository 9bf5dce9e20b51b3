"""Archives to read: SQLite in a file, and PostgreSQL in a database of its own."""

import os

import pytest
from sqlalchemy import create_engine, text

from archiver import schema

_POSTGRES = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"


@pytest.fixture
def sqlite_archive(tmp_path):
    """Return the engine of an empty SQLite archive."""
    engine = create_engine(f"sqlite:///{tmp_path / 'archive.db'}")
    schema.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_engine():
    """Return the engine of a PostgreSQL database made for this session; skip where there is no server."""
    name = f"reports_{os.getpid()}"
    server = create_engine(_POSTGRES, isolation_level="AUTOCOMMIT")
    try:
        with server.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except Exception:  # noqa: BLE001 - whatever the reason, there is no server
        server.dispose()
        pytest.skip("no PostgreSQL server on 127.0.0.1:5432")
    engine = create_engine(server.url.set(database=name))
    yield engine
    engine.dispose()
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name}"))
    server.dispose()


@pytest.fixture
def postgres_archive(postgres_engine):
    """Return the engine of an empty PostgreSQL archive; foreign keys are left aside, as on SQLite."""
    schema.metadata.create_all(postgres_engine)

    @_each_connection(postgres_engine)
    def _without_foreign_keys(connection, _record):
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
        connection.commit()

    yield postgres_engine
    schema.metadata.drop_all(postgres_engine)


def _each_connection(engine):
    from sqlalchemy import event

    engine.dispose()
    return event.listens_for(engine, "connect")
