"""What the archive's quality is counted from, as typed frames: one query a table, one row a finding."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, select, true

from archiver import schema
from archiver.mapping import IMPOSSIBLY_LATE, attempt_outcome
from archiver.proofs import proofs
from reports.columns import FINDINGS, INSTANT, Contract, conform, empty
from reports.observation_frames import load_observing_runs, load_plan_changes, load_plans_missed
from reports.quality import QualityFrames
from reports.reading import Reading, read
from reports.window import Window, midnight

_OPEN = ("running", "pending")
_MISSING = "missing:"
_INCOMPLETE = ("the list is incomplete", "the list holds")  # as a run says it in its `error`
_IDS_AT_ONCE = 5_000

_attempts, _rollbacks, _places = schema.job_attempts, schema.rollbacks, schema.components
_plans, _changes, _runs = schema.plans, schema.status_changes, schema.runs
_failures = schema.fetch_failures

_FAILED = {"lists_failed": _failures.c.plan_id.is_(None), "plans_not_fetched": _failures.c.plan_id.is_not(None)}


def load_quality(archive: Reading, window: Window) -> QualityFrames:
    """Read what quality counts in the window from one state of the archive."""
    project = {"project_id": "str"}
    known = [
        archive.facts(select(_plans.c.project_id).where(archive.of_projects(_plans)), _plans.c.plan_key, project),
        *(
            archive.books(select(table.c.project_id).where(archive.of_projects(table)).distinct(), project)
            for table in (schema.nights, _runs)
        ),
    ]
    findings = [
        _nights(archive, window),
        _of_runs(archive, window),
        _of_attempts(archive, window),
        _unknown_attempts(archive, window),
        _of_rollbacks(archive, window),
        *(_impossible_singles(archive, table, window) for table in (_attempts, _rollbacks)),
        _of_components(archive, window),
        _when(archive, _plans, {"plans_gone": true()}, _plans.c.gone_at, window),
        _when(archive, _failures, _FAILED, _failures.c.failed_at, window),
        _pruned(archive, window),
    ]
    return QualityFrames(
        projects=tuple(sorted({name for frame in known for name in frame["project_id"]})),
        findings=pd.concat(findings, ignore_index=True),
        plan_changes=load_plan_changes(archive, window),
        runs=load_observing_runs(archive, window),
        plans_missed=load_plans_missed(archive),
    )


def _read(archive: Reading, table: Any, query: Select[Any], contract: Contract) -> pd.DataFrame:
    """Read from where the table's rows are told as they were known."""
    if table in (_runs, _failures):
        return archive.books(query, contract)
    # A body is as it is stored, whatever was known when.
    return (
        read(archive.stored, query, contract)
        if "is_pruned" in table.c
        else archive.facts(query, table.c.plan_key, contract)
    )


def _when(
    archive: Reading,
    table: Any,
    checks: Mapping[str, ColumnElement[bool]],
    at: ColumnElement[Any],
    window: Window,
    **more: ColumnElement[Any],
) -> pd.DataFrame:
    """Return a row of FINDINGS, with `more` columns, for each row of the table and check that holds for it."""
    flags = {f"is_{name}": case((holds, 1), else_=0) for name, holds in checks.items()}
    contract = {"project_id": "str", "found_at": INSTANT, **dict.fromkeys(flags, "bool"), **dict.fromkeys(more, "str")}
    source = table if table is not _attempts else _attempts.join(_plans, _plans.c.plan_key == _attempts.c.plan_key)
    query = (
        select(table.c.project_id, at, *flags.values(), *more.values())
        .select_from(source)
        .where(at >= window.starts_at, at < window.ends_at, or_(*checks.values()), archive.of_projects(table))
    )
    rows = _read(archive, table, query, contract)
    columns = {**FINDINGS, **dict.fromkeys(more, "str")}
    return pd.concat(
        [empty(columns), *(conform(rows[rows[f"is_{name}"]].assign(check=name), columns) for name in checks)]
    )


def _nights(archive: Reading, window: Window) -> pd.DataFrame:
    nights = schema.nights
    query = select(nights.c.project_id, nights.c.state, nights.c.night_date).where(
        nights.c.night_date >= window.since_date,
        nights.c.night_date < window.until_date,
        nights.c.state.in_(("missed", "partial")),
        archive.of_projects(nights),
    )
    rows = archive.books(query, {"project_id": "str", "state": "str", "night_date": "datetime64[s]"})
    found_at = [_noon(night.date(), window.zone) for night in rows["night_date"]]
    return conform(rows.assign(check="nights_" + rows["state"], found_at=found_at), FINDINGS)


def _noon(date: Any, zone: ZoneInfo) -> pd.Timestamp:
    # A moment that is surely within the day, whatever its clock changes.
    return pd.Timestamp(midnight(date, zone)) + pd.Timedelta(hours=6)


def _of_runs(archive: Reading, window: Window) -> pd.DataFrame:
    checks = {
        "runs_failed": _runs.c.outcome.in_(("failed", "interrupted")),
        "lists_incomplete": or_(*(func.substr(_runs.c.error, 1, len(text)) == text for text in _INCOMPLETE)),
    }
    return _when(archive, _runs, checks, _runs.c.started_at, window)


def _attempt_at() -> ColumnElement[Any]:
    inferred = case((_attempts.c.outcome == "failed", _plans.c.executed_at))
    return func.coalesce(_attempts.c.started_at, inferred, _attempts.c.first_seen_at)


def _is_impossible(table: Any) -> ColumnElement[bool]:
    """Whether both times are known and their difference is none: the archive found it impossible."""
    return and_(table.c.started_at.is_not(None), table.c.ended_at.is_not(None), table.c.duration_seconds.is_(None))


