"""The known failures: plans that fail alike, night after night, so that they are no news any more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, Connection, select

from archiver.schema import fetch_failures, runs

# In so many nights in a row, with the same stage and error code.
NIGHTS = 3
_NIGHTS_BACK = 366
_NOT_TRIED = "not_tried"


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A plan that the newest `nights_count` nights could not archive for the same reason, `since_night` the first."""

    project_id: str
    plan_id: str
    stage: str
    error_code: str | None
    message: str
    since_night: date
    nights_count: int
    failed_at: datetime


def load_known_failures(
    connection: Connection, project_ids: Sequence[str] | None = None, until: date | None = None
) -> list[KnownFailure]:
    """Load the known failures of some projects (None: of all), by project and plan; as they were in the night `until`.

    A night is told by the last run that served it, in full or in part. A night without such a run tells nothing of a
    plan, so it is passed over; a plan that a run did not get to has not failed, and breaks the row.
    """
    conditions: list[ColumnElement[bool]] = [
        runs.c.night_date.is_not(None),
        runs.c.kind.in_(("scheduled", "manual")),
        runs.c.outcome.in_(("complete", "partial")),
    ]
    if project_ids is not None:
        conditions.append(runs.c.project_id.in_(project_ids))
    if until is not None:
        conditions.append(runs.c.night_date <= until)
    columns = (runs.c.project_id, runs.c.night_date, runs.c.run_id)
    served: dict[str, dict[date, str]] = {}
    for project_id, night_date, run_id in connection.execute(
        select(*columns).where(*conditions).order_by(runs.c.project_id, runs.c.started_at)
    ):
        served.setdefault(project_id, {})[night_date] = run_id
    return [
        failure
        for project_id, nights in served.items()
        for failure in _of_project(connection, project_id, sorted(nights.items(), reverse=True)[:_NIGHTS_BACK])
    ]


def _of_project(connection: Connection, project_id: str, nights: Sequence[tuple[date, str]]) -> Iterator[KnownFailure]:
    if len(nights) < NIGHTS:
        return
    columns = [fetch_failures.c[name] for name in ("plan_id", "stage", "error_code", "message", "failed_at")]
    newest = connection.execute(
        select(*columns).where(fetch_failures.c.run_id == nights[0][1], *_TRIED).order_by(fetch_failures.c.plan_id)
    ).all()
    lengths = _lengths({row.plan_id: (row.stage, row.error_code) for row in newest}, _earlier(connection, nights[1:]))
    for row in newest:
        count = lengths[row.plan_id]
        if count >= NIGHTS:
            yield KnownFailure(
                project_id,
                row.plan_id,
                row.stage,
                row.error_code,
                row.message,
                nights[count - 1][0],
                count,
                row.failed_at,
            )


_TRIED = (fetch_failures.c.plan_id.is_not(None), fetch_failures.c.stage != _NOT_TRIED)


def _earlier(
    connection: Connection, nights: Sequence[tuple[date, str]]
) -> Iterator[Mapping[str, tuple[str, str | None]]]:
    """Yield what failed, night by night backwards, read only as far back as anyone asks."""
    for _, run_id in nights:
        query = select(fetch_failures.c.plan_id, fetch_failures.c.stage, fetch_failures.c.error_code)
        rows = connection.execute(query.where(fetch_failures.c.run_id == run_id, *_TRIED))
        yield {plan_id: (stage, error_code) for plan_id, stage, error_code in rows}


def _lengths(
    newest: Mapping[str, tuple[str, str | None]], earlier: Iterable[Mapping[str, tuple[str, str | None]]]
) -> dict[str, int]:
    """Count for each plan in how many nights in a row it failed as in the newest."""
    lengths = dict.fromkeys(newest, 1)
    going = dict(newest)
    if not going:
        return lengths
    for failed in earlier:
        going = {plan_id: cause for plan_id, cause in going.items() if failed.get(plan_id, ("", "")) == cause}
        for plan_id in going:
            lengths[plan_id] += 1
        if not going:
            break
    return lengths
