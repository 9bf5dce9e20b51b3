"""The commands that give rights on PostgreSQL, and print them for a database administrator."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archiver.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from archiver.granting import Grantee

Role = Annotated[str, typer.Argument(metavar="ROLE", help="The role, as it was made; capitals count.")]
Sql = Annotated[bool, typer.Option("--sql", help="Print the SQL for a DBA; change nothing.")]
Config = Annotated[Path | None, typer.Option("--config", help="Settings file; default archiver.toml, if there.")]


def grant_analyst(role: Role, sql: Sql = False, config: Config = None) -> None:
    """Let a role of PostgreSQL read every table and view, but no bodies as they came; jit off. May be run again."""
    from archiver import granting

    def statements(to: "Grantee") -> Iterator[str]:
        yield from granting.analyst_statements(to)
        yield granting.no_jit_statement(to)

    _grant(role, sql, config, statements, granting.grant_analyst)


def grant_writer(role: Role, sql: Sql = False, config: Config = None) -> None:
    """Let a role of PostgreSQL archive: read and change rows, but make no tables. May be run again."""
    from archiver import granting

    _grant(role, sql, config, granting.writer_statements, granting.grant_writer)


def _grant(
    role: str,
    sql: bool,
    config: Path | None,
    statements: "Callable[[Grantee], Iterator[str]]",
    grant: "Callable[[Connection, Grantee], list[str]]",
) -> None:
    from archiver.archive import open_reader
    from archiver.database import connected, is_sqlite, parse_url
    from archiver.granting import Grantee, check_role
    from archiver.settings import load_settings

    check_role(role)
    settings = load_settings(config)
    to = Grantee(role, settings.database_schema)
    if sql:
        typer.echo("\n".join(["BEGIN;", *(f"{statement};" for statement in statements(to)), "COMMIT;"]))
        return
    url = settings.database_url.get_secret_value()
    if is_sqlite(parse_url(url)):
        raise SettingsError("SQLite has no roles: who may read the archive's file may read it all (chmod)")
    engine = open_reader(url, settings.database_schema)
    try:
        with connected(engine, url) as connection, connection.begin():
            said = grant(connection, to)
    finally:
        engine.dispose()
    for line in said:
        typer.echo(line)
