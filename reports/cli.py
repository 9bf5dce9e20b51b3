"""The command `reports`: the only place that puts settings, archive, clock and tables together."""

import errno
import os
import sys
import traceback
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from archiver.clock import Clock
from archiver.delivery import services_of
from archiver.errors import ArchiverError
from archiver.settings import Settings, load_settings
from archiver.usage import run_app
from reports import evidence, publishing
from reports.asked import Asked, Format, drop_output, parse_as_of, save, show
from reports.batch_timing import batch_timing, batch_trend
from reports.columns import LABELS
from reports.delivery import delivery
from reports.errors import UsageError
from reports.failure_rates import failure_rates
from reports.failures import failure_templates
from reports.groups import BATCH_KEYS
from reports.issuing import issue_weekly, make_weekly
from reports.options import (
    AsOf,
    BatchBy,
    By,
    Config,
    CountedUnit,
    Engine,
    FormatOption,
    Output,
    Project,
    Since,
    Until,
    WhereOption,
    Within,
    clock_of,
)
from reports.render import weekly_files
from reports.rollbacks import rollback_rates
from reports.sending import DeliveryError, send_weekly
from reports.weekly import WeeklyReport
from reports.window import monday_of, parse_week

_ONE_WEEK = timedelta(days=7)
USAGE, NOT_DONE, UNEXPECTED = 2, 3, 70

_UNSEEN = "An attempt replaced between two observations is unseen: rates are a lower bound."

app = typer.Typer(
    help="Reliability reports over the archive. Weeks are ISO weeks in ARCHIVER_TIMEZONE.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("failure-rates")
def _failure_rates(
    context: typer.Context,
    *,
    since: Since = None,
    until: Until = None,
    by: By = "week",
    where: WhereOption = None,
    project: Project = None,
    unit: Annotated[
        CountedUnit, typer.Option(help="Count attempts, or releases by how they ended.")
    ] = CountedUnit.ATTEMPT,
    format_: FormatOption = Format.TABLE,
    output: Output = None,
    as_of: AsOf = None,
    config: Config = None,
) -> None:
    """How many of the finished attempts (or component releases) failed."""
    asked = Asked(
        clock_of(context), since=since, until=until, by=by, where=where, project=project, as_of=as_of, config=config
    )
    table = asked.table(lambda frames: failure_rates(frames, asked.selection, unit=unit.value))
    asked.write(table, f"Failure rates, by {unit.value}", format_, output, note=_UNSEEN)


@app.command("rollbacks")
def _rollbacks(
    context: typer.Context,
    *,
    since: Since = None,
    until: Until = None,
    by: By = "week",
    where: WhereOption = None,
    project: Project = None,
    within_days: Within = None,
    format_: FormatOption = Format.TABLE,
    output: Output = None,
    as_of: AsOf = None,
    config: Config = None,
) -> None:
    """How many of the finished component releases were rolled back, and how long recovery took.

    A week is provisional while it ended less than ARCHIVER_RECHECK_DAYS before now.
    """
    asked = Asked(
        clock_of(context), since=since, until=until, by=by, where=where, project=project, as_of=as_of, config=config
    )
    table = asked.table(
        lambda frames: rollback_rates(
            frames,
            asked.selection,
            as_of=asked.now,
            recheck_days=asked.settings.recheck_days,
            within_days=within_days,
        )
    )
    note = f"Provisional: the week ended less than {asked.settings.recheck_days} days ago, more can come."
    asked.write(table, "Rollbacks of finished component releases", format_, output, note=note)


@app.command("batch-timing")
def _batch_timing(
    context: typer.Context,
    *,
    since: Since = None,
    until: Until = None,
    by: BatchBy = "week,batch",
    where: WhereOption = None,
    project: Project = None,
    trend: Annotated[bool, typer.Option("--trend", help="How the weekly medians move (Theil-Sen, 95 %).")] = False,
    format_: FormatOption = Format.TABLE,
    output: Output = None,
    as_of: AsOf = None,
    config: Config = None,
) -> None:
    """How long the first pass of each batch took."""
    asked = Asked(
        clock_of(context),
        since=since,
        until=until,
        by=by,
        where=where,
        project=project,
        as_of=as_of,
        config=config,
        keys=BATCH_KEYS,
    )
    if trend:
        make, title = batch_trend, "Trend of the weekly median of batch timing"
    else:
        make, title = batch_timing, "Batch timing"
    table = asked.table(lambda frames: make(frames, asked.selection))
    note = "Finished batches, first pass; redeployments are not in it."
    if not {*asked.selection.by, *asked.selection.where}.isdisjoint(LABELS):
        note += " A batch has the label that all of its components share; one of several has none."
    asked.write(table, title, format_, output, note=note)


@app.command("delivery")
def _delivery(
    context: typer.Context,
    *,
    since: Since = None,
    until: Until = None,
    by: By = "week",
    where: WhereOption = None,
    project: Project = None,
    format_: FormatOption = Format.TABLE,
    output: Output = None,
    as_of: AsOf = None,
    config: Config = None,
) -> None:
    """How many releases, change failures and reworked attempts there were."""
    asked = Asked(
        clock_of(context), since=since, until=until, by=by, where=where, project=project, as_of=as_of, config=config
    )
    table = asked.table(lambda frames: delivery(frames, asked.selection))
    asked.write(table, "Delivery", format_, output, note=_UNSEEN)


@app.command("failures")
def _failures(
    context: typer.Context,
    *,
    since: Since = None,
    until: Until = None,
    where: WhereOption = None,
    project: Project = None,
    format_: FormatOption = Format.TABLE,
    output: Output = None,
    as_of: AsOf = None,
    config: Config = None,
) -> None:
    """What failed attempts and failed rollbacks said, grouped by what their messages have in common.

    New is a kind of message that was never seen before the window's last week.
    """
    asked = Asked(
        clock_of(context), since=since, until=until, by="week", where=where, project=project, as_of=as_of, config=config
    )
    table = failure_templates(asked.failures, asked.selection)
    note = (
        "New: never seen before the window's last week. Numbers, ids, names and quotes are masked.\n"
        "An attempt replaced between two observations is unseen: counts are a lower bound."
    )
    asked.write(table, "Failures by message", format_, output, note=note)


app.command("quality")(evidence.show_quality)
app.command("explain")(evidence.show_explanation)
app.command("site")(publishing.write_site)
app.command("dictionary")(publishing.write_dictionary)


@app.command("weekly")
def _weekly(
    context: typer.Context,
    *,
    out: Annotated[Path | None, typer.Option(help="Directory for the files; made if missing.")] = None,
    week: Annotated[str | None, typer.Option(help="Week, such as 2026-W47. Default: the last whole week.")] = None,
    project: Project = None,
    issue: Annotated[
        bool, typer.Option("--issue", help="Keep it in the archive, to be compared with what is known later.")
    ] = False,
    send: Annotated[
        bool, typer.Option("--send", help="Send it to ARCHIVER_NOTIFY_URLS; exit 1 if one did not take it.")
    ] = False,
    as_of: AsOf = None,
    engine: Annotated[
        Engine, typer.Option(help="What works it out: pandas from the archive, or Dask from a data set.")
    ] = Engine.PANDAS,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="The data set that `archiver export` made.")] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="tcp://HOST:PORT", help="Dask's scheduler. Default: processes of this machine."),
    ] = None,
    config: Config = None,
) -> None:
    """Write the weekly report: HTML, Markdown, JSON and a CSV file per table, and lists of releases beside a full page.

    What it tells otherwise than a report issued before stands in it, with the reason. A week is provisional while
    it ended less than ARCHIVER_RECHECK_DAYS before the newest run's end, so that the same archive gives the same
    report on any day.
    """
    if out is None and not issue and not send:
        raise UsageError(
            "where to? name a directory with --out, keep the report in the archive with --issue, or send it with --send"
        )
    if issue and as_of is not None:
        raise UsageError("--issue keeps what is known now: leave out --as-of")
    _check_engine(engine, data, scheduler, is_of_archive=issue or as_of is not None)
    settings = load_settings(config)
    services = services_of(settings, "--send") if send else []
    zone = ZoneInfo(settings.timezone)
    at = parse_as_of(as_of, zone)
    now = clock_of(context).now()
    monday = parse_week(week) if week is not None else monday_of((at or now).astimezone(zone).date()) - _ONE_WEEK
    if data is not None:
        report, said = _by_dask(settings, monday, project or None, data, scheduler), []
    elif issue:
        report, digest = issue_weekly(settings, monday, project or None, now)
        said = [f"issued {report.week.label}, SHA-256 {digest}"]
    else:
        report, said = make_weekly(settings, monday, project or None, at), []
    if out is not None:
        names = []
        for name, pieces in weekly_files(report):
            save(out / name, (piece.encode() for piece in pieces))
            names.append(name.split("/")[0])
        said = [*dict.fromkeys(str(out / name) for name in names), *said]
    _say(said)
    # Last: the report is safe by now, whatever becomes of its delivery.
    if services:
        sent, failed = send_weekly(report, services, settings)
        _say([f"sent to {name}" for name in sent])
        if failed:
            raise DeliveryError(f"the report of {report.week.label} was not delivered to {'; '.join(failed)}")


