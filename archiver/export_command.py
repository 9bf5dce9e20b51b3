"""The command that writes the archive as a data set for other engines."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archiver.errors import SettingsError

if TYPE_CHECKING:
    from archiver.exporting import ExportResult


def export(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the data set is; a new or empty one is begun.")
    ],
    projects: Annotated[
        list[str] | None, typer.Option("--project", help="Export this project alone; may be given again.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Write every file again, also those that would not differ.")
    ] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file; default archiver.toml, if there.")
    ] = None,
) -> None:
    """Write Parquet files by table, project and week, for other engines; files that would not differ are left alone."""
    from zoneinfo import ZoneInfo

    from archiver.archive import open_reader
    from archiver.database import connected
    from archiver.settings import load_settings
    from archiver.status import known_projects

    try:
        from archiver.exporting import export as export_all
    except ModuleNotFoundError:
        raise SettingsError("export needs the extra `parquet`: pip install 'release-archiver[parquet]'") from None

    settings = load_settings(config)
    url = settings.database_url.get_secret_value()
    engine = open_reader(url, settings.database_schema)
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")  # all tables of one state
    with connected(engine, url) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL jit = off")  # compiling the views' queries takes longer than they do
        known = known_projects(connection)
        unknown = [project for project in projects or () if project not in known]
        if unknown:
            raise SettingsError(f"--project: {unknown[0]!r} is not in the archive")
        chosen = list(dict.fromkeys(projects or known))
        result = export_all(
            connection, directory, ZoneInfo(settings.timezone), chosen, is_whole=not projects, is_full=full
        )
    engine.dispose()
    for line in _lines(result, directory):
        typer.echo(line)


def _lines(result: "ExportResult", directory: Path) -> Iterator[str]:
    for table, rows in result.rows.items():
        yield f"{table:20}  {rows:>12,} rows  {result.partitions[table]:>6,} partitions"
    partitions = result.partitions.total()
    yield (
        f"{directory}: {partitions:,} partitions, {result.written:,} of them written, "
        f"{partitions - result.written:,} unchanged, {result.removed:,} removed"
    )
