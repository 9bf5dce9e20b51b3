"""The weekly report of data sets in memory and by Dask: `python benchmarks/scale.py [--attempts 100000 1000000]`.

Each works out every table of the report, without writing files. Seconds, and CPU seconds of all processes, are without
the interpreter's start and the workers'; peak memory is that of the process that asks, and the greatest of a worker's.
"""

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
from data_sets import LAST_MONDAY, write_data_set
from measuring import machine

from archiver.dataset import held
from archiver.settings import Settings
from reports.columns import ATTEMPTS, COMPONENTS, ROLLBACKS, conform
from reports.dask_weekly import data_set_report
from reports.data_set import ROWS_IN_PART, books, plan_ranges
from reports.frames import books_of
from reports.weekly import weekly_report, weekly_window

CONTRACTS = {"attempts": ATTEMPTS, "rollbacks": ROLLBACKS, "components": COMPONENTS}
HEAD = "| | s | CPU s | peak MiB here | peak MiB of a worker |"


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def cpu_seconds(client):
    return time.process_time() + (sum(client.run(time.process_time).values()) if client else 0)


def in_memory(settings, window, directory, partitions):
    """Make the report of frames that hold all of the data set at once, as those of an archive do."""
    ranges = plan_ranges(directory, partitions, window, None, ROWS_IN_PART)
    parts = [one.read() for one in ranges]
    with books(directory, partitions, None) as found:
        frames = replace(
            books_of(found),
            **{
                name: conform(pd.concat([getattr(one, name) for one, _ in parts], ignore_index=True), contract)
                for name, contract in CONTRACTS.items()
            },
        )
    failures = pd.concat([one for _, one in parts], ignore_index=True)
    del parts
    monday = window.weeks[-1].start_date
    return weekly_report(frames, monday, window.zone, recheck_days=settings.recheck_days, failures=failures)


def child(directory, workers):
    """Make the report once, in memory (no workers) or by workers; say how long it took and what it counted."""
    with ExitStack() as stack:
        client = None
        if workers:
            from distributed import Client, LocalCluster

            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
                )
            )
            client = stack.enter_context(Client(cluster))
            client.wait_for_workers(workers)
        zone, partitions = stack.enter_context(held(directory))
        began, cpu_began = time.perf_counter(), cpu_seconds(client)
        window, settings = weekly_window(LAST_MONDAY, ZoneInfo(zone)), Settings()
        if workers:
            report = data_set_report(settings, window, None, directory, partitions)
        else:
            report = in_memory(settings, window, directory, partitions)
        seconds, used = time.perf_counter() - began, cpu_seconds(client) - cpu_began
        print(
            json.dumps(
                {
                    "seconds": seconds,
                    "cpu_seconds": used,
                    "rows": int(report.tables["failure-rates"]["finished"].sum()),
                    "peak_mib": peak_mib(),
                    "worker_mib": max(client.run(peak_mib).values()) if client else 0,
                }
            )
        )


def measure(directory, expected, rounds):
    """Print what each way took, the least of the rounds."""
    for name, workers in (("in memory", 0), ("Dask, 1 worker", 1), ("Dask, 2 workers", 2)):
        command = [sys.executable, __file__, "--child", str(directory), str(workers)]
        found = []
        for _ in range(rounds):
            done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
            found.append(json.loads(done.stdout))
        if any(one["rows"] != expected for one in found):
            sys.exit(f"{name} counted {found}, not {expected:,}")
        best = min(found, key=lambda one: one["seconds"])
        least = min(one["cpu_seconds"] for one in found)
        told = f"{best['seconds']:.1f} | {least:.1f} | {best['peak_mib']:,} | {best['worker_mib']:,}"
        print(f"| {name} | {told} |", flush=True)


def main():
    """Make the data sets, and measure."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--attempts", type=int, nargs="*", default=[100_000, 1_000_000])
    asked = options.parse_args()
    print(machine())
    for attempts in asked.attempts:
        with tempfile.TemporaryDirectory() as scratch:
            rows = write_data_set(Path(scratch) / "data", attempts)
            print(f"\n### {rows:,} attempts\n\n{HEAD}\n|---|---|---|---|---|")
            measure(Path(scratch) / "data", rows, asked.rounds)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
