"""Metrics of frames that lie in parts are those of the same frames in memory, each group's values in one place."""

import dask
import pytest
from dask_parts import assert_equal, assert_same_report, every_metric, in_dask, in_memory, weekly_of
from report_builders import at, attempt, failures, frames

from reports.spread import grouped, known, together
from reports.tables import records


@pytest.fixture(autouse=True)
def _synchronous():
    """Work in this thread, whatever scheduler an earlier test of this process has left set."""
    with dask.config.set(scheduler="synchronous"):
        yield


def test_every_metric_is_equal_on_dask_dataframes():
    memory, said = in_memory(41)
    expected = every_metric(memory, said)
    spread = in_dask(memory, said)
    assert_equal(every_metric(spread, spread.failures), expected)
    assert len(expected["releases behind"]) > 50
    assert expected["failures"]["count"].sum() > 10


@pytest.mark.parametrize("count", [0, 1])
def test_a_report_of_nothing_and_of_one_attempt_is_equal(count):
    memory = frames([attempt("failed")][:count], last_run_ended_at=at("2026-11-24 02:20"))
    spread = in_dask(memory, failures(), parts=(3, 1, 1, 1))
    assert_same_report(weekly_of(spread, spread.failures), weekly_of(memory, failures()))


def test_a_quantile_is_of_all_values_of_its_group_wherever_they_lie():
    # Squares, so that a median of the parts' medians is another number but for luck.
    rows = [attempt(seconds=float(n**2), plan_id=f"plan-{n}", batch=n % 2 or None) for n in range(101)]
    memory = frames(rows)
    spread = in_dask(memory, failures(), parts=(7, 1, 1, 1))
    asked = grouped(
        spread.applied(_attempts), ["batch"], {"attempts": ("batch", "size")}, {"p50": ("duration_seconds", 0.5)}
    )
    [table] = known(spread, asked)
    assert records(table.sort_values("batch")) == [
        {"batch": 1, "attempts": 50, "p50": (49**2 + 51**2) / 2},
        {"batch": None, "attempts": 51, "p50": 50.0**2},
    ]


def test_rows_brought_together_are_all_rows_once():
    memory, said = in_memory(42, plans=10)
    spread = in_dask(memory, said)
    [rows] = known(spread, together(spread.applied(_attempts)))
    order = ["project_id", "plan_id", "component_id", "batch", "attempt"]
    mine, all_ = (one.sort_values(order, ignore_index=True) for one in (rows, together(memory.attempts)))
    assert mine.equals(all_)


def _attempts(frames):
    return frames.attempts
