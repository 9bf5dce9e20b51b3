"""The least a run can be: `floor_run.py BASE_URL DATABASE`. Lists, fetches what changed, stores attempts and bodies.

DATABASE is an SQLite file or a PostgreSQL conninfo. It has no retries, no history, no lease, no books, one table of
attempts, bodies uncompressed, and trusts every byte: what `archiver run` takes longer is the price of these.
"""

import asyncio
import sqlite3
import sys
from hashlib import sha256

import aiohttp
import msgspec
import psycopg

PATH = "/v3/p/cas/release-plans"
IN_FLIGHT = 64
TABLES = (
    "CREATE TABLE IF NOT EXISTS plans (plan_id text PRIMARY KEY, sha256 text)",
    "CREATE TABLE IF NOT EXISTS bodies (sha256 text PRIMARY KEY, body {bytes})",
    """CREATE TABLE IF NOT EXISTS attempts (job_id text PRIMARY KEY, plan_id text, component_id text, batch int,
    version text, status text, started_ms bigint, ended_ms bigint, message text)""",
)
WIDTHS = {"plans": 2, "bodies": 2, "attempts": 9}


class Item(msgspec.Struct):
    """A plan in the list."""

    id: str


class Component(msgspec.Struct):
    """What is kept of a component."""

    id: str
    seq: int
    version: str
    job_id: str
    job_status: str
    start_time: int
    end_time: int
    fail_message: str | None


class Info(msgspec.Struct):
    """A plan's deployment information."""

    components: list[Component]


class Listing(msgspec.Struct):
    """The list, its items as they came."""

    release_plans: list[msgspec.Raw]


async def fetch(base_url, known):
    """Return the rows of the plans whose list item is not known."""
    rows = {name: [] for name in WIDTHS}
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
    async with aiohttp.ClientSession(base_url, connector=connector) as session:

        async def get(path):
            async with session.get(path) as answer:
                return await answer.read()

        async def take(plan_id, digest):
            content = await get(f"{PATH}/{plan_id}/deploy-info")
            rows["plans"].append((plan_id, digest))
            rows["bodies"].append((sha256(content).hexdigest(), content))
            for one in msgspec.json.decode(content, type=Info).components:
                row = (one.seq, one.version, one.job_status, one.start_time, one.end_time, one.fail_message)
                rows["attempts"].append((one.job_id, plan_id, one.id, *row))

        found = msgspec.json.decode(await get(PATH), type=Listing).release_plans
        items = [(msgspec.json.decode(item, type=Item).id, sha256(item).hexdigest()) for item in found]
        await asyncio.gather(*(take(plan, digest) for plan, digest in items if known.get(plan) != digest))
    return rows


def into_sqlite(base_url, path):
    """Archive into SQLite, as durable as the program does."""
    with sqlite3.connect(path, isolation_level=None) as database:
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", *TABLES):
            database.execute(statement.format(bytes="blob"))
        rows = asyncio.run(fetch(base_url, dict(database.execute("SELECT plan_id, sha256 FROM plans"))))
        database.execute("BEGIN IMMEDIATE")
        for name, width in WIDTHS.items():
            database.executemany(f"INSERT OR REPLACE INTO {name} VALUES ({', '.join('?' * width)})", rows[name])
        database.execute("COMMIT")


def into_postgresql(base_url, conninfo):
    """Archive into PostgreSQL: COPY into a temporary table, then one INSERT."""
    with psycopg.connect(conninfo) as database:
        for statement in TABLES:
            database.execute(statement.format(bytes="bytea"))
        rows = asyncio.run(fetch(base_url, dict(database.execute("SELECT plan_id, sha256 FROM plans").fetchall())))
        for name in WIDTHS:
            database.execute(f"CREATE TEMP TABLE new_{name} (LIKE {name}) ON COMMIT DROP")
            with database.cursor().copy(f"COPY new_{name} FROM STDIN") as copy:
                for row in rows[name]:
                    copy.write_row(row)
            action = "DO UPDATE SET sha256 = excluded.sha256" if name == "plans" else "DO NOTHING"
            key = {"plans": "plan_id", "bodies": "sha256", "attempts": "job_id"}[name]
            database.execute(f"INSERT INTO {name} SELECT * FROM new_{name} ON CONFLICT ({key}) {action}")


if __name__ == "__main__":
    (into_postgresql if "dbname" in sys.argv[2] else into_sqlite)(*sys.argv[1:])
