"""Migrations: bringing an archive to this program's schema, and telling whether it is there.

Every command asks the latter. Alembic, slow to import, is loaded for the former alone.
"""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, exc, inspect, text

from archiver.database import connected, first_line, is_sqlite, parse_url, sqlite_path
from archiver.errors import DatabaseError, SettingsError
from archiver.lease import ARCHIVE, acquire
from archiver.schema import metadata
from archiver.viewing import (
    drop_postgresql_views,
    drop_sqlite_views,
    refresh_views,
    refuse_sqlite_dependents,
    run_statements,
    stale_views,
)

if TYPE_CHECKING:
    from alembic.config import Config

_BESIDE = Path(__file__).parent
# Inside a wheel the migrations lie in the package, in a checkout at its top.
_REVISION = re.compile(r'^(revision|down_revision)\b[^=\n]*= "(\w+)"', re.MULTILINE)
SCRIPTS = next(place for place in (_BESIDE / "migrations", _BESIDE.parent / "migrations") if place.is_dir())

# What PostgreSQL says when a view reads what a migration drops, or alters the type of ("Error Codes").
_HELD_UP = ("2BP01", "0A000")


def alembic_config(**attributes: Any) -> "Config":
    """Return alembic's configuration, with `connection` and `schema` handed to `migrations/env.py`."""
    from alembic.config import Config

    config = Config(attributes=attributes)
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def head_revision() -> str:
    """Return the newest migration this program knows."""
    known = _revisions()
    heads = set(known) - set(known.values())
    if len(heads) != 1:
        raise DatabaseError(
            f"{len(heads)} newest migrations in {SCRIPTS}: the installation is broken; install it again"
        )
    return heads.pop()


def _revisions() -> dict[str, str | None]:
    """Return the migration before each one this program knows, as their scripts say."""
    scripts = [script.read_text("utf-8") for script in (SCRIPTS / "versions").glob("*.py")]
    return dict(_named(script) for script in scripts)


def _named(script: str) -> tuple[str, str | None]:
    found = dict(_REVISION.findall(script))
    return found["revision"], found.get("down_revision")


def current_revision(connection: Connection, schema: str) -> str | None:
    """Return the migration the archive is at; None where there is no archive."""
    place = schema if connection.dialect.name == "postgresql" else None
    if not inspect(connection).has_table("alembic_version", schema=place):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def check_revision(connection: Connection, schema: str) -> str:
    """Return the archive's revision if it is this program's; DatabaseError saying what to do if not."""
    current, head = current_revision(connection, schema), head_revision()
    if current == head:
        return head
    if current is None:
        raise DatabaseError("the database holds no archive yet: run `archiver database upgrade`")
    if current in _revisions():
        raise DatabaseError(
            f"the archive's schema is at {current}, this program needs {head}: run `archiver database upgrade`"
        )
    raise DatabaseError(
        f"the archive's schema {current} is newer than this program ({head}): install a newer release-archiver"
    )


def upgrade(engine: Engine, url: str, schema: str) -> tuple[str | None, str]:
    """Bring the archive to this program's schema and views, in one transaction; return (revision before, after).

    An SQLite archive with something in it is copied first, to `<file>.before-<revision>`, and the copy is verified.
    """
    with connected(engine, url) as connection:
        before = current_revision(connection, schema)
        are_views_stale = before is not None and bool(stale_views(connection, schema))
    head = head_revision()
    if before == head:
        if are_views_stale:
            _refresh_views(engine, schema)
        return before, head
    from alembic.util.exc import CommandError

    from archiver.failures import write_all_failures

    parsed = parse_url(url)
    if before is not None:
        with connected(engine, url) as connection:
            _refuse_newer(connection, schema)
        if is_sqlite(parsed):
            back_up(sqlite_path(parsed), sqlite_path(parsed).with_name(f"{sqlite_path(parsed).name}.before-{head}"))
    try:
        with _ddl_transaction(engine, schema) as connection:
            lease = None if before is None else acquire(connection, ARCHIVE)  # nobody else is at work meanwhile
            _migrate(connection, schema)
            refresh_views(connection, schema)
            write_all_failures(connection)
            if lease is not None:
                lease.release_in(connection)
    except (exc.DBAPIError, CommandError) as error:
        raise DatabaseError(f"the migration to {head} failed and changed nothing: {first_line(error)}") from None
    return before, head


def _migrate(connection: Connection, schema: str) -> None:
    """Run the migrations; the views give way where they must: always on SQLite, on PostgreSQL where one is held up."""
    from alembic import command

    config = alembic_config(connection=connection, schema=schema)
    if connection.dialect.name == "sqlite":
        if inspect(connection).get_view_names():
            refuse_sqlite_dependents(connection)
        drop_sqlite_views(connection)
        command.upgrade(config, "head")
        return
    try:
        with connection.begin_nested():
            command.upgrade(config, "head")
    except exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _HELD_UP:
            raise
    else:
        return
    kept = drop_postgresql_views(connection, schema)
    command.upgrade(config, "head")
    refresh_views(connection, schema)
    run_statements(connection, kept)


def _refresh_views(engine: Engine, schema: str) -> None:
    try:
        with _ddl_transaction(engine, schema) as connection:
            refresh_views(connection, schema)
    except exc.DBAPIError as error:
        raise DatabaseError(f"the views can't be made: {first_line(error)}") from None


def differences(connection: Connection, schema: str) -> list[str]:
    """List what stands in the database otherwise than in the models; none means equal."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    place = schema if connection.dialect.name == "postgresql" else None
    if place:
        connection.dialect.default_schema_name = place
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found = [str(difference) for difference in compare_metadata(context, metadata)]
    return found + [
        f"view {name} is not this program's: run `archiver database upgrade`"
        for name in stale_views(connection, schema)
    ]


def upgrade_sql(schema: str, since: str | None = None) -> None:
    """Print the migrations, from nothing or after a revision, as SQL for PostgreSQL, for a DBA to run.

    SettingsError if there is no such revision.
    """
    from alembic import command

    if since is not None and since not in _revisions():
        known = ", ".join(sorted(_revisions()))
        raise SettingsError(f"--from: {since!r} is no revision this program knows: choose from {known}")
    target = "head" if since is None else f"{since}:head"
    command.upgrade(alembic_config(schema=schema), target, sql=True)


def back_up(source: Path, target: Path) -> None:
    """Copy an SQLite archive while it may be in use, and verify the copy. DatabaseError, and no file, if it fails."""
    try:
        target.touch(mode=0o600)
        with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(target)) as writer:
            reader.backup(writer)
            verdict = writer.execute("PRAGMA integrity_check").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(f"the copy is not sound: {verdict}")
    except (OSError, sqlite3.Error) as error:
        for left in (target, target.with_name(f"{target.name}-journal")):
            with suppress(OSError):
                left.unlink()
        raise DatabaseError(f"can't copy the archive to {target}: {error}; the archive is as it was") from None


def _refuse_newer(connection: Connection, schema: str) -> None:
    try:
        check_revision(connection, schema)
    except DatabaseError as error:
        if "newer" in str(error):
            raise


@contextmanager
def _ddl_transaction(engine: Engine, schema: str) -> Iterator[Connection]:
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            with connection.begin():
                exists = connection.execute(
                    text("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = :schema"), {"schema": schema}
                ).scalar()
                # Asked first: CREATE SCHEMA IF NOT EXISTS needs the right to create one even where it exists.
                if not exists:
                    connection.execute(text(f'CREATE SCHEMA "{schema}"'))
                connection.dialect.default_schema_name = schema
                yield connection
        else:
            with connection.begin():
                yield connection
