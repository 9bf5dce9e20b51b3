"""The archive's health as it is told: of a run, of nights, of a project, of the whole; and as JSON."""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from archiver.instants import instant_text
from archiver.known_failures import KnownFailure
from archiver.ledger import RunResult


@dataclass(frozen=True, slots=True)
class Run:
    """A run; one whose outcome is `running` is in progress, or its process died and the next run will note that."""

    result: RunResult
    kind: str
    night_date: date | None
    is_in_progress: bool

    def as_json(self) -> dict[str, Any]:
        """Return what `run --json` prints, with what kind of run it is."""
        return self.result.as_json() | {
            "kind": self.kind,
            "night_date": _plain(self.night_date),
            "is_in_progress": self.is_in_progress,
        }


@dataclass(frozen=True, slots=True)
class Nights:
    """How many nights fell due, by what became of them.

    `unwritten` counts those that fell due since the newest night in the books: no process has written them, which
    is how a dead archiver shows. They are counted in `planned` and `missed` too, the newest in `due`.
    """

    planned: int
    done: int
    partial: int
    missed: int
    due: int
    unwritten: int


@dataclass(frozen=True, slots=True)
class FailedPlan:
    """A plan (None: the list) that the latest run could not archive, nor the runs before, `since_nights` in a row."""

    plan_id: str | None
    stage: str
    message: str
    failed_at: datetime
    since_nights: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """How many rows the archive has of a project; what came in the last 28 days.

    `plans_unsettled` leaves out the gone. Growth counts plans by their first sighting, attempts by their start,
    snapshots by when they were recorded.
    """

    plans: int = 0
    plans_gone: int = 0
    plans_unsettled: int = 0
    attempts: int = 0
    rollbacks: int = 0
    snapshots: int = 0
    plans_28_days: int = 0
    attempts_28_days: int = 0
    snapshots_28_days: int = 0


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """What is known of one project. `age_hours` is that of the newest complete or partial run's end."""

    project_id: str
    is_configured: bool
    is_fresh: bool
    age_hours: float | None
    last_complete_at: datetime | None
    recent_runs: list[Run]
    nights: Nights
    missed_nights: list[date]
    failed_plans_count: int
    failed_plans: list[FailedPlan]
    known_failures: list[KnownFailure]
    holdings: Holdings
    target: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the project's part of `status --json`."""
        held_rows = asdict(self.holdings)
        growth = {name: held_rows.pop(name) for name in list(held_rows) if name.endswith("_28_days")}
        return {
            "project_id": self.project_id,
            "target": self.target,
            "is_configured": self.is_configured,
            "is_fresh": self.is_fresh,
            "age_hours": self.age_hours,
            "last_run": self.recent_runs[0].as_json() if self.recent_runs else None,
            "last_complete_at": _plain(self.last_complete_at),
            "recent_runs": [run.as_json() for run in self.recent_runs],
            "nights": asdict(self.nights),
            "missed_nights": [night.isoformat() for night in self.missed_nights],
            "failed_plans_count": self.failed_plans_count,
            "failed_plans": [
                {name: _plain(value) for name, value in asdict(plan).items()} for plan in self.failed_plans
            ],
            "known_failures": [
                {name: _plain(value) for name, value in asdict(failure).items() if name != "project_id"}
                for failure in self.known_failures
            ],
            **held_rows,
            "growth": growth,
        }


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of the whole archive. It is fresh if every configured project is."""

    checked_at: datetime
    database_kind: str
    size_bytes: int
    schema_revision: str
    max_age_hours: float
    projects: list[ProjectStatus]

    @property
    def stale(self) -> list[ProjectStatus]:
        """The configured projects without a complete or partial run young enough."""
        return [project for project in self.projects if project.is_configured and not project.is_fresh]

    def as_json(self) -> dict[str, Any]:
        """Return what `status --json` prints: times as the archive writes them, what is missing null."""
        return {
            "checked_at": _plain(self.checked_at),
            "database": {
                "kind": self.database_kind,
                "size_bytes": self.size_bytes,
                "schema_revision": self.schema_revision,
            },
            "max_age_hours": self.max_age_hours,
            "is_fresh": not self.stale,
            "projects": [project.as_json() for project in self.projects],
        }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant_text(value)
    return value.isoformat() if isinstance(value, date) else value
