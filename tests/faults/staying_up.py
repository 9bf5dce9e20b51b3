"""One `schedule` process over many simulated nights: what it holds of memory and files, and what it missed.

python tests/faults/staying_up.py NIGHTS       prints samples as JSON, one a line, and the sum last
"""

import asyncio
import gc
import json
import logging
import os
import resource
import sqlite3
import sys
import tempfile
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from sqlalchemy import select

from archiver import schema
from archiver.alarm import NIGHT, WATCH
from archiver.archive import open_archive
from archiver.clock import ManualClock
from archiver.logs import configure
from archiver.schedule import ScheduleCounts, keep_nights
from archiver.settings import load_settings
from archiver.simulator import Simulator, build_history, running

FIRST_NIGHT = datetime(2026, 1, 5, 2, 15, tzinfo=UTC)
SAMPLES = 12
# What CPython and SQLite take and give back again between two looks, beside what is lost for good.
NOISE_BYTES = 12 * 2**20


def held():
    """Return what the process holds: resident bytes, open files."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"memory_bytes": pages * resource.getpagesize(), "files": len(os.listdir("/proc/self/fd"))}  # noqa: PTH208 - a count


def plans_held():
    """Return how many plans are in the archive."""
    with closing(sqlite3.connect("archive.db")) as connection:
        return connection.execute("SELECT count(*) FROM plans").fetchone()[0]


def stay_up(nights):
    """Stay up for so many nights, with a watch by day, and return samples of what is held and the sum."""
    clock, counts, samples = ManualClock(FIRST_NIGHT), ScheduleCounts(), []
    # There is something to archive from the first night to the last.
    ends_at = FIRST_NIGHT + timedelta(days=nights)
    history = build_history(11, ends_at=ends_at, weeks=nights // 7 + 1, plans_per_week=12)

    async def rings():
        for night in range(nights):
            clock.set(FIRST_NIGHT + timedelta(days=night))
            yield frozenset({NIGHT})
            clock.advance(12 * 3600)
            yield frozenset({WATCH})
            if night % max(1, nights // SAMPLES) == 0 or night == nights - 1:
                samples.append({"night": night, "plans": plans_held()} | held())

    with running(Simulator(history, now=clock.now)) as base_url:
        given = {"ENDPOINT": base_url, "PROJECT_ID": ",".join(history.project_ids), "TOKEN": "t"}
        given |= {"REQUESTS_PER_SECOND": "0", "WATCH_MINUTES": "60"}
        os.environ |= {f"ARCHIVER_{name}": value for name, value in given.items()}
        asyncio.run(keep_nights(None, clock, counts=counts, ringing=rings()))
    engine, _ = open_archive(load_settings())
    with engine.connect() as connection:
        states = Counter(connection.execute(select(schema.nights.c.state)).scalars())
        kinds = Counter(connection.execute(select(schema.runs.c.kind)).scalars())
        reports = len(connection.execute(select(schema.issued_reports.c.week)).all())
    projects = len(history.project_ids)
    return samples, {"nights": dict(states), "runs": dict(kinds), "reports": reports, "projects": projects} | {
        "looks": counts.ticks,
        "errors": counts.errors,
    }


def losses(nights, samples, total):
    """Return what is wrong: nights that are not done, looks that failed, memory or files that grew."""
    found = []
    wanted = nights * total["projects"]
    if total["nights"] != {"done": wanted}:
        found.append(f"of {wanted} nights: {total['nights']}")
    if total["runs"] != {"scheduled": wanted, "watch": wanted}:
        found.append(f"of {wanted} runs each: {total['runs']}")
    if total["errors"]:
        found.append(f"{total['errors']} looks failed")
    plans = [one["plans"] for one in samples[:: len(samples) // 3]]
    if any(later <= earlier for earlier, later in pairwise(plans)):
        found.append(f"nights that had nothing to archive: {plans}")
    # The first third fills caches that are made once.
    settled, last = samples[len(samples) // 3 :], samples[-1]
    if last["files"] > min(one["files"] for one in settled) + 2:
        found.append(f"open files grew: {[one['files'] for one in samples]}")
    if last["memory_bytes"] > settled[0]["memory_bytes"] + NOISE_BYTES:
        found.append(f"memory grew: {[one['memory_bytes'] // 2**20 for one in samples]} MiB")
    return found


def main():
    """Stay up, print, and exit 1 on a loss."""
    nights = int(sys.argv[1])
    configure("text", logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        samples, total = stay_up(nights)
        os.chdir("/")
    for sample in samples:
        sys.stdout.write(json.dumps(sample) + "\n")
    found = losses(nights, samples, total)
    sys.stdout.write(json.dumps(total | {"losses": found}) + "\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
