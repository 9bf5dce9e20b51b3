"""Makes a big archive, and tells how long the views take on it: `python benchmarks/views.py URL [ATTEMPTS]`.

URL names an empty place: sqlite:///FILE or postgresql+psycopg://…. What is there already is asked as it is.
"""

import random
import sys
import time
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import func, insert, literal, select, text

from archiver.database import open_writer
from archiver.failures import write_all_failures
from archiver.ledger import write_weeks
from archiver.migrate import upgrade
from archiver.schema import components, failures, job_attempts, nights, plans, rollbacks, runs, snapshots

SCHEMA = "release_archive"
WEEKS = 52
FIRST = datetime(2025, 11, 24, tzinfo=UTC)
NOW = FIRST + timedelta(weeks=WEEKS)
COMPONENTS, BATCHES, PLACES = 400, 3, 15
MADE = 100_000  # attempts that are made one by one; more are copies of these, in plans of their own
COPIED = (plans, components, job_attempts, rollbacks, failures)
OUTCOMES = ("succeeded",) * 18 + ("failed", "aborted")
MESSAGES = [f"{what} {how}" for what in ("pull", "probe", "mount", "quota", "hook") for how in ("timed out", "refused")]
WEEK = "WHERE time_zone = 'UTC' AND week = '2026-W30'"
QUESTIONS = {
    "weekly_failure_rates, one week": "SELECT * FROM weekly_failure_rates " + WEEK,
    "weekly_rollbacks, one week": "SELECT * FROM weekly_rollbacks " + WEEK,
    "weekly_batch_timing, one week": "SELECT * FROM weekly_batch_timing " + WEEK,
    "failure_templates, one week": "SELECT * FROM failure_templates " + WEEK,
    "coverage, one week": "SELECT * FROM coverage " + WEEK,
    "component_releases, one day": "SELECT * FROM component_releases "
    "WHERE started_at >= '2026-07-22T00:00:00.000Z' AND started_at < '2026-07-23T00:00:00.000Z'",
    "batch_runs, one day": "SELECT * FROM batch_runs "
    "WHERE started_at >= '2026-07-22T00:00:00.000Z' AND started_at < '2026-07-23T00:00:00.000Z'",
    "batch_runs, one plan": "SELECT * FROM batch_runs WHERE project_id = 'p1' AND plan_id = 'plan-77'",
    "weekly_failure_rates, a zone": "SELECT * FROM weekly_failure_rates WHERE time_zone = 'UTC'",
    "weekly_rollbacks, a zone": "SELECT * FROM weekly_rollbacks WHERE time_zone = 'UTC'",
    "weekly_batch_timing, a zone": "SELECT * FROM weekly_batch_timing WHERE time_zone = 'UTC'",
    "failure_templates, a zone": "SELECT * FROM failure_templates WHERE time_zone = 'UTC'",
    "coverage, a zone": "SELECT * FROM coverage WHERE time_zone = 'UTC'",
    "component_releases, all": "SELECT count(*), sum(rolled_back) FROM component_releases",
    "batch_runs, all": "SELECT count(*), sum(failed) FROM batch_runs",
}


