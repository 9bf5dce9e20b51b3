"""The commands that tend an archive: import, replay, prune, status, check and backup."""

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from archiver.errors import DatabaseDamagedError, DatabaseError, SettingsError

Config = Annotated[Path | None, typer.Option("--config", help="Settings file; default archiver.toml, if there.")]


def import_bodies(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files, folders, or - for standard input.")],
    project: Annotated[str | None, typer.Option(help="Project ID; default the single ARCHIVER_PROJECT_ID.")] = None,
    captured_at: Annotated[
        str | None,
        typer.Option(help="When the bodies were seen, such as 2026-11-24T02:15:00Z; default each file's time."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    config: Config = None,
) -> None:
    """Archive saved bodies: deployment information and lists, also as NDJSON, gzip or Zstandard."""
    from archiver.archive import open_archive
    from archiver.clock import SystemClock
    from archiver.importing import import_saved
    from archiver.logs import configure
    from archiver.saved import read_saved
    from archiver.settings import load_settings

    configure("text")
    settings = load_settings(config)
    project_id = project or (settings.project_ids[0] if len(settings.project_ids) == 1 else None)
    if project_id is None:
        raise SettingsError("which project? name one with --project, or a single one in ARCHIVER_PROJECT_ID")
    clock = SystemClock()
    now = clock.now()
    found = read_saved(paths, _instant(captured_at, now), now)
    engine, revision = open_archive(settings)
    result = import_saved(engine, project_id, revision, found, now, clock, settings.timezone)
    counts = result.counts
    if as_json:
        typer.echo(json.dumps(result.as_json()))
    else:
        typer.echo(
            f"{project_id}  {result.outcome}: {counts.plans_listed} plans, {counts.plans_fetched} with deployment "
            f"information ({counts.plans_changed} changed), {counts.plans_failed} failed"
        )
        if result.error is not None:
            typer.echo(f"{project_id}  {result.error}")
    if result.outcome != "complete":
        raise typer.Exit(3 if result.outcome == "failed" else 1)


def _instant(value: str | None, now: datetime) -> datetime | None:
    if value is None:
        return None
    from archiver.clock import to_milliseconds
    from archiver.saved import EARLIEST

    try:
        instant = datetime.fromisoformat(value)
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise SettingsError(f"--captured-at: {value!r} is no instant; write it like 2026-11-24T02:15:00Z") from None
    if instant > now:
        raise SettingsError(f"--captured-at: {value} is in the future")
    if instant < EARLIEST:
        raise SettingsError(f"--captured-at: {value} is before 1970, when no body was seen")
    return to_milliseconds(instant)


def replay(config: Config = None) -> None:
    """Build plans, components, attempts, rollbacks and status changes again from the stored bodies."""
    from archiver.archive import open_archive, open_reader
    from archiver.lease import alone
    from archiver.logs import configure
    from archiver.replay import replay as replay_all
    from archiver.settings import load_settings

    configure("text")
    settings = load_settings(config)
    # Nothing is made or migrated here: where there is no archive, there is nothing to replay.
    open_reader(settings.database_url.get_secret_value(), settings.database_schema).dispose()
    engine, _ = open_archive(settings)
    found = alone(engine, replay_all)
    typer.echo(f"{found.plans_rebuilt} plans rebuilt: {found.rows_written} rows written, {found.rows_removed} removed")
    if found.facts_kept:
        typer.echo(f"{found.facts_kept} rows kept as they are: they rest on bodies that were pruned")
    if found.plans_kept:
        typer.echo(f"{found.plans_kept} plans kept as they are: their bodies no longer tell their whole past")


def prune(
    older_than: Annotated[int, typer.Option(min=0, max=36_500, help="Days since a body was last seen.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be dropped; change nothing.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also bodies that the last issued report did not know yet.")
    ] = False,
    config: Config = None,
) -> None:
    """Drop bodies that newer ones have followed, once they are old enough and told by an issued report; never facts."""
    from archiver.archive import open_archive, open_reader
    from archiver.clock import SystemClock
    from archiver.database import connected
    from archiver.instants import instant_text
    from archiver.lease import alone
    from archiver.logs import configure
    from archiver.pruning import horizons, prune
    from archiver.settings import load_settings

    configure("text")
    settings = load_settings(config)
    now = SystemClock().now()
    until = now - timedelta(days=older_than)
    engine = open_reader(settings.database_url.get_secret_value(), settings.database_schema)
    with connected(engine, settings.database_url.get_secret_value()) as connection:
        found_until = horizons(connection, until, heeds_issued=not force)
        found = prune(connection, found_until, now, writes=False)
    engine.dispose()
    if found.bodies and not dry_run:
        engine, _ = open_archive(settings)
        found = alone(engine, lambda connection: prune(connection, found_until, now))
        engine.dispose()
    would, reaches = ("would be ", "would reach") if dry_run else ("", "reaches")
    typer.echo(f"{found.bodies} bodies of {found.plans} plans {would}dropped, {found.size_bytes:,} bytes")
    if found.bodies and found.horizon is not None:
        typer.echo(f"{found.facts} attempts and rollbacks rest on them: they stay, and no replay can rebuild them")
        typer.echo(f"--as-of {reaches} back to {instant_text(found.horizon)}, and no further")
    for project_id, issued_at in found_until.items():
        if issued_at < until:
            known = f"the last issued report of {project_id}, as of {instant_text(issued_at)}"
            typer.echo(f"kept: what {known}, did not know (--force drops it)")
    if found.plans_left:
        typer.echo(f"{found.plans_left} plans left as they are: some of what they showed until then was recorded later")


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print all that is known as JSON.")] = False,
    max_age_hours: Annotated[
        float, typer.Option(help="A project is fresh if a complete or partial run ended so many hours ago at most.")
    ] = 26,
    projects: Annotated[
        list[str] | None, typer.Option("--project", help="Show this project alone; may be given again.")
    ] = None,
    config: Config = None,
) -> None:
    """Show how fresh each project is, its runs and nights, what fails, size and growth. Exit 1 if one is stale."""
    from zoneinfo import ZoneInfo

    from archiver.archive import open_reader
    from archiver.clock import SystemClock
    from archiver.database import connected, database_name
    from archiver.ledger import Night
    from archiver.settings import load_settings
    from archiver.status import known_projects, load_status
    from archiver.status_text import status_lines
    from archiver.targets import target_names

    if not 0 < max_age_hours < math.inf:
        raise SettingsError(f"--max-age-hours: {max_age_hours:g} is no age; write a number of hours above 0")
    settings = load_settings(config)
    url, schema = settings.database_url.get_secret_value(), settings.database_schema
    night = Night(settings.schedule, ZoneInfo(settings.timezone))
    engine = open_reader(url, schema)
    with connected(engine, url) as connection:
        known = dict.fromkeys([*settings.project_ids, *known_projects(connection)])
        unknown = [project for project in projects or () if project not in known]
        if unknown:
            raise SettingsError(f"--project: {unknown[0]!r} is neither configured nor in the archive")
        found = load_status(
            connection,
            url,
            schema,
            night,
            SystemClock().now(),
            project_ids=[project for project in known if not projects or project in projects],
            configured=settings.project_ids,
            max_age_hours=max_age_hours,
            targets=target_names(settings),
        )
    engine.dispose()
    if as_json:
        typer.echo(json.dumps(found.as_json()))
    else:
        for line in status_lines(found, database_name(url)):
            typer.echo(line)
    if found.stale:
        raise typer.Exit(1)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print settings and checks as JSON.")] = False,
    config: Config = None,
) -> None:
    """Look at everything a run needs, and say what to do about what is wrong. Exit 1 on a finding."""
    import asyncio

    from archiver.clock import SystemClock
    from archiver.doctor import diagnosis_lines, examine
    from archiver.logs import configure

    configure("text")
    found = asyncio.run(examine(config, SystemClock()))
    typer.echo(json.dumps(found.as_json()) if as_json else "\n".join(diagnosis_lines(found)))
    if found.findings:
        raise typer.Exit(1)


