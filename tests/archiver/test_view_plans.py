"""How the databases find a week's rows: by index, never by reading every attempt of a big archive."""

import pytest
from sqlalchemy import text

PLANS, PLACES, BATCHES, WEEKS = 4_000, 10, 2, 50
# Tables that grow with the archive, so that reading one from end to end grows with it too. PostgreSQL may read
# `plans`, a tenth of the attempts, to join them by hash.
BIG = {
    "plans",
    "components",
    "job_attempts",
    "rollbacks",
    "failures",
    "component_labels",
    "snapshots",
    "status_changes",
}
ONE_WEEK = "WHERE time_zone = 'UTC' AND week = '2026-W30'"
ONE_DAY = "started_at >= '2026-07-22T00:00:00.000Z' AND started_at < '2026-07-23T00:00:00.000Z'"
QUESTIONS = {
    **{
        name: f"SELECT * FROM {name} {ONE_WEEK}"
        for name in (
            "weekly_failure_rates",
            "weekly_rollbacks",
            "weekly_batch_timing",
            "failure_templates",
            "coverage",
        )
    },
    "component_releases": f"SELECT * FROM component_releases WHERE {ONE_DAY}",
    "rollback_releases": f"SELECT * FROM rollback_releases WHERE {ONE_DAY}",
    "batch_runs": f"SELECT * FROM batch_runs WHERE {ONE_DAY}",
}

_NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})"
_PLACE = "{plan_key}, 'p', {plan_id}, {component}, {batch}"
_SEEN = "{start}, {start}, 's', 's'"
_OF_PLACE = "plan_key, project_id, plan_id, component_id, batch"
_OF_SEEN = "first_seen_at, last_seen_at, first_snapshot_id, last_snapshot_id"
_FILL = (
    """INSERT INTO weeks (week_key, time_zone, week, week_start_date, starts_at, ends_at)
{weeks} SELECT 'w' || n, 'UTC', '2026-W' || substr('0' || n, length('0' || n) - 1), {monday}, {week}, {next_week}
FROM numbers""",
    """INSERT INTO runs (run_id, run_key, project_id, kind, started_at, ended_at, outcome, archiver_version,
  schema_revision, mapping_version)
VALUES ('r', 'r', 'p', 'scheduled', {last}, {last}, 'complete', '0', '0', 1)""",
    """INSERT INTO snapshots (snapshot_id, snapshot_key, project_id, plan_id, kind, captured_at, last_captured_at,
  recorded_at, content_sha256, canonical_sha256, run_id)
VALUES ('s', 's', 'p', '-', 'list_item', {last}, {last}, {last}, '', '', 'r')""",
    """INSERT INTO plans (plan_key, project_id, plan_id, first_seen_at, last_seen_at)
{plans} SELECT 'k' || n, 'p', 'plan-' || n, {start}, {start} FROM numbers""",
    f"""INSERT INTO components (component_key, {_OF_PLACE}, name, first_seen_at, last_seen_at)
{{places}} SELECT 'c' || n, {_PLACE}, {{component}}, {{start}}, {{start}} FROM numbers""",
    """INSERT INTO component_labels (component_key, team) {places} SELECT 'c' || n, 'payments' FROM numbers""",
    f"""INSERT INTO job_attempts (attempt_key, {_OF_PLACE}, job_id, attempt, outcome, started_at, ended_at,
  duration_seconds, {_OF_SEEN})
{{places}} SELECT 'a' || n, {_PLACE}, 'j' || n, 1, CASE WHEN n % 20 = 0 THEN 'failed' ELSE 'succeeded' END,
  {{start}}, {{start}}, 0, {_SEEN} FROM numbers""",
    f"""INSERT INTO rollbacks (rollback_key, {_OF_PLACE}, rollback_job_id, job_id, outcome, started_at, ended_at,
  {_OF_SEEN})
{{places}} SELECT 'b' || n, {_PLACE}, 'b' || n, 'j' || n, 'succeeded', {{start}}, {{start}}, {_SEEN}
FROM numbers WHERE n % 20 = 0""",
    f"""INSERT INTO failures (failure_key, kind, job_key, {_OF_PLACE}, started_at, template_id, template,
  masking_version)
{{places}} SELECT 'attempt/a' || n, 'attempt', 'a' || n, {_PLACE}, {{start}}, 't' || n % 9, 't', 1
FROM numbers WHERE n % 20 = 0""",
    "ANALYZE",
)


