"""Three tables over a year of attempts against their floor: `python benchmarks/tables.py [--attempts 100000 1000000]`.

By default over 10^5 and 10^6 attempts on both databases, and over 10^7 on SQLite.

Each reads and counts in a process of its own and says its own seconds, without the interpreter's start:
- floor: the four columns that the figures need, by the database's own driver, counted by week as they come;
- read_sql: every column of the attempts by `pandas.read_sql`, then counted (to 10^6: more need 20 GB);
- reports: failure rates, rollbacks and batch timing by the program, whose releases and first passes need more;
- weekly report: every table of it, and every form it is written in.

A profile of the last two follows.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from measuring import Candidate, compare, machine
from places import SCHEMA, PostgresqlPlace, SqlitePlace, has_postgresql
from profiled import tell
from views import FIRST, WEEKS, fill

KINDS = {"sqlite": SqlitePlace, "postgresql": PostgresqlPlace}
SIZES = {"sqlite": [100_000, 1_000_000, 10_000_000], "postgresql": [100_000, 1_000_000]}
MOST_BY_READ_SQL = 2_000_000
LAST_MONDAY = FIRST.date() + timedelta(weeks=WEEKS - 1)
SINCE, UNTIL = FIRST.date(), LAST_MONDAY + timedelta(weeks=2)  # what began in the last week may go on in the next


def by_floor(url):
    """Return how many attempts finished, week by week."""
    query = (
        "SELECT started_at, outcome, batch, duration_seconds FROM job_attempts WHERE outcome IN ('succeeded', 'failed')"
    )
    weeks = Counter()
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            for started_at, outcome, _, _ in connection.execute(query):
                weeks[started_at[:10], outcome] += 1
        return weeks.total()
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as connection, connection.cursor("floor", binary=True) as cursor:
        cursor.itersize = 50_000
        for started_at, outcome, _, _ in cursor.execute(query.replace("job_attempts", f"{SCHEMA}.job_attempts")):
            weeks[started_at.toordinal(), outcome] += 1
    return weeks.total()


def by_read_sql(url):
    """Return the same, from all columns."""
    import pandas as pd

    from archiver.database import open_read_only

    with open_read_only(url, SCHEMA).connect() as connection:
        attempts = pd.read_sql("SELECT * FROM job_attempts", connection)
    weeks = pd.to_datetime(attempts["started_at"], utc=True).dt.isocalendar()["week"]
    finished = attempts["outcome"].isin(["succeeded", "failed"])
    return int(finished.groupby(weeks).sum().sum())


def by_reports(url):
    """Return the same, from the program's own table; make two more."""
    from zoneinfo import ZoneInfo

    from archiver.database import open_read_only
    from reports.batch_timing import batch_timing
    from reports.failure_rates import failure_rates
    from reports.groups import Selection
    from reports.in_parts import frames_of_tables
    from reports.reading import reading
    from reports.rollbacks import rollback_rates
    from reports.spread import known
    from reports.window import Window

    window = Window.between(SINCE, UNTIL, ZoneInfo("UTC"))
    with reading(open_read_only(url, SCHEMA)) as archive:
        frames = frames_of_tables(archive, window, groups=())  # these are grouped by week and batch alone
        table, *_ = known(
            frames,
            failure_rates(frames, Selection(window)),
            rollback_rates(frames, Selection(window), as_of=window.ends_at, recheck_days=14),
            batch_timing(frames, Selection(window, by=("week", "batch"))),
        )
    return int(table["finished"].sum())


def by_weekly(url):
    """Make the report of the last week, and every form of it; return the same of its 26 weeks."""
    from pydantic import SecretStr

    from archiver.settings import Settings
    from reports.issuing import make_weekly
    from reports.render import weekly_files

    settings = Settings(database_url=SecretStr(url))
    report = make_weekly(settings, LAST_MONDAY, None, None)
    for _, pieces in weekly_files(report):
        for piece in pieces:
            piece.encode()
    return int(report.tables["failure-rates"]["finished"].sum())


WAYS = {"floor": by_floor, "read_sql": by_read_sql, "reports": by_reports, "weekly report": by_weekly}


def child(way, url):
    """Do it once, in this process, and say how long it took."""
    if way in ("reports", "weekly report"):
        import reports.issuing
        import reports.render  # noqa: F401 - the program's start is not what is measured
    if way == "read_sql":
        import pandas as pd  # noqa: F401

    started = time.perf_counter()
    rows = WAYS[way](url)
    print(json.dumps({"seconds": time.perf_counter() - started, "rows": rows}))


def main():
    """Make the archives, and measure."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--attempts", type=int, nargs="*")
    options.add_argument(
        "--database", choices=KINDS, nargs="*", default=list(KINDS) if has_postgresql() else ["sqlite"]
    )
    asked = options.parse_args()
    print(machine())
    for name in asked.database:
        for attempts in asked.attempts or SIZES[name]:
            with tempfile.TemporaryDirectory() as scratch:
                measure(KINDS[name](Path(scratch), "tables"), attempts, asked.rounds)


def measure(place, attempts, rounds):
    """Compare the ways on one archive."""
    from archiver.database import open_writer

    try:
        place.migrate()
        engine = open_writer(place.url, SCHEMA)
        fill(engine, attempts)
        engine.dispose()
        expected = by_floor(place.url)
        ways = {way: Candidate(way, [sys.executable, __file__, "--child", way, place.url]) for way in WAYS}
        title = f"{place.kind}, {place.count('job_attempts'):,} attempts of a year"
        weekly = ways.pop("weekly report")
        if attempts > MOST_BY_READ_SQL:
            del ways["read_sql"]
        compare(f"Three tables, {title}", list(ways.values()), expected, rounds=rounds)
        tell(f"Three tables, {title}", ways["reports"].command)
        compare(f"Weekly report, {title}", [weekly], by_weekly(place.url), rounds=rounds)
        tell(f"Weekly report, {title}", weekly.command)
    finally:
        place.drop()


if __name__ == "__main__":
    child(*sys.argv[2:]) if sys.argv[1:2] == ["--child"] else main()
