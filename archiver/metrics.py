"""The archive's health for Prometheus: which metrics there are, and how they are written."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from archiver import __version__
from archiver.database import connected
from archiver.errors import ArchiverError
from archiver.health import ProjectStatus, Status
from archiver.ledger import Night
from archiver.settings import Settings
from archiver.status import known_projects, load_status

_OUTCOMES = ("complete", "partial", "failed", "interrupted", "running")
_MAX_AGE_HOURS = 26


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its name with its unit, gauge or counter, what it is, and its samples by labels."""

    name: str
    kind: str
    about: str
    samples: list[tuple[dict[str, str], float]] = field(default_factory=list)


def exposition(metrics: Iterable[Metric]) -> str:
    """Write metrics in Prometheus's text format; one without samples is left out."""
    lines = []
    for metric in metrics:
        if not metric.samples:
            continue
        lines += [f"# HELP {metric.name} {metric.about}", f"# TYPE {metric.name} {metric.kind}"]
        for labels, value in metric.samples:
            told = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            lines.append(f"{metric.name}{'{' + told + '}' if told else ''} {value!r}")
    return "".join(f"{line}\n" for line in lines)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def load_metrics(settings: Settings, engine: Engine, now: datetime) -> list[Metric]:
    """Load what the archive tells of every project it knows or is to archive. DatabaseError if it does not answer."""
    url, night = settings.database_url.get_secret_value(), Night(settings.schedule, ZoneInfo(settings.timezone))
    with connected(engine, url) as connection:
        projects = list(dict.fromkeys([*settings.project_ids, *known_projects(connection)]))
        status = load_status(
            connection,
            url,
            settings.database_schema,
            night,
            now,
            project_ids=projects,
            configured=settings.project_ids,
            max_age_hours=_MAX_AGE_HOURS,
        )
    return list(archive_metrics(status))


def archive_metrics(status: Status) -> Iterator[Metric]:
    """Yield the metrics of an archive."""
    build = {"version": __version__, "schema_revision": status.schema_revision, "database": status.database_kind}
    yield Metric("archiver_build_info", "gauge", "Version of the program and of the schema.", [(build, 1)])
    yield Metric("archiver_database_size_bytes", "gauge", "Size of the archive.", [({}, status.size_bytes)])

    def gauge(name: str, about: str, samples: Iterable[tuple[ProjectStatus, dict[str, str], float | None]]) -> Metric:
        told = [
            ({"project_id": project.project_id} | labels, value)
            for project, labels, value in samples
            if value is not None
        ]
        return Metric(f"archiver_{name}", "gauge", about, told)

    projects = status.projects
    ran = [(project, project.recent_runs[0].result) for project in projects if project.recent_runs]
    yield gauge(
        "last_saved_timestamp_seconds",
        "When the newest complete or partial run ended.",
        ((one, {}, _saved_at(one, status.checked_at)) for one in projects),
    )
    yield gauge(
        "last_complete_timestamp_seconds",
        "When the newest complete run ended.",
        ((one, {}, _seconds(one.last_complete_at)) for one in projects),
    )
    yield gauge(
        "last_run_outcome",
        "1 for how the newest run ended, or that it is running; 0 for the rest.",
        ((one, {"outcome": word}, float(run.outcome == word)) for one, run in ran for word in _OUTCOMES),
    )
    yield gauge(
        "last_run_duration_seconds",
        "How long the newest run took, if it has ended.",
        ((one, {}, (run.ended_at - run.started_at).total_seconds()) for one, run in ran if run.ended_at is not None),
    )
    yield gauge(
        "last_run_plans",
        "Plans of the newest run, by what it did with them.",
        (
            (one, {"state": name.removeprefix("plans_")}, count)
            for one, run in ran
            for name, count in asdict(run.counts).items()
            if name.startswith("plans_")
        ),
    )
    yield gauge(
        "last_run_requests",
        "Requests of the newest run, retries included.",
        ((one, {}, run.counts.requests) for one, run in ran),
    )
    yield gauge(
        "last_run_retries",
        "Requests of the newest run sent again.",
        ((one, {}, run.counts.retries) for one, run in ran),
    )
    yield gauge(
        "nights",
        "Nights that fell due, by what became of them.",
        (
            (one, {"state": state}, count)
            for one in projects
            for state, count in asdict(one.nights).items()
            if state in ("done", "partial", "missed", "due")
        ),
    )
    yield gauge(
        "failed_plans",
        "Plans that the newest run of a night, or by hand, could not archive.",
        ((one, {}, one.failed_plans_count) for one in projects),
    )
    yield gauge(
        "known_failures",
        "Plans that failed alike in three nights in a row.",
        ((one, {}, len(one.known_failures)) for one in projects),
    )
    for name, about in (
        ("plans", "Plans in the archive, the gone included."),
        ("plans_gone", "Plans that are gone upstream."),
        ("plans_unsettled", "Plans that can still move, without the gone."),
        ("attempts", "Deployment attempts in the archive."),
        ("rollbacks", "Rollbacks in the archive."),
        ("snapshots", "Distinct bodies in the archive."),
    ):
        yield gauge(f"held_{name}", about, ((one, {}, getattr(one.holdings, name)) for one in projects))


def _seconds(instant: datetime | None) -> float | None:
    return None if instant is None else instant.timestamp()


def _saved_at(project: ProjectStatus, now: datetime) -> float | None:
    return None if project.age_hours is None else round(now.timestamp() - project.age_hours * 3600)


def write_textfile(path: Path, text: str) -> None:
    """Write a file for node_exporter's textfile collector, whole at once and readable by all; or ArchiverError."""
    beside = None
    try:
        # A name without `.prom` at its end, which the collector leaves alone.
        descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except OSError as error:
        if beside is not None:
            with suppress(OSError):
                Path(beside).unlink()
        raise ArchiverError(f"can't write {path}: {error.strerror}") from None
