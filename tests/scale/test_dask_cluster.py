"""The metrics on a cluster of two workers: equal to those in memory, with a worker killed, and past memory's end."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cloudpickle
import dask
import duckdb
import pytest

sys.path.append(str(Path(__file__).parents[1] / "reports"))
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from dask_parts import (
    DATA,
    MONDAY,
    assert_equal,
    assert_same_report,
    every_metric,
    export_random,
    in_dask,
    in_memory,
    weekly_of,
)
from data_sets import write_data_set
from distributed import Client, LocalCluster
from report_builders import UTC_ZONE

from archiver.dataset import held
from reports.dask_weekly import connected
from reports.data_set import books, plan_ranges
from reports.distributed import DaskFrames
from reports.frames import books_of
from reports.weekly import weekly_window

MIB = 2**20


@pytest.fixture(scope="module")
def cluster():
    any_port = {"dashboard_address": "127.0.0.1:0"}  # the usual one may be another cluster's on this machine
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, scheduler_kwargs=any_port) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2)
        yield cluster


@pytest.mark.parametrize("seed", [61, 62, 63])
def test_every_metric_is_equal_on_the_synchronous_scheduler(seed):
    memory, said = in_memory(seed)
    spread = in_dask(memory, said)
    with dask.config.set(scheduler="synchronous"):
        assert_equal(every_metric(spread, spread.failures), every_metric(memory, said))


def test_every_metric_is_equal_on_a_cluster_of_two_workers(cluster):
    memory, said = in_memory(64, plans=120)
    spread = in_dask(memory, said, parts=(9, 4, 5, 2))
    assert_equal(every_metric(spread, spread.failures), every_metric(memory, said))


@dataclass(frozen=True)
class DoomedPart:
    """A part whose first reading kills the process that reads it."""

    part: object
    mark: Path

    def read(self):
        if not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.part.read()


def test_a_report_is_equal_when_a_worker_is_killed_on_the_way(cluster, sqlite_archive, tmp_path):
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    export_random(sqlite_archive, 65, plans=120)
    window, mark = weekly_window(MONDAY, UTC_ZONE), tmp_path / "killed"
    with held(DATA) as (_, partitions), books(DATA, partitions, None) as found:
        parts = plan_ranges(DATA.resolve(), partitions, window, None, 20)
        assert len(parts) > 10
        whole = DaskFrames(parts, books_of(found))
        with dask.config.set(scheduler="synchronous"):
            expected = weekly_of(whole, whole.failures)
        before = worker_pids()
        doomed = [*parts[:8], DoomedPart(parts[8], mark), *parts[9:]]
        frames = DaskFrames(doomed, books_of(found))
        assert_same_report(weekly_of(frames, frames.failures), expected)
    assert mark.exists()
    assert worker_pids() != before


def worker_pids():
    client = Client.current()
    client.wait_for_workers(2)
    return set(client.run(os.getpid).values())


def test_reports_made_side_by_side_say_nothing_of_each_other(recwarn):
    with connected(None) as first, connected(None) as second:
        assert first.submit(pow, 2, 3).result() + second.submit(pow, 2, 3).result() == 16
    assert [str(one.message) for one in recwarn] == []


LIMIT = 900 * MIB
BY_WEEK = """
    SELECT week, count(*) FILTER (outcome IN ('succeeded', 'failed')), count(*) FILTER (outcome = 'failed')
    FROM {job_attempts} GROUP BY week ORDER BY week"""
BATCHES = """
    WITH passes AS (
        SELECT week, batch, epoch_ms(max(ended_at)) - epoch_ms(min(started_at)) AS took
        FROM {job_attempts} WHERE attempt = 1 GROUP BY week, plan_key, batch)
    SELECT week, batch, count(*), quantile_cont(took, 0.5) / 1000, quantile_cont(took, 0.99) / 1000, max(took) / 1000
    FROM passes GROUP BY ALL ORDER BY ALL"""
ROLLBACKS = """
    SELECT r.week, count(*), count(b.rollback_key), count(*) FILTER (b.outcome = 'failed'),
        quantile_cont(epoch_ms(b.ended_at) - epoch_ms(a.ended_at), 0.9) FILTER (b.outcome = 'succeeded') / 1000
    FROM {component_releases} r LEFT JOIN {rollbacks} b USING (plan_key, component_id, batch)
    LEFT JOIN {job_attempts} a ON (a.plan_key, a.component_id, a.batch, a.job_id)
        = (b.plan_key, b.component_id, b.batch, b.job_id)
    GROUP BY r.week ORDER BY r.week"""


def report(directory, way):
    """Make it in a process with a limit on its data, which the workers inherit each for itself."""
    command = [sys.executable, str(Path(__file__).with_name("report_of_data_set.py")), str(directory), way, "25000"]
    limited = ["prlimit", f"--data={LIMIT}", *command]
    return subprocess.run(limited, capture_output=True, text=True, timeout=600, check=False)


def asked(directory, query):
    for table in ("job_attempts", "component_releases", "rollbacks"):
        files = f"read_parquet('{directory}/{table}/*/*/*.parquet', hive_partitioning = true)"
        query = query.replace(f"{{{table}}}", files)
    return duckdb.sql(query).fetchall()


def test_ten_times_what_memory_holds_is_worked_out_as_sql_has_it(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    assert write_data_set(large, 900_000) > 9.5 * write_data_set(small, 90_000)
    assert report(small, "memory").returncode == 0
    assert report(large, "memory").returncode != 0

    done = report(large, "dask")
    assert done.returncode == 0, done.stderr
    tables = json.loads(done.stdout)

    rates = [(row["week"], row["finished"], row["failed"]) for row in tables["failure-rates"]]
    assert rates == asked(large, BY_WEEK)
    names = ("batch", "batches", "p50_seconds", "p99_seconds", "max_seconds")
    assert_are(tables["batch-timing-by-week-batch"], names, asked(large, BATCHES))
    names = ("finished", "rolled_back", "rollbacks_failed", "recovery_p90_seconds")
    assert_are(tables["rollbacks"], names, asked(large, ROLLBACKS))


def assert_are(rows, names, expected):
    assert [row["week"] for row in rows] == [week for week, *_ in expected]
    for row, (_, *numbers) in zip(rows, expected, strict=True):
        assert [row[name] for name in names] == pytest.approx(numbers, rel=1e-9)