def statements(dialect):
    """Return what fills an archive of a year: the rows are made by the database, which is fast."""

    def instant(minutes):
        if dialect == "sqlite":
            return f"strftime('%Y-%m-%dT%H:%M:%fZ', '2025-12-29', '+' || ({minutes}) || ' minutes')"
        return f"(timestamptz '2025-12-29 00:00:00Z' + ({minutes}) * interval '1 minute')"

    days = "date('2025-12-29', '+' || (7 * (n - 1)) || ' days')"
    plan = f"(n / {PLACES} + 1)"
    words = {
        "weeks": _NUMBERS.format(count=WEEKS),
        "plans": _NUMBERS.format(count=PLANS + 1),
        "places": _NUMBERS.format(count=PLANS * PLACES),
        "monday": days if dialect == "sqlite" else "date '2025-12-29' + 7 * (n - 1)",
        "week": instant("10080 * (n - 1)"),
        "next_week": instant("10080 * n"),
        "last": instant(10_080 * WEEKS),
        "start": instant(f"{plan} * 7919 % {10_080 * WEEKS} + n % 7"),
        "plan_key": f"'k' || {plan}",
        "plan_id": f"'plan-' || {plan}",
        "component": "'c' || n % 300",
        "batch": f"1 + n % {BATCHES}",
    }
    return [statement.format(**words) for statement in _FILL]


@pytest.fixture
def big_archive(archive):
    """Return a connection to an archive of 40,000 attempts in 4,000 plans, with statistics."""
    with archive.engine.connect() as connection:
        if archive.engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET random_page_cost = 1.1")  # as for any disk that does not turn
        for statement in statements(archive.engine.dialect.name):
            connection.execute(text(statement.replace(":", r"\:")))
        yield connection


def whole_reads(connection, query):
    """Name the big tables that a query reads from end to end."""
    if connection.dialect.name == "sqlite":
        # Cursors are opened on the page where a table or index begins; one that is rewound is read from its start.
        pages = dict(connection.exec_driver_sql("SELECT rootpage, tbl_name FROM sqlite_master").all())
        steps = [row[1:4] for row in connection.exec_driver_sql(f"EXPLAIN {query}")]
        opened = {cursor: pages[page] for word, cursor, page in steps if word == "OpenRead"}
        return {opened[cursor] for word, cursor, _ in steps if word in ("Rewind", "Last") and cursor in opened} & BIG
    found = connection.execute(text(f"EXPLAIN (FORMAT JSON) {query}")).scalar()
    return {node["Relation Name"] for node in _nodes(found[0]["Plan"]) if _is_whole(node)}


def _nodes(node):
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _is_whole(node):
    if node.get("Relation Name") not in BIG - {"plans"}:
        return False
    # An index that is walked in its order until the first row (min, max) has no condition, and ends at once.
    is_index = node["Node Type"] in ("Index Scan", "Index Only Scan") and "Index Cond" in node
    return not (is_index or node["Node Type"] == "Bitmap Heap Scan")


def test_a_question_about_a_week_reads_no_big_table_from_end_to_end(big_archive):
    found = {view: whole_reads(big_archive, query) for view, query in QUESTIONS.items()}

    assert found == {view: set() for view in QUESTIONS}
    assert whole_reads(big_archive, "SELECT count(fail_message) FROM job_attempts") == {"job_attempts"}
