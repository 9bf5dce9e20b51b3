"""The engine: how SQLite and PostgreSQL are opened, to write and to read."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, create_engine, event, exc, false, or_
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from archiver.errors import DatabaseDamagedError, DatabaseError, SettingsError

_BUSY_TIMEOUT_MS = 30_000
_LOG_PAGES = 16_384  # 64 MiB: as much as a run writes before it is copied into an SQLite file, page by page, once
_LACKING = "this role lacks the right: README, 'Roles', says which role may do what"


def parse_url(url: str) -> URL:
    """Read a database URL; SettingsError (which does not show it: it can hold a password) if it is none."""
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise SettingsError(
            "ARCHIVER_DATABASE_URL is no database URL: write sqlite:///FILE or postgresql+psycopg://…"
        ) from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise SettingsError(
            f"ARCHIVER_DATABASE_URL: {parsed.get_backend_name()} is not supported: use sqlite or postgresql+psycopg"
        )
    return parsed


def database_name(url: str) -> str:
    """Name a database without its password, for messages."""
    parsed = parse_url(url)
    return (
        parsed.database or ":memory:"
        if is_sqlite(parsed)
        else parsed.set(query={}).render_as_string(hide_password=True)
    )


def is_sqlite(url: URL) -> bool:
    """Whether the URL names an SQLite file."""
    return url.get_backend_name() == "sqlite"


def sqlite_path(url: URL) -> Path:
    """Return the file of an SQLite URL; SettingsError for a database in memory, which would forget everything."""
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise SettingsError("ARCHIVER_DATABASE_URL must name a file, such as sqlite:///archive.db")
    return Path(url.database)


def open_writer(url: str, schema: str) -> Engine:
    """Open the archive to write: a new SQLite file is made, readable by its owner alone. Tables are `migrate`'s matter.

    SQLite runs in WAL with `synchronous=FULL` and foreign keys on; a transaction takes the write lock at its start.
    """
    parsed = parse_url(url)
    if not is_sqlite(parsed):
        return _open_postgresql(parsed, schema)
    path = sqlite_path(parsed)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise DatabaseError(f"can't open the archive {path}: {error.strerror}") from None
    engine = create_engine(parsed, poolclass=NullPool)
    # Keys are hashes, so rows go anywhere into their tables: with room for these pages (in KiB), each is written once.
    # What a statement may have to undo of its own is kept in memory: an upsert notes it for each row.
    pragmas = (
        *("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"wal_autocheckpoint={_LOG_PAGES}"),
        *("cache_size=-32768", "temp_store=MEMORY"),
    )
    _on_sqlite(engine, "BEGIN IMMEDIATE", pragmas)
    return engine


def open_read_only(url: str, schema: str) -> Engine:
    """Open the database to read; never makes a file. DatabaseError if there is none."""
    parsed = parse_url(url)
    if not is_sqlite(parsed):
        return _open_postgresql(parsed, schema)
    path = sqlite_path(parsed)
    if not path.is_file():
        raise DatabaseError(f"there is no archive {path}: make one with `archiver run`, or set ARCHIVER_DATABASE_URL")
    # A strictly read-only connection leaves its WAL files behind; the last of these takes them away.
    uri = f"file:{_uri_path(path)}?mode=rw"
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True), poolclass=NullPool)
    _on_sqlite(engine, "BEGIN", ("query_only=ON",))
    return engine


@contextmanager
def log_kept(engine: Engine) -> Iterator[None]:
    """Keep SQLite's log while the block works: else each transaction's connection, the last to close, would have all
    that it wrote copied into the file, and wait for the disk again. What is committed is on the disk either way.
    """
    with ExitStack() as kept:
        if engine.dialect.name == "sqlite":
            with suppress(exc.SQLAlchemyError):  # then it takes longer, and nothing else
                kept.enter_context(engine.connect())
        yield


@contextmanager
def connected(engine: Engine, url: str) -> Iterator[Connection]:
    """Give a connection, and turn a database that does not answer into a one-line DatabaseError."""
    try:
        with engine.connect() as connection:
            yield connection
    except (exc.OperationalError, exc.ProgrammingError, exc.DatabaseError) as error:
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        is_damaged = code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
        kind = DatabaseDamagedError if is_damaged else DatabaseError
        raise kind(f"the database {database_name(url)} does not serve: {first_line(error)}") from None


def first_line(error: exc.DBAPIError | BaseException) -> str:
    """Return the driver's own first line, without the statement and its values."""
    text = str(getattr(error, "orig", None) or error).strip()
    line = text.splitlines()[0] if text else type(error).__name__
    # Insufficient privilege (PostgreSQL, "Error Codes").
    is_refused = getattr(getattr(error, "orig", None), "sqlstate", None) == "42501"
    return f"{line}; {_LACKING}" if is_refused else line


def _uri_path(path: Path) -> str:
    return str(path.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _on_sqlite(engine: Engine, begin: str, pragmas: tuple[str, ...]) -> None:
    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions of its own: `begin` says which kind.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


def _open_postgresql(url: URL, schema: str) -> Engine:
    # Behind a pooler in transaction mode neither session settings nor prepared statements last:
    # schema and zone are chosen in each transaction, and nothing is prepared.
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    engine = create_engine(
        url, pool_size=2, pool_pre_ping=True, connect_args={"prepare_threshold": None, "connect_timeout": 10}
    )

    @event.listens_for(engine, "begin")
    def _choose(connection: Connection) -> None:
        # The driver reads instants in the session's zone: east of Greenwich the last of 9999 are past its calendar.
        settings = f"""SET LOCAL search_path TO "{schema}"; SET LOCAL TimeZone TO 'UTC'"""
        connection.exec_driver_sql(settings, execution_options={"no_parameters": True})

    return engine


def of_plans(table: Table, plan_ids: Iterable[tuple[str, str]]) -> ColumnElement[bool]:
    """Say which rows are of these plans (project, plan): project by project, since SQLite finds no pairs by index.

    Without plans it is true of no row.
    """
    by_project: dict[str, list[str]] = {}
    for project_id, plan_id in plan_ids:
        by_project.setdefault(project_id, []).append(plan_id)
    of_each = (and_(table.c.project_id == name, table.c.plan_id.in_(found)) for name, found in by_project.items())
    return or_(false(), *of_each)
