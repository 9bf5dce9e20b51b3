"""One `schedule` process over many simulated nights: what it holds of memory and files, and what it missed.

python tests/faults/staying_up.py NIGHTS       prints samples as JSON, one a line, and the sum last

In the first third of the nights plans are new. From then on the same ones are released again: there is something to
archive to the end, and what the archiver has to know of its plans grows no more.
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
from pathlib import Path
from statistics import median

from evergreen import served
from sqlalchemy import select

from archiver import schema
from archiver.alarm import NIGHT, WATCH
from archiver.archive import open_archive
from archiver.logs import configure
from archiver.schedule import ScheduleCounts, keep_nights
from archiver.settings import load_settings

FIRST_NIGHT = datetime(2026, 1, 5, 2, 15, tzinfo=UTC)
SAMPLES = 36
# So much more than in the middle third the process may hold in the last. A year of twelve releases a week needs 2 %,
# all of it SQLite's page cache (at most 32 MiB), which holds more of a larger archive: with a small one, or where
# nothing is released after the first third, there is no growth at all.
MOST_GROWTH = 0.03


def held():
    """Return what the process holds: resident bytes, open files."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {"memory_bytes": pages * resource.getpagesize(), "files": len(os.listdir("/proc/self/fd"))}  # noqa: PTH208 - a count


def archived():
    """Return how many plans and attempts are in the archive."""
    with closing(sqlite3.connect("archive.db")) as connection:
        tables = ("plans", "job_attempts")
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}


def stay_up(nights):
    """Stay up for so many nights, with a watch by day, and return samples of what is held and the sum."""
    counts, samples = ScheduleCounts(), []
    weeks = nights // 7 + 1

    async def rings():
        for night in range(nights):
            clock.set(FIRST_NIGHT + timedelta(days=night))
            yield frozenset({NIGHT})
            clock.advance(12 * 3600)
            yield frozenset({WATCH})
            if night % max(1, nights // SAMPLES) == 0 or night == nights - 1:
                samples.append({"night": night} | archived() | held())

    with served(FIRST_NIGHT, weeks, max(1, weeks // 3)) as (base_url, project_ids, clock):
        given = {"ENDPOINT": base_url, "PROJECT_ID": ",".join(project_ids), "TOKEN": "t"}
        given |= {"REQUESTS_PER_SECOND": "0", "WATCH_MINUTES": "60"}
        os.environ |= {f"ARCHIVER_{name}": value for name, value in given.items()}
        asyncio.run(keep_nights(None, clock, counts=counts, ringing=rings()))
    engine, _ = open_archive(load_settings())
    with engine.connect() as connection:
        states = Counter(connection.execute(select(schema.nights.c.state)).scalars())
        kinds = Counter(connection.execute(select(schema.runs.c.kind)).scalars())
        reports = len(connection.execute(select(schema.issued_reports.c.week)).all())
    return samples, {"nights": dict(states), "runs": dict(kinds), "reports": reports, "projects": len(project_ids)} | {
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
    _, middle, last = thirds(samples)
    if len({one["plans"] for one in [*middle, *last]}) != 1:
        found.append(f"plans that grew to the end: {[one['plans'] for one in samples]}")
    attempts = [one["job_attempts"] for one in (middle[0], last[0], last[-1])]
    if attempts != sorted(set(attempts)):
        found.append(f"nights that had nothing to archive: {attempts}")
    if max(one["files"] for one in last) > min(one["files"] for one in middle) + 2:
        found.append(f"open files grew: {[one['files'] for one in samples]}")
    if growth(samples) > MOST_GROWTH:
        found.append(f"memory grew by {growth(samples):.1%}: {[one['memory_bytes'] // 2**20 for one in samples]} MiB")
    return found


def growth(samples):
    """Return by which part of it the memory of the last third is more than that of the middle one, by medians."""
    _, middle, last = (median(one["memory_bytes"] for one in third) for third in thirds(samples))
    return last / middle - 1


def thirds(samples):
    """Part the samples by night."""
    nights = samples[-1]["night"] + 1
    return [[one for one in samples if one["night"] * 3 // nights == number] for number in range(3)]


def table(samples):
    """Return the lines of a table: every third sample."""
    row = "{:>7} {:>7} {:>9} {:>9} {:>6}"
    yield row.format("night", "plans", "attempts", "MiB", "files")
    for one in [*samples[:-1:3], samples[-1]]:
        mebibytes = f"{one['memory_bytes'] / 2**20:.1f}"
        yield row.format(one["night"], one["plans"], one["job_attempts"], mebibytes, one["files"])


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
