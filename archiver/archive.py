"""The archive opened: to write, made and migrated as needed; to read, never made."""

from sqlalchemy import Engine

from archiver.database import connected, is_sqlite, open_read_only, open_writer, parse_url
from archiver.errors import DatabaseError
from archiver.migrate import check_revision, upgrade
from archiver.settings import Settings


def open_archive(settings: Settings) -> tuple[Engine, str]:
    """Open the archive to write: an SQLite one is made and migrated as needed, a PostgreSQL one must be at head."""
    url, schema = settings.database_url.get_secret_value(), settings.database_schema
    engine = open_writer(url, schema)
    if is_sqlite(parse_url(url)):
        return engine, upgrade(engine, url, schema)[1]
    try:
        with connected(engine, url) as connection:
            return engine, check_revision(connection, schema)
    except DatabaseError:
        engine.dispose()
        raise


def open_reader(url: str, schema: str) -> Engine:
    """Open the archive to read; never makes a file. DatabaseError if it is missing, out of reach, behind or ahead."""
    engine = open_read_only(url, schema)
    try:
        with connected(engine, url) as connection:
            check_revision(connection, schema)
    except DatabaseError:
        engine.dispose()
        raise
    return engine