def check(config: Config = None) -> None:
    """Read the whole archive again: bodies and hashes, mapping, references, the database. Exit 1 on a finding."""
    from archiver.archive import open_reader
    from archiver.audit import findings
    from archiver.database import connected
    from archiver.printing import printable
    from archiver.settings import load_settings

    settings = load_settings(config)
    url = settings.database_url.get_secret_value()
    count = 0
    try:
        engine = open_reader(url, settings.database_schema)
        if engine.dialect.name == "postgresql":  # one state, also while a run is writing
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with connected(engine, url) as connection:
            for finding in findings(connection):
                count += 1
                typer.echo(printable(finding))
    except DatabaseDamagedError as damage:
        count += 1
        typer.echo(f"{damage}: restore a backup, nothing more can be read")
    typer.echo(f"{count} findings" if count else "the archive is sound")
    if count:
        raise typer.Exit(1)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes; must not be there yet.")],
    config: Config = None,
) -> None:
    """Make a verified copy of an SQLite archive, also while it is in use."""
    from archiver.archive import open_reader
    from archiver.database import is_sqlite, parse_url, sqlite_path
    from archiver.migrate import back_up
    from archiver.settings import load_settings

    settings = load_settings(config)
    url = parse_url(settings.database_url.get_secret_value())
    if not is_sqlite(url):
        raise SettingsError("backup copies SQLite archives; use pg_dump for PostgreSQL")
    open_reader(settings.database_url.get_secret_value(), settings.database_schema).dispose()
    if file.exists():
        raise SettingsError(f"{file} is there already: name a new file")
    if not file.parent.is_dir():
        raise DatabaseError(f"there is no folder {file.parent}")
    back_up(sqlite_path(url), file)
    typer.echo(f"{file}: a verified copy, {file.stat().st_size:,} bytes")
