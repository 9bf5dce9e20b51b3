"""The commands that archive: one run now, and a run every night; and how they are told to end."""

import asyncio
import gc
import json
import signal
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from archiver.errors import ArchiverError, DatabaseError, SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from archiver.clock import Clock
    from archiver.nightly import ProjectOutcome
    from archiver.settings import Settings
    from archiver.stopping import Stop

_T = TypeVar("_T")


class LogFormat(StrEnum):
    """How log lines are written."""

    text = "text"
    json = "json"


Config = Annotated[Path | None, typer.Option("--config", help="Settings file; default archiver.toml, if there.")]
Format = Annotated[LogFormat, typer.Option("--log-format", help="How log lines on standard error are written.")]


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
    from archiver.bar import progress_on
    from archiver.clock import SystemClock
    from archiver.ledger import without_run_json
    from archiver.logs import configure
    from archiver.nightly import archive_all, exit_code, known_failures_ok
    from archiver.pings import begun
    from archiver.settings import load_settings
    from archiver.telling import tell_of

    configure(log_format)
    settings = load_settings(config)
    settings.check_run()
    engine, revision = _open_or_tell(settings)
    clock = SystemClock()

    async def archive() -> "list[ProjectOutcome]":
        async with begun(settings):
            with progress_on(sys.stderr, log_format) as progress:
                outcomes = await archive_all(settings, engine, revision, clock, is_full=full, progress=progress)
            await tell_of(settings, engine, clock, outcomes)
            await _tell_of_lost_archive(settings, outcomes)
        return outcomes

    outcomes = until_signal(archive())
    word = {0: "complete", 1: "partial"}.get(exit_code(outcomes or []), "failed")
    if outcomes is not None and known_ok:
        outcomes = known_failures_ok(outcomes, engine, settings)
    is_textfile_written = textfile is None or _write_textfile(textfile, settings, engine, clock)
    engine.dispose()
    if outcomes is None:
        say_error("told to stop; what was fetched is saved")
        raise typer.Exit(1)
    for line in dict.fromkeys(_errors(outcomes, is_one_target=not settings.targets)):
        say_error(line)
    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    code = exit_code(outcomes) or (0 if is_textfile_written else 1)
    if as_json:
        rows = [result.as_json() for result in results]
        if len(outcomes) == 1:
            rows = rows or [without_run_json(outcomes[0].project_id, str(outcomes[0].error))]
        typer.echo(json.dumps(rows[0] if len(outcomes) == 1 else {"outcome": word, "runs": rows}))
    for result in [] if as_json else results:
        counts = result.counts
        typer.echo(
            f"{result.project_id}  {result.outcome}: {counts.plans_listed} plans listed, "
            f"{counts.plans_fetched} fetched ({counts.plans_changed} changed), {counts.plans_skipped} not due, "
            f"{counts.plans_gone} gone, {counts.plans_failed} failed"
        )
    raise typer.Exit(code)


def _open_or_tell(settings: "Settings") -> "tuple[Engine, str]":
    """Open the archive; where it can't be opened, nobody reads of this run there: so it is told at once."""
    from archiver.archive import open_archive
    from archiver.telling import tell_of_archive

    try:
        return open_archive(settings)
    except ArchiverError as error:
        until_signal(tell_of_archive(settings, str(error)))
        raise


async def _tell_of_lost_archive(settings: "Settings", outcomes: "Sequence[ProjectOutcome]") -> None:
    """Tell that the archive went away under a run: it can't hold what there is to tell."""
    from archiver.telling import tell_of_archive

    if lost := next((one.error for one in outcomes if isinstance(one.error, DatabaseError)), None):
        await tell_of_archive(settings, str(lost))


def _errors(outcomes: Sequence["ProjectOutcome"], *, is_one_target: bool) -> Iterator[str]:
    for outcome in outcomes:
        said = outcome.error or (outcome.result and outcome.result.error)
        if isinstance(said, SettingsError) and is_one_target:
            yield str(said)  # of all projects alike
        elif said:
            yield f"{outcome.project_id}: {said}"


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

    until_signal(stay_up(), stop)


def _write_textfile(file: Path, settings: "Settings", engine: "Engine", clock: "Clock") -> bool:
    """Write the metrics, or say why not; what was archived stands either way."""
    from archiver.metrics import exposition, load_metrics, write_textfile

    try:
        write_textfile(file, exposition(load_metrics(settings, engine, clock.now())))
    except ArchiverError as error:
        say_error(f"--metrics-textfile: {error}")
        return False
    return True


def until_signal(work: Coroutine[Any, Any, _T], stop: "Stop | None" = None) -> _T | None:
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

    gc.freeze()  # what the start loaded is here to stay: the collections of a run need not look through it again
    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        return None


def say_error(message: str) -> None:
    typer.echo(f"error: {message}", err=True)
