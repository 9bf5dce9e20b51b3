"""Which plans a run fetches, against the rule as one says it of one plan."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, product
from zoneinfo import ZoneInfo

import pytest

from archiver.due import RunOptions, load_present
from archiver.history import PlanHistory
from archiver.ledger import Night
from archiver.mapping import SETTLED, key_of
from archiver.schema import plans
from archiver.writing import upsert

NOW = datetime(2026, 11, 24, 2, 15, tzinfo=UTC)
NIGHTLY = RunOptions("scheduled", Night("15 2 * * *", ZoneInfo("UTC")), "test", recheck_days=14, sweep_days=0)


def is_due(row, options):
    """Whether a plan that is not gone is fetched though its list item is the same."""
    if options.is_full or row["status"] not in SETTLED or row["listed_at"] is None or row["fetched_at"] is None:
        return True
    if row["fetched_at"] < row["listed_at"]:
        return True
    if options.kind == "watch":
        return False
    window_from = row["recheck_from_at"] or row["settled_at"]
    if window_from is None or NOW - window_from < timedelta(days=options.recheck_days):
        return True
    if options.sweep_days == 0:
        return False
    is_overdue = NOW - row["fetched_at"] > timedelta(days=options.sweep_days)
    share = int(key_of(row["plan_id"])[:8], 16) % options.sweep_days
    return is_overdue or NOW.date().toordinal() % options.sweep_days == share


def ago(*days):
    """Return some moments, each with the milliseconds around it."""
    moments = [NOW - timedelta(days=number) for number in days]
    return [None, *(moment + timedelta(milliseconds=off) for moment in moments for off in (-1, 0, 1))]


def plan_rows():
    """Yield a row for all that may have become of a plan, around each limit."""
    numbers = count()
    for fetched_at, listed_at, from_at in product(ago(7), ago(7, 30), [*ago(14), datetime(9999, 12, 31, tzinfo=UTC)]):
        for status, gone_at in (("SUCCESS", None), ("RUNNING", None), (None, None), ("SUCCESS", NOW)):
            plan_id = f"plan-{next(numbers)}"
            history = PlanHistory("p1", plan_id)
            row = history._known_plan(NOW) | {"status": status, "gone_at": gone_at}
            row |= {"fetched_at": fetched_at, "listed_at": listed_at, "list_item_sha256": f"hash of {plan_id}"}
            yield row | {"recheck_from_at": from_at, "settled_at": None if status is None else NOW - timedelta(20)}


@pytest.mark.parametrize(
    "options",
    [
        NIGHTLY,
        replace(NIGHTLY, sweep_days=7),
        replace(NIGHTLY, recheck_days=0, sweep_days=8),
        replace(NIGHTLY, kind="watch", sweep_days=7),
        replace(NIGHTLY, is_full=True, sweep_days=7),
    ],
    ids=["window", "sweep", "sweep alone", "watch", "full"],
)
def test_a_plan_is_kept_from_a_run_as_the_rule_says_of_it_alone(archive, options):
    rows = list(plan_rows())
    with archive.engine.begin() as connection:
        upsert(connection, plans, rows)
        upsert(connection, plans, [PlanHistory("p2", "of another project")._known_plan(NOW)])

        found = load_present(connection, "p1", NOW.date(), NOW, options)

    assert found == {
        row["plan_id"]: None if is_due(row, options) else row["list_item_sha256"]
        for row in rows
        if row["gone_at"] is None
    }
    assert any(found.values()) is not options.is_full
