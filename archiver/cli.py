"""The command line: settings in, results on standard output, logs on standard error, an exit code."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from archiver import export_command, grant_command, label_command, upkeep
from archiver.errors import ArchiverError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from archiver.clock import Clock
    from archiver.settings import Settings
    from archiver.stopping import Stop

_T = TypeVar("_T")

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


class LogFormat(StrEnum):
    """How log lines are written."""

    text = "text"
    json = "json"


Config = Annotated[Path | None, typer.Option("--config", help="Settings file; default archiver.toml, if there.")]
Format = Annotated[LogFormat, typer.Option("--log-format", help="How log lines on standard error are written.")]


@app.command()
def run(
    full: Annotated[bool, typer.Option("--full", help="Fetch every plan, due or not.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    known_ok: Annotated[
        bool, typer.Option("--known-failures-ok", help="Exit 0 if nothing failed but plans that fail every night.")
    ] = False,
    textfile: Annotated[
        Path | None,
        typer.Option("--metrics-textfile", metavar="FILE", help="Write metrics for Prometheus's textfile collector."),
    ] = None,
    config: Config = None,
    log_format: Format = LogFormat.text,
) -> None:
    """Archive every project once, now."""
    from archiver.archive import open_archive
    from archiver.clock import SystemClock
    from archiver.logs import configure
    from archiver.nightly import ProjectOutcome, archive_all, exit_code, known_failures_ok
    from archiver.pings import ping
    from archiver.progress import progress_on
    from archiver.settings import load_settings
    from archiver.telling import tell_of

    configure(log_format)
    settings = load_settings(config)
    settings.check_run()
    engine, revision = open_archive(settings)
    clock = SystemClock()

    async def archive() -> list[ProjectOutcome]:
        await ping(settings, "start")
        with progress_on(sys.stderr, log_format) as progress:
            outcomes = await archive_all(settings, engine, revision, clock, is_full=full, progress=progress)
        await tell_of(settings, engine, clock, outcomes)
        return outcomes

    outcomes = _until_signal(archive())
    word = {0: "complete", 1: "partial"}.get(exit_code(outcomes or []), "failed")
    if outcomes is not None and known_ok:
        outcomes = known_failures_ok(outcomes, engine, settings)
    is_textfile_written = textfile is None or _write_textfile(textfile, settings, engine, clock)
    engine.dispose()
    if outcomes is None:
        _say_error("told to stop; what was fetched is saved")
        raise typer.Exit(1)
    for outcome in outcomes:
        if outcome.error is not None:
            _say_error(f"{outcome.project_id}: {outcome.error}")
        elif outcome.result is not None and outcome.result.error:
            _say_error(f"{outcome.project_id}: {outcome.result.error}")
    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    code = exit_code(outcomes) or (0 if is_textfile_written else 1)
    if as_json:
        rows = [result.as_json() for result in results]
        is_single = len(settings.project_ids) == 1 and len(rows) == 1
        typer.echo(json.dumps(rows[0] if is_single else {"outcome": word, "runs": rows}))
    for result in [] if as_json else results:
        counts = result.counts
        typer.echo(
            f"{result.project_id}  {result.outcome}: {counts.plans_listed} plans listed, "
            f"{counts.plans_fetched} fetched ({counts.plans_changed} changed), {counts.plans_skipped} not due, "
            f"{counts.plans_gone} gone, {counts.plans_failed} failed"
        )
    raise typer.Exit(code)


@app.command()
def schedule(
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Answer /metrics and /healthz on loopback, such as 127.0.0.1:9464."),
    ] = None,
    config: Config = None,
    log_format: Format = LogFormat.text,
) -> None:
    """Stay up: run every night by ARCHIVER_SCHEDULE, and at once if the last night is still to do."""
    from archiver.archive import open_archive
    from archiver.clock import SystemClock
    from archiver.logs import configure
    from archiver.schedule import ScheduleCounts, keep_nights
    from archiver.settings import load_settings
    from archiver.stopping import Stop

    configure(log_format)
    settings = load_settings(config)
    settings.check_run()
    open_archive(settings)[0].dispose()
    stop, counts, clock = Stop(), ScheduleCounts(), SystemClock()

    async def stay_up() -> None:
        async with AsyncExitStack() as around:
            if listen is not None:
                from archiver.listening import listening

                await around.enter_async_context(listening(listen, config, clock, counts))
            await keep_nights(config, clock, stop=stop, counts=counts)

    _until_signal(stay_up(), stop)


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
        _until_signal(serve_forever(Simulator(history, now=clock.now), port=port, announce=announce))
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


def _write_textfile(file: Path, settings: "Settings", engine: "Engine", clock: "Clock") -> bool:
    """Write the metrics, or say why not; what was archived stands either way."""
    from archiver.metrics import exposition, load_metrics, write_textfile

    try:
        write_textfile(file, exposition(load_metrics(settings, engine, clock.now())))
    except ArchiverError as error:
        _say_error(f"--metrics-textfile: {error}")
        return False
    return True


def _until_signal(work: Coroutine[Any, Any, _T], stop: "Stop | None" = None) -> _T | None:
    """Run until done, or until SIGTERM or SIGINT ends it; then return None.

    It is cancelled, and saves what it has; with `stop`, it is asked first, and cancelled by a second signal.
    """

    async def watched() -> _T:
        task = asyncio.ensure_future(work)
        if stop is not None:
            stop.watch(task)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel if stop is None else stop.ask)
        return await task

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        return None


def _say_error(message: str) -> None:
    typer.echo(f"error: {message}", err=True)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:300]


def main() -> NoReturn:
    """Run a command and exit: an error with a known course is one line, an unexpected one exits 70."""
    code = 0
    try:
        app()
    except ArchiverError as error:
        _say_error(str(error))
        code = error.exit_code
    except BrokenPipeError:
        # Whoever read the output has gone; nothing more may be written there, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if os.environ.get("ARCHIVER_DEBUG"):
            raise
        _say_error(f"unexpected {type(error).__name__}: {_first_line(error)} (ARCHIVER_DEBUG=1 shows where)")
        code = 70
    sys.exit(code)
