"""The doctor's look at the database: there, at the right schema, writable, with room, and how one gets there."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from archiver.checkup import Check, finding, ok, skipped
from archiver.database import connected, database_name, is_sqlite, open_read_only, parse_url, sqlite_path
from archiver.errors import DatabaseError, SettingsError
from archiver.migrate import check_revision, current_revision
from archiver.schema import metadata
from archiver.settings import Settings, is_loopback

# A migration copies the archive first; less than that, and a year's growth may end it.
LEAST_FREE_BYTES = 500 * 10**6


def check_database(settings: Settings) -> Iterator[Check]:
    """Look at the archive, and make nothing."""
    url, schema = settings.database_url.get_secret_value(), settings.database_schema
    try:
        parsed = parse_url(url)
        path = sqlite_path(parsed) if is_sqlite(parsed) else None
    except SettingsError as error:
        yield finding("database", str(error), "mend ARCHIVER_DATABASE_URL")
        return
    name = database_name(url)
    if path is not None:
        yield from _check_disk(path)
        if not path.exists():
            yield _check_new(path)
            return
        if not os.access(path, os.R_OK):
            yield finding("database", f"{path} may not be read", "give its owner's rights to this user, or run as it")
            return
    try:
        engine = open_read_only(url, schema)
        with connected(engine, url) as connection:
            yield ok("database", f"{name} answers")
            yield _check_schema(connection, schema, is_sqlite=path is not None)
            yield _check_writable_file(path) if path is not None else _check_rights(connection, schema)
            if path is not None:
                yield skipped("pooler", "none with SQLite")
            else:
                yield _check_pooler(connection)
                yield _check_connection(connection)
        engine.dispose()
    except DatabaseError as error:
        yield finding("database", str(error), "check ARCHIVER_DATABASE_URL, that the server is up, and who may log in")


def _check_new(path: Path) -> Check:
    folder = path.absolute().parent
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return ok("database", f"there is no {path} yet: the first run makes it")
    told = f"there is no {path} yet, and its folder can't be written to"
    return finding("database", told, f"make the folder {folder}, or let this user write to it")


def _check_disk(path: Path) -> Iterator[Check]:
    folder = path.absolute().parent
    if not folder.is_dir():
        return
    size = path.stat().st_size if path.exists() else 0
    free, wanted = shutil.disk_usage(folder).free, max(2 * size, LEAST_FREE_BYTES)
    told = f"{free / 10**9:.1f} GB free beside {size / 10**6:.0f} MB of archive"
    if free < wanted:
        advice = f"make room: {wanted / 10**9:.1f} GB at least, for growth and for the copy before a migration"
        yield finding("disk space", told, advice)
    else:
        yield ok("disk space", told)


def _check_schema(connection: Connection, schema: str, *, is_sqlite: bool) -> Check:
    try:
        return ok("schema", f"at {check_revision(connection, schema)}, as this program needs it")
    except DatabaseError as error:
        if is_sqlite and current_revision(connection, schema) is None:
            return ok("schema", "there is none yet: the first run makes it")
        return finding("schema", str(error), "see there; an SQLite archive is migrated by the next run")


def _check_writable_file(path: Path) -> Check:
    advice = "let this user write to the file and its folder, or end what holds it"
    if not os.access(path, os.W_OK) or not os.access(path.absolute().parent, os.W_OK):
        return finding("writing", f"{path} or its folder may not be written to", advice)
    try:
        with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        return finding("writing", f"{path}: {error}", advice)
    return ok("writing", "a transaction could begin")


def _check_rights(connection: Connection, schema: str) -> Check:
    """Ask PostgreSQL whether this user may write every table, and whether anything can be written at all."""
    if connection.execute(text("SELECT pg_is_in_recovery()")).scalar():
        return finding("writing", "the server is a standby, which takes no writes", "name the primary server")
    if connection.execute(text("SHOW transaction_read_only")).scalar() == "on":
        advice = "set default_transaction_read_only off for this user or database"
        return finding("writing", "transactions are read-only", advice)
    query = text(
        "SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = :schema AND c.relkind = 'r' AND NOT (has_table_privilege(c.oid, 'SELECT') "
        "AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE') "
        "AND has_table_privilege(c.oid, 'DELETE'))"
    )
    ours = set(metadata.tables)
    refused = sorted(name for name in connection.execute(query, {"schema": schema}).scalars() if name in ours)
    if refused:
        told = f"this user may not write {', '.join(refused[:3])}{' and others' if len(refused) > 3 else ''}"
        advice = f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{schema}" to this user'
        return finding("writing", told, advice)
    return ok("writing", "this user may write every table")


def _check_connection(connection: Connection) -> Check:
    """Tell how the connection is secured; libpq takes its mode from the URL, PGSSLMODE or a service file."""
    raw: Any = connection.connection.dbapi_connection
    modes = {option.keyword: option.val for option in raw.pgconn.info}
    mode = (modes[b"sslmode"] or b"").decode()
    # A socket in the file system has no address.
    is_here = not raw.info.hostaddr or is_loopback(raw.info.hostaddr)
    return secured(mode, is_here=is_here, is_encrypted=raw.pgconn.ssl_in_use)


def secured(mode: str, *, is_here: bool, is_encrypted: bool) -> Check:
    """Say how a connection to PostgreSQL is secured; where it leaves this machine, TLS and a verified certificate."""
    if is_here:
        return ok("database TLS", "not needed: the server is on this machine")
    if not is_encrypted:
        told = f"the connection is in the clear (sslmode={mode})"
        advice = "let the server take TLS, and say ?sslmode=verify-full&sslrootcert=FILE in ARCHIVER_DATABASE_URL"
        return finding("database TLS", told, advice)
    if not mode.startswith("verify-"):
        told = f"encrypted, but whoever answers in the server's place is believed (sslmode={mode})"
        advice = "say ?sslmode=verify-full&sslrootcert=FILE of its authority in ARCHIVER_DATABASE_URL"
        return finding("database TLS", told, advice)
    return ok("database TLS", f"encrypted, and the server's certificate is verified (sslmode={mode})")


def _check_pooler(connection: Connection) -> Check:
    """Tell a pooler by the process that answers: it is another than the one that greeted."""
    raw: Any = connection.connection.dbapi_connection
    answering = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    if raw.info.backend_pid == answering:
        return ok("pooler", "none: the server itself answers")
    return ok("pooler", "one stands between, such as PgBouncer: the archiver works through its transaction mode")