def rows_of(number, dice):
    """Return the rows of one plan, by table."""
    start = FIRST + timedelta(milliseconds=dice.randrange(WEEKS * 7 * 86_400_000))
    project, plan = dice.choice(["p1", "p1", "p2"]), f"plan-{number}"
    own = {"plan_key": f"{number:032x}", "project_id": project, "plan_id": plan}
    seen = {"first_seen_at": start + timedelta(hours=8), "last_seen_at": start + timedelta(days=14)}
    proof = {"first_snapshot_id": "s", "last_snapshot_id": "s"}
    found = {plans: [own | seen | {"name": f"release {number}", "creator": "ana", "executed_at": start}]}
    for index, component in enumerate(dice.sample(range(COMPONENTS), PLACES)):
        place = own | {"component_id": f"component-{component}", "batch": 1 + index * BATCHES // PLACES}
        key = f"{number:026x}{index:02x}"
        found.setdefault(components, []).append(
            {"component_key": f"{key}0000"} | place | seen | {"name": f"service-{component}"}
        )
        begin = start + timedelta(minutes=30 * place["batch"])
        for rank in range(1, dice.choice([1] * 6 + [2]) + 1):
            took = dice.randrange(20_000, 900_000)
            end = begin + timedelta(milliseconds=took)
            attempt = {"attempt_key": f"{key}{rank:04x}", "job_id": f"job-{key}-{rank}", "attempt": rank}
            outcome = dice.choice(OUTCOMES)
            times = {"started_at": begin, "ended_at": end, "duration_seconds": took / 1000}
            said = None
            if outcome == "failed":
                said = f"{dice.choice(MESSAGES)} on service-{component} after {took} ms"
            found.setdefault(job_attempts, []).append(
                attempt | place | seen | proof | times | {"outcome": outcome, "version": "1", "fail_message": said}
            )
            begin = end + timedelta(hours=1)
        if dice.random() < 0.05:
            times = {"started_at": begin, "ended_at": begin + timedelta(minutes=5), "outcome": "succeeded"}
            job = {"rollback_key": f"{key}ffff", "rollback_job_id": f"rb-{key}", "job_id": attempt["job_id"]}
            found.setdefault(rollbacks, []).append(place | seen | proof | times | job)
    return found


def fill(engine, attempt_count):
    """Write about so many attempts, and the books around them."""
    dice = random.Random(1)
    with engine.begin() as connection:
        write_weeks(connection, ["UTC", "Asia/Shanghai"], NOW)
        for project in ("p1", "p2"):
            about = {"archiver_version": "0", "schema_revision": "0", "mapping_version": 1, "kind": "scheduled"}
            times = {"started_at": NOW, "ended_at": NOW, "outcome": "complete"}
            run = {"run_id": f"run-{project}", "run_key": f"run-{project}", "project_id": project}
            connection.execute(insert(runs), [run | about | times])
            due = [date(2025, 11, 24) + timedelta(days=day) for day in range(WEEKS * 7)]
            fallen = [{"night_key": f"{project}{day}", "night_date": day, "planned_at": NOW} for day in due]
            connection.execute(insert(nights), [row | {"project_id": project, "state": "done"} for row in fallen])
        body = {"snapshot_id": "s", "snapshot_key": "s", "project_id": "p1", "plan_id": "-", "kind": "list_item"}
        times = dict.fromkeys(("captured_at", "last_captured_at", "recorded_at"), NOW)
        connection.execute(
            insert(snapshots), [body | times | {"content_sha256": "", "canonical_sha256": "", "run_id": "run-p1"}]
        )
    written = number = 0
    while written < min(attempt_count, MADE):
        batch = {}
        for _ in range(1000):
            for table, rows in rows_of(number, dice).items():
                batch.setdefault(table, []).extend(rows)
            number += 1
        with engine.begin() as connection:
            for table, rows in batch.items():
                connection.execute(insert(table), rows)
        written += len(batch[job_attempts])
    with engine.begin() as connection:
        write_all_failures(connection)
    if written < attempt_count:
        copy(engine, -(-attempt_count // written))
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))


def copy(engine, times):
    """Let there be everything so many times, by the database alone; indexes are made again after."""
    indexes = sorted({index for table in COPIED for index in table.indexes}, key=lambda index: index.name)
    with engine.begin() as connection:
        for index in indexes:
            index.drop(connection)
    for number in range(1, times):
        with engine.begin() as connection:
            for table in COPIED:
                connection.execute(copied(table, number))
    with engine.begin() as connection:
        for index in indexes:
            index.create(connection)


def copied(table, number):
    """Return the statement that copies what was made first, under other keys and ids."""
    columns = {column.name: column for column in table.c}
    for name in ("plan_key", table.primary_key.columns[0].name, "job_key"):
        if name in columns:
            columns[name] = literal(f"{number:08x}") + func.substr(table.c[name], 9)
    for name in ("plan_id", "job_id", "rollback_job_id"):
        if name in columns:
            columns[name] = table.c[name] + f"-{number}"
    is_first = table.primary_key.columns[0] < "00000001"
    if table is failures:
        columns["failure_key"] = table.c.kind + "/" + columns["job_key"]
        is_first = table.c.plan_key < "00000001"
    return insert(table).from_select(list(columns), select(*columns.values()).where(is_first))


def main():
    """Make what is missing, ask, and print."""
    url = sys.argv[1]
    engine = open_writer(url, SCHEMA)
    upgrade(engine, url, SCHEMA)
    with engine.connect() as connection:
        is_empty = connection.scalar(select(func.count()).select_from(plans)) == 0
    if is_empty:
        fill(engine, int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
    with engine.connect() as connection:
        for table in (plans, components, job_attempts, rollbacks):
            print(f"{table.name}: {connection.scalar(select(func.count()).select_from(table)):,} rows")
        for name, query in QUESTIONS.items():
            started = time.perf_counter()
            rows = connection.exec_driver_sql(query).fetchall()
            print(f"{time.perf_counter() - started:8.2f} s  {len(rows):7,} rows  {name}")


if __name__ == "__main__":
    main()
