"""The whole story without an account: simulated nights, archived one by one, and the weekly report over them."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine, func, select

from archiver.archive import open_archive, open_reader
from archiver.clock import ManualClock, SystemClock
from archiver.errors import ArchiverError, DatabaseError
from archiver.files import make_folder, write_file
from archiver.labelling import apply_rules
from archiver.labels import read_rules
from archiver.logs import configure
from archiver.nightly import archive_all, exit_code
from archiver.schema import job_attempts, nights, plans, rollbacks
from archiver.settings import Settings
from archiver.simulator import Simulator, build_history, serve

SEED = 7
WEEKS = 8
_NIGHT = time(2, 15, tzinfo=UTC)
_LABELS = """\
# The demo's labels: archiver labels apply labels.toml (see labels.example.toml). What has no team stays unlabelled.

[[labels]]
environment = "production"

[[labels]]
component = "shop-*"
project_name = "Web shop"
team = "storefront"

[[labels]]
component = "bank-*"
project_name = "Bank"
team = "banking"

[[labels]]
component = "*-worker"
team = "platform"

[[labels]]
component = "*-gateway"
team = "platform"
tier = "gold"

[[labels]]
component = "*-payments"
team = "payments"
tier = "gold"

[[labels]]
component = "*-checkout"
team = "payments"
tier = "gold"
"""


def last_monday(now: datetime, *, weeks_on: int = 0) -> datetime:
    """Return the midnight (UTC) that began this ISO week, or one so many weeks later."""
    today = now.astimezone(UTC).date()
    monday = today - timedelta(days=today.weekday()) + timedelta(weeks=weeks_on)
    return datetime.combine(monday, time(), UTC)


def run_demo(directory: Path) -> Iterator[str]:
    """Archive 8 weeks of simulated nights into `directory` and write the weekly report; yield what was done.

    The nights end with the one after the last whole week. Where that archive is finished it is left as it is.
    """
    ends_at = last_monday(SystemClock().now())
    year, week, _ = (ends_at - timedelta(days=1)).isocalendar()
    name = f"{year}-W{week:02d}"
    configure("text", logging.WARNING)  # a person watches; what each night did is in the archive
    make_folder(directory)
    labels = directory / "labels.toml"
    write_file(labels, _LABELS.encode())
    archive = (directory / f"archive-{name}.db").resolve()
    url = f"sqlite:///{archive}"
    if archive.exists() and _is_finished(url, ends_at.date()):
        yield f"found the finished archive of the {WEEKS} weeks up to {name}: nothing to archive"
    else:
        yield f"archiving {WEEKS} weeks of simulated nights, up to {name} ..."
        night_count = asyncio.run(archive_nights(url, ends_at, labels))
        yield f"archived {night_count} nights from a simulated ServiceStage on loopback"
    counts = ", ".join(f"{count:,} {noun}" for noun, count in _count_rows(url))
    config = directory / "archiver.toml"
    said = f"# The demo's archive: reports failure-rates --config {config}\ndatabase_url = {url!r}\n"
    write_file(config, said.encode())
    report = directory / "report"
    _write_report(config, report, name)
    yield f"archive: {archive} ({counts})"
    yield f"report:  {(report / f'weekly-{name}.html').resolve()} (also .md, .json and a CSV per table)"
    yield f"next:    reports failure-rates --config {config}"


def _is_finished(url: str, last_night: date) -> bool:
    try:
        engine = open_reader(url, "")
    except DatabaseError:  # stopped before there were tables
        return False
    served = select(func.count()).where(nights.c.night_date == last_night, nights.c.state == "done")
    listed = select(func.count(nights.c.project_id.distinct()))
    with engine.connect() as connection:
        return 0 < connection.execute(listed).scalar_one() == connection.execute(served).scalar_one()


async def archive_nights(url: str, ends_at: datetime, labels: Path | None = None) -> int:
    """Archive night after night with a clock that jumps, labelled by a file; return how many nights there were."""
    history = build_history(SEED, ends_at=ends_at, weeks=WEEKS)
    clock = ManualClock(history.starts_at)
    async with serve(Simulator(history, now=clock.now)) as base_url:
        settings = Settings.model_construct(
            database_url=SecretStr(url),
            endpoint=base_url,
            project_id=",".join(history.project_ids),
            token=SecretStr("simulated"),
            requests_per_second=0,
        )
        engine, revision = open_archive(settings)
        if labels is not None:
            with engine.begin() as connection:
                apply_rules(connection, read_rules(labels), clock.now())
        first = history.starts_at.date() + timedelta(days=1)
        night = datetime.combine(_next_night(engine, len(history.project_ids), first), _NIGHT)
        night_count = 0
        while night.date() <= ends_at.date():
            clock.set(night)
            outcomes = await archive_all(settings, engine, revision, clock, kind="scheduled")
            if exit_code(outcomes) != 0:
                error = next((outcome.error or outcome.result for outcome in outcomes if outcome.exit_code), None)
                raise ArchiverError(f"the night of {night.date()} was not archived: {error}")
            night += timedelta(days=1)
            night_count += 1
        engine.dispose()
    return night_count


def _next_night(engine: Engine, project_count: int, first: date) -> date:
    """Return the night to go on with: time never runs backwards in an archive that was left unfinished."""
    last_done = select(func.max(nights.c.night_date)).where(nights.c.state == "done").group_by(nights.c.project_id)
    with engine.connect() as connection:
        dates = connection.execute(last_done).scalars().all()
    return min(dates) + timedelta(days=1) if len(dates) == project_count else first


def _count_rows(url: str) -> Iterator[tuple[str, int]]:
    with open_reader(url, "").connect() as connection:
        for table, noun in ((plans, "plans"), (job_attempts, "job attempts"), (rollbacks, "rollbacks")):
            yield noun, connection.execute(select(func.count()).select_from(table)).scalar_one()


def _write_report(config: Path, directory: Path, week: str) -> None:
    """Have `reports` write the weekly report: it reads the archive as any user of it does."""
    command = [sys.executable, "-m", "reports", "weekly", "--config", str(config), "--week", week]
    # The demo is the demo, whatever the surrounding settings are.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ARCHIVER_")}
    done = subprocess.run(  # noqa: S603 - our own program
        [*command, "--out", str(directory)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ArchiverError(f"the report was not written: {done.stderr.strip() or done.returncode}")