def _check_engine(engine: Engine, data: Path | None, scheduler: str | None, *, is_of_archive: bool) -> None:
    if engine is Engine.PANDAS and (data is not None or scheduler is not None):
        raise UsageError("--data and --scheduler are for --engine dask")
    if engine is Engine.DASK and data is None:
        raise UsageError(
            "--engine dask works on a data set: make one with `archiver export DIR`, name it with --data DIR"
        )
    if engine is Engine.DASK and is_of_archive:
        raise UsageError("--issue and --as-of ask the archive: leave them out with --engine dask")


def _by_dask(
    settings: Settings, monday: date, projects: Sequence[str] | None, data: Path, scheduler: str | None
) -> WeeklyReport:
    try:
        from reports.dask_weekly import dask_weekly  # noqa: PLC0415 - an extra, which takes seconds to import
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--engine dask needs the extra `dask` ({error.name} is missing): pip install 'release-archiver[dask]'"
        ) from None
    return dask_weekly(settings, monday, projects, data, scheduler)


def _say(lines: Sequence[str]) -> None:
    show(b"".join(os.fsencode(line) + b"\n" for line in lines))


def run(arguments: Sequence[str] | None = None, *, clock: Clock | None = None) -> int:
    """Run the command, and return its exit code; every error is one line on stderr, never a traceback."""
    try:
        return run_app(app, arguments, prog_name="reports", obj=clock)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    except UsageError as error:
        return _complain(str(error), USAGE)
    except ArchiverError as error:
        return _complain(str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - the one place where the unexpected is met
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            # Answers and files are seen to where they are written; what is left is the parser's help.
            drop_output()
            return _complain(f"can't write to standard output: {error.strerror}", NOT_DONE)
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return _complain(f"unexpected {type(error).__name__} at {place}: {error}; please report it", UNEXPECTED)


def _complain(message: str, code: int) -> int:
    typer.echo(f"reports: {' '.join(message.split())}", err=True)
    return code


def main() -> None:
    """Run the console script `reports`."""
    sys.exit(run())
