"""What tells how often unsettled plans were looked at: the changes of their status, the runs, and whom these missed."""

import pandas as pd
from sqlalchemy import and_, case, or_, select

from archiver import schema
from archiver.mapping import SETTLED
from reports.columns import OBSERVING_RUNS, PLAN_CHANGES, PLANS_MISSED
from reports.reading import Reading
from reports.window import Window

_plans, _changes, _runs = schema.plans, schema.status_changes, schema.runs
_failures = schema.fetch_failures


def load_plan_changes(archive: Reading, window: Window) -> pd.DataFrame:
    """Read the changes of every plan that was unsettled in the window, from its first on."""
    of_plans = and_(_changes.c.subject == "plan", _changes.c.observed_at < window.ends_at)
    moved = select(_changes.c.plan_key).where(of_plans, _changes.c.observed_at >= window.starts_at)
    is_open = and_(_plans.c.settled_at.is_(None), _plans.c.gone_at.is_(None))
    still_open = select(_plans.c.plan_key).where(is_open)
    # A plan that moved again after the window was open in it, if it was not settled before.
    moved_later = select(_changes.c.plan_key).where(
        _changes.c.subject == "plan", _changes.c.observed_at >= window.ends_at
    )
    names = [name for name in PLAN_CHANGES if name != "is_unsettled"]
    is_unsettled = case((_changes.c.new_status.not_in(sorted(SETTLED)), 1), else_=0)
    query = select(*(_changes.c[name] for name in names), is_unsettled).where(
        of_plans,
        or_(*(_changes.c.plan_key.in_(plans) for plans in (moved, still_open, moved_later))),
        archive.of_projects(_changes),
    )
    return archive.facts(query, _changes.c.plan_key, PLAN_CHANGES)


def load_observing_runs(archive: Reading, window: Window) -> pd.DataFrame:
    """Read the runs that began before the window's end, imports aside."""
    is_observing = case((_runs.c.outcome.in_(("complete", "partial")), 1), else_=0)
    query = select(_runs.c.project_id, _runs.c.run_id, _runs.c.started_at, is_observing).where(
        _runs.c.kind != "import", _runs.c.started_at < window.ends_at, archive.of_projects(_runs)
    )
    return archive.books(query, OBSERVING_RUNS)


def load_plans_missed(archive: Reading) -> pd.DataFrame:
    """Read which plans each run could not archive."""
    query = select(_failures.c.run_id, _failures.c.plan_id).where(
        _failures.c.plan_id.is_not(None), archive.of_projects(_failures)
    )
    return archive.books(query, PLANS_MISSED)
