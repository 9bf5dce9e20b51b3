"""Which of the listed plans a run fetches."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from archiver.ledger import Night
from archiver.mapping import SETTLED, key_of
from archiver.progress import Progress
from archiver.stopping import Stop
from archiver.store import KnownPlan


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


def is_due(  # noqa: PLR0911 - one rule, one line
    state: KnownPlan | None, item_sha256: str, status: str | None, night: date, now: datetime, options: RunOptions
) -> bool:
    """Whether a listed plan is to be fetched: new, changed, unsettled, settled lately, or its turn in the sweep."""
    if options.is_full or state is None or state.list_item_sha256 != item_sha256 or status not in SETTLED:
        return True
    # A body that could not be fetched when the list item changed is still owed; so is a plan that came back.
    if state.gone_at is not None or state.fetched_at is None or state.listed_at is None:
        return True
    if state.fetched_at < state.listed_at:
        return True
    if options.kind == "watch":
        return False
    window_from = state.recheck_from_at or state.settled_at
    # Subtracted, since a plan may claim a time that nothing can be added to (the year 9999).
    if window_from is None or now - window_from < timedelta(days=options.recheck_days):
        return True
    if options.sweep_days == 0:
        return False
    share = int(key_of(state.plan_id)[:8], 16) % options.sweep_days
    is_overdue = now - state.fetched_at > timedelta(days=options.sweep_days)
    return is_overdue or night.toordinal() % options.sweep_days == share
