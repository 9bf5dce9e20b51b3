"""The archive's health as lines that one reads at a glance, 80 columns wide."""

from collections.abc import Iterator
from datetime import datetime
from textwrap import wrap

from archiver.health import ProjectStatus, Run, Status
from archiver.printing import printable
from archiver.status import GROWTH_DAYS

_WIDTH = 80
_LABEL = 10
_INDENT = " " * (_LABEL + 2)
_PLANS_SHOWN = 5
_NIGHTS_SHOWN = 5


def status_lines(status: Status, name: str) -> Iterator[str]:
    """Write the status of the database of that name: a summary, then what is known of each project."""
    yield f"{name}: {status.database_kind}, {_size(status.size_bytes)}, schema {status.schema_revision}"
    yield _verdict(status)
    for project in status.projects:
        yield ""
        yield from _project(project, status)


def _verdict(status: Status) -> str:
    configured = sum(project.is_configured for project in status.projects)
    if not configured:
        shown = "all of the archive are shown" if status.projects else "the archive holds none"
        return f"no project is configured (ARCHIVER_PROJECT_ID): {shown}"
    if not status.stale:
        return f"FRESH: {configured} of {configured} configured projects saved within {status.max_age_hours:g} hours"
    return (
        f"STALE: {len(status.stale)} of {configured} configured projects saved nothing "
        f"within {status.max_age_hours:g} hours"
    )


def _project(project: ProjectStatus, status: Status) -> Iterator[str]:
    mark = "fresh" if project.is_fresh else "NEVER RUN" if not project.recent_runs else "STALE"
    where = "" if project.target is None else f" ({project.target})"
    yield _cut(f"{project.project_id}{where}  {mark}{'' if project.is_configured else ' (not configured)'}")
    if not project.recent_runs:
        return
    yield from _line("saved", _saved(project))
    for label, run in zip(("last runs", "", ""), project.recent_runs, strict=False):
        yield from _line(label, _run(run, status.checked_at))
    yield from _line("nights", _nights(project))
    yield from _failed(project)
    yield from _known(project)
    rows = project.holdings
    yield from _line(
        "holds",
        f"{rows.plans:,} plans ({rows.plans_unsettled:,} unsettled, {rows.plans_gone:,} gone), "
        f"{rows.attempts:,} attempts, {rows.rollbacks:,} rollbacks, {rows.snapshots:,} snapshots",
    )
    yield from _line(
        "growth",
        f"in {GROWTH_DAYS} days {rows.plans_28_days:,} plans, {rows.attempts_28_days:,} attempts, "
        f"{rows.snapshots_28_days:,} snapshots",
    )


def _saved(project: ProjectStatus) -> str:
    if project.age_hours is None:
        return "never: no run ended as complete or partial"
    complete = project.last_complete_at
    return f"{_age(project.age_hours)} ago; last complete {'never' if complete is None else _minute(complete)}"


def _run(run: Run, now: datetime) -> str:
    result, counts = run.result, run.result.counts
    started = f"{run.kind} {_minute(result.started_at)}"
    if result.outcome == "running":
        hours = _age((now - result.started_at).total_seconds() / 3600)
        if run.is_in_progress:
            return f"{started} in progress for {hours}"
        return f"{started} DIED: its process is gone, and the next run will note that"
    found = f"{counts.plans_listed:,} listed, {counts.plans_fetched:,} fetched, {counts.plans_failed:,} failed"
    return f"{started} {result.outcome}: " + (result.error or found if result.outcome != "complete" else found)


def _nights(project: ProjectStatus) -> str:
    nights = project.nights
    if not nights.planned:
        return "none fell due yet"
    told = f"{nights.planned} fell due: {nights.done} done, {nights.partial} partial, {nights.missed} missed"
    if nights.due:
        told += f", {nights.due} still to do"
    if project.missed_nights:
        shown = [night.isoformat() for night in project.missed_nights[:_NIGHTS_SHOWN]]
        told += f"; missed {', '.join(shown)}{' …' if nights.missed > len(shown) else ''}"
    if nights.unwritten:
        fell = "1 NIGHT" if nights.unwritten == 1 else f"{nights.unwritten} NIGHTS"
        told += f"; {fell} fell due since the last one that was written, and nothing has run"
    return told


def _failed(project: ProjectStatus) -> Iterator[str]:
    if not project.failed_plans:
        return
    yield from _line("failed", f"{project.failed_plans_count:,} in the latest run of a night or by hand")
    for plan in project.failed_plans[:_PLANS_SHOWN]:
        often = f", {plan.since_nights} runs in a row" if plan.since_nights > 1 else ""
        yield _cut(f"{_INDENT}{plan.plan_id or 'the list'}{often}")
        yield _cut(f"{_INDENT}  {plan.stage}: {' '.join(plan.message.split())}")
    if project.failed_plans_count > _PLANS_SHOWN:
        yield f"{_INDENT}and {project.failed_plans_count - _PLANS_SHOWN:,} more: --json"


def _known(project: ProjectStatus) -> Iterator[str]:
    known = project.known_failures
    if not known:
        return
    plans = "1 plan fails" if len(known) == 1 else f"{len(known):,} plans fail"
    yield from _line("known", f"{plans} alike, night after night: known failures")
    for failure in known[:_PLANS_SHOWN]:
        since = f"{failure.nights_count} nights, since {failure.since_night.isoformat()}"
        yield _cut(f"{_INDENT}{failure.plan_id}: {failure.error_code or failure.stage}, {since}")
    if len(known) > _PLANS_SHOWN:
        yield f"{_INDENT}and {len(known) - _PLANS_SHOWN:,} more: --json"


def _line(label: str, told: str) -> list[str]:
    return wrap(
        told,
        _WIDTH,
        initial_indent=f"  {label:<{_LABEL}}",
        subsequent_indent=_INDENT,
        break_on_hyphens=False,
    )


def _cut(line: str) -> str:
    line = printable(line)
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 2]} …"


def _age(hours: float) -> str:
    if hours < 1:
        return f"{hours * 60:.0f} minutes"
    return f"{hours:.1f} hours" if hours < 72 else f"{hours / 24:.0f} days"


def _minute(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}Z"


def _size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