def _of_attempts(archive: Reading, window: Window) -> pd.DataFrame:
    own, earlier = _attempts.c, _attempts.alias("earlier").c
    shown_together = or_(
        earlier.first_snapshot_id.in_((own.first_snapshot_id, own.last_snapshot_id)),
        earlier.last_snapshot_id.in_((own.first_snapshot_id, own.last_snapshot_id)),
    )
    is_twice = and_(
        own.attempt > 1,
        select(literal(1))
        .where(
            earlier.project_id == own.project_id,
            earlier.plan_id == own.plan_id,
            earlier.component_id == own.component_id,
            earlier.batch.is_not_distinct_from(own.batch),
            earlier.attempt < own.attempt,
            shown_together,
        )
        .correlate(_attempts)
        .exists(),
    )
    checks = {
        "unfinished_attempts": own.outcome.in_(_OPEN),
        "unknown_outcomes": own.outcome == "unknown",
        "attempts_without_start": own.started_at.is_(None),
        "starts_inferred": and_(own.started_at.is_(None), own.outcome == "failed"),
        "attempts_without_job_id": own.job_id.is_(None),
        "impossible_times": _is_impossible(_attempts),
        "components_twice_in_batch": is_twice,
    }
    return _when(archive, _attempts, checks, _attempt_at(), window)


def _unknown_attempts(archive: Reading, window: Window) -> pd.DataFrame:
    """Tell apart the attempts of unknown outcome: by their word, or because another replaced them.

    One without a word of its own had its component's, which the status changes still tell.
    """
    own, said = _attempts.c, _changes.c
    component_status = (
        select(said.new_status)
        .where(
            said.project_id == own.project_id,
            said.plan_id == own.plan_id,
            said.subject == "component",
            said.component_id == own.component_id,
            said.new_status.is_not(None),
            said.observed_at <= own.last_seen_at,
        )
        .order_by(said.observed_at.desc(), said.status_change_key)
        .limit(1)
        .correlate(_attempts)
        .scalar_subquery()
    )
    rows = _when(
        archive,
        _attempts,
        {"unknown": own.outcome == "unknown"},
        _attempt_at(),
        window,
        job_status=own.job_status,
        component_status=case((own.job_status.is_(None), component_status), else_=literal(None)),
    )
    words = [
        attempt_outcome(*(None if pd.isna(word) else word for word in pair))
        for pair in zip(rows["job_status"], rows["component_status"], strict=True)
    ]
    checks = ["attempts_replaced_unseen" if word in _OPEN else "unknown_status_words" for word in words]
    return conform(rows.assign(check=pd.Series(checks, index=rows.index, dtype="str")), FINDINGS)


def _rollback_at(table: Any) -> ColumnElement[Any]:
    return func.coalesce(table.c.started_at, table.c.first_seen_at)


def _of_rollbacks(archive: Reading, window: Window) -> pd.DataFrame:
    checks = {
        "unfinished_rollbacks": _rollbacks.c.outcome.in_(_OPEN),
        "unknown_rollback_outcomes": _rollbacks.c.outcome == "unknown",
        "rollbacks_without_id": _rollbacks.c.rollback_job_id.is_(None),
        "impossible_times": _is_impossible(_rollbacks),
    }
    return _when(archive, _rollbacks, checks, _rollback_at(_rollbacks), window)


def _impossible_singles(archive: Reading, table: Any, window: Window) -> pd.DataFrame:
    """Find the rows of which only one time is known, and that is too late for the body that showed it."""
    start, end = table.c.started_at, table.c.ended_at
    only = func.coalesce(start, end)
    is_single = and_(or_(start.is_(None), end.is_(None)), only.is_not(None))
    at = _attempt_at() if table is _attempts else _rollback_at(table)
    rows = _when(
        archive,
        table,
        {"impossible_times": is_single},
        at,
        window,
        only_at=only,
        last_snapshot_id=table.c.last_snapshot_id,
    )
    captured: dict[str, Any] = {}
    snapshots = proofs(archive.stored)
    ids = sorted(set(rows["last_snapshot_id"]))
    for some in (ids[start : start + _IDS_AT_ONCE] for start in range(0, len(ids), _IDS_AT_ONCE)):
        query = select(snapshots.c.snapshot_id, snapshots.c.captured_at).where(snapshots.c.snapshot_id.in_(some))
        captured.update({row.snapshot_id: row.captured_at for row in archive.stored.execute(query)})
    captured_at = pd.to_datetime(rows["last_snapshot_id"].map(captured), utc=True)
    only_at = pd.to_datetime(rows["only_at"], utc=True, format="ISO8601")
    return conform(rows[only_at - captured_at > IMPOSSIBLY_LATE], FINDINGS)


def _of_components(archive: Reading, window: Window) -> pd.DataFrame:
    first_seen = {
        "batches_not_numeric": _places.c.batch.is_(None),
        "components_without_id": func.substr(_places.c.component_id, 1, len(_MISSING)) == _MISSING,
    }
    return pd.concat(
        [
            _when(archive, _places, first_seen, _places.c.first_seen_at, window),
            _when(archive, _places, {"components_gone": true()}, _places.c.gone_at, window),
        ]
    )


def _pruned(archive: Reading, window: Window) -> pd.DataFrame:
    """Find the bodies that are pruned by now, of the runs that are known."""
    snapshots = proofs(archive.stored)
    checks = {"bodies_pruned": snapshots.c.is_pruned}
    rows = _when(archive, snapshots, checks, snapshots.c.captured_at, window, run_id=snapshots.c.run_id)
    runs = archive.books(select(_runs.c.run_id).where(archive.of_projects(_runs)), {"run_id": "str"})
    return conform(rows[rows["run_id"].isin(runs["run_id"])], FINDINGS)
