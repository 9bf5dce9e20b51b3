"""Which of the listed plans a run fetches: those that are new, back, changed, unsettled, settled lately, or whose turn
it is in the sweep.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, case, false, func, select

from archiver.ledger import Night
from archiver.mapping import SETTLED, key_of
from archiver.progress import Progress
from archiver.schema import plans
from archiver.stopping import Stop


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a run is to go. `kind` is scheduled, manual or watch; `is_full` fetches every plan.

    With `leaves_served_nights` a night that was done meanwhile raises NightServedError.
    """

    kind: str
    night: Night
    revision: str
    is_full: bool = False
    leaves_served_nights: bool = False
    concurrency: int = 8
    run_seconds: float = 14400
    recheck_days: int = 14
    sweep_days: int = 30
    stop: Stop = field(default_factory=Stop)
    progress: Progress = field(default_factory=Progress)


def load_present(
    connection: Connection, project_id: str, night: date, now: datetime, options: RunOptions
) -> dict[str, str | None]:
    """Load by id the plans of a project that are not gone: the hash of the list item of each that is fetched only
    should that item have changed; None of one that is due in any case.
    """
    kept = case((_is_at_rest(options, now), plans.c.list_item_sha256))
    rows = connection.execute(
        select(plans.c.plan_id, kept).where(plans.c.project_id == project_id, plans.c.gone_at.is_(None))
    )
    present: dict[str, str | None] = dict(iter(rows))
    if options.sweep_days and options.kind != "watch":
        turn = night.toordinal() % options.sweep_days
        for plan_id in present:
            if int(key_of(plan_id)[:8], 16) % options.sweep_days == turn:
                present[plan_id] = None
    return present


def _is_at_rest(options: RunOptions, now: datetime) -> ColumnElement[bool]:
    """Say which plans are settled, fetched since they were listed so, past their window, and not overdue."""
    if options.is_full:
        return false()
    # A body that could not be fetched when the list item changed is still owed.
    is_owed_nothing = plans.c.status.in_(sorted(SETTLED)) & (plans.c.fetched_at >= plans.c.listed_at)
    if options.kind == "watch":
        return is_owed_nothing
    window_from = func.coalesce(plans.c.recheck_from_at, plans.c.settled_at)
    is_past_window = window_from <= now - timedelta(days=options.recheck_days)
    if options.sweep_days == 0:
        return is_owed_nothing & is_past_window
    return is_owed_nothing & is_past_window & (plans.c.fetched_at >= now - timedelta(days=options.sweep_days))
