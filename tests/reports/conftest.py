"""Archives to read, empty and without foreign keys: SQLite in a file, and PostgreSQL on the tests' server."""

import pytest
from sqlalchemy import create_engine, event

from archiver import schema


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
