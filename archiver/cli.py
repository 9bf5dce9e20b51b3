"""The command line: settings in, results on standard output, logs on standard error, an exit code."""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from archiver import export_command, grant_command, label_command, running, upkeep
from archiver.errors import ArchiverError
from archiver.running import say_error, until_signal
from archiver.usage import run_app

app = typer.Typer(
    help="Archive ServiceStage releases, attempt by attempt, for ever.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
database_app = typer.Typer(help="Migrate and verify the database.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(database_app, name="database")
app.add_typer(label_command.app, name="labels")
app.command("run")(running.run)
app.command("schedule")(running.schedule)
app.command("import")(upkeep.import_bodies)
app.command("replay")(upkeep.replay)
app.command("export")(export_command.export)
app.command("prune")(upkeep.prune)
app.command("status")(upkeep.status)
app.command("doctor")(upkeep.doctor)
app.command("check")(upkeep.check)
app.command("backup")(upkeep.backup)
database_app.command("grant-analyst")(grant_command.grant_analyst)
database_app.command("grant-writer")(grant_command.grant_writer)


Config = Annotated[Path | None, typer.Option("--config", help="Settings file; default archiver.toml, if there.")]


@app.command()
def simulate(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 8080,
    seed: Annotated[int, typer.Option(help="Which history.")] = 7,
    weeks: Annotated[int, typer.Option(help="How many weeks of it, up to now.", min=1, max=520)] = 8,
) -> None:
    """Serve a simulated ServiceStage on loopback, without an account."""
    from archiver.clock import SystemClock
    from archiver.demo import last_monday
    from archiver.simulator import Simulator, build_history, serve_forever

    clock = SystemClock()
    history = build_history(seed, ends_at=last_monday(clock.now(), weeks_on=1), weeks=weeks)

    def announce(base_url: str) -> None:
        typer.echo(f"export ARCHIVER_ENDPOINT={base_url}")
        typer.echo(f"export ARCHIVER_PROJECT_ID={','.join(history.project_ids)}")
        typer.echo("export ARCHIVER_TOKEN=any  # the simulator lets everyone in; now: archiver run")
        sys.stdout.flush()

    try:
        until_signal(serve_forever(Simulator(history, now=clock.now), port=port, announce=announce))
    except OSError as error:
        raise ArchiverError(f"can't serve on port {port}: {error.strerror}; try --port 0") from None


@app.command()
def demo(
    directory: Annotated[Path, typer.Option("--directory", help="Where the demo is written.")] = Path("demo"),
) -> None:
    """Tell the whole story without an account: 8 weeks of simulated nights, archived, and the weekly report."""
    from archiver.demo import run_demo

    for line in run_demo(directory):
        typer.echo(line)


@database_app.command()
def upgrade(
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL for PostgreSQL; change nothing.")] = False,
    since: Annotated[
        str | None,
        typer.Option("--from", help="With --sql: the revision the archive is at, as `status --json` says."),
    ] = None,
    config: Config = None,
) -> None:
    """Make or migrate the tables and views."""
    from archiver import migrate
    from archiver.database import open_writer
    from archiver.errors import SettingsError
    from archiver.settings import load_settings

    if since is not None and not sql:
        raise SettingsError("--from goes with --sql: without it the archive itself is asked")

    settings = load_settings(config)
    url, schema = settings.database_url.get_secret_value(), settings.database_schema
    if sql:
        migrate.upgrade_sql(schema, since)
        return
    engine = open_writer(url, schema)
    before, after = migrate.upgrade(engine, url, schema)
    engine.dispose()
    typer.echo(f"schema at {after}" if before == after else f"schema migrated from {before or 'nothing'} to {after}")


@database_app.command()
def check(config: Config = None) -> None:
    """Compare the database with the models; exit 1 where they differ."""
    from archiver import migrate
    from archiver.archive import open_reader
    from archiver.database import connected
    from archiver.settings import load_settings

    settings = load_settings(config)
    url, schema = settings.database_url.get_secret_value(), settings.database_schema
    engine = open_reader(url, schema)
    with connected(engine, url) as connection:
        found = migrate.differences(connection, schema)
    engine.dispose()
    for line in found:
        typer.echo(line)
    typer.echo("the database differs from the models" if found else "the database equals the models")
    raise typer.Exit(1 if found else 0)


@database_app.command()
def dictionary(
    export: Annotated[bool, typer.Option("--export", help="Print what `archiver export` writes.")] = False,
) -> None:
    """Print the data dictionary as Markdown: every table and view, its grain and its columns."""
    from archiver.dictionary import dictionary as lines
    from archiver.dictionary import export_dictionary

    typer.echo("\n".join(export_dictionary() if export else lines()))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:300]


def main() -> NoReturn:
    """Run a command and exit: an error with a known course is one line, an unexpected one exits 70."""
    try:
        code = run_app(app)
    except ArchiverError as error:
        say_error(str(error))
        code = error.exit_code
    except BrokenPipeError:
        # Whoever read the output has gone; nothing more may be written there, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if os.environ.get("ARCHIVER_DEBUG"):
            raise
        say_error(f"unexpected {type(error).__name__}: {_first_line(error)} (ARCHIVER_DEBUG=1 shows where)")
        code = 70
    sys.exit(code)
