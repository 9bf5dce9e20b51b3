"""The data set, asked with DuckDB, tells what the reports tell of the same archive: in each week of each zone."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pytest
from random_archives import random_archive
from report_builders import frames, save
from sqlalchemy import select

from archiver.exporting import export
from archiver.ledger import write_weeks
from archiver.schema import job_attempts
from archiver.viewing import refresh_views
from archiver.views import TABLES
from reports.batch_timing import batch_timing
from reports.failure_rates import failure_rates
from reports.groups import Selection
from reports.rollbacks import rollback_rates
from reports.tables import records
from reports.window import Window

ZONES = ("UTC", "Asia/Shanghai", "America/New_York")
BY_WEEK = (
    """SELECT week, count(*) FILTER (outcome IN ('succeeded', 'failed')), count(*) FILTER (outcome = 'failed')
    FROM {job_attempts} GROUP BY week""",
    """SELECT week, count(*), sum(rolled_back)
    FROM {component_releases} WHERE outcome IN ('succeeded', 'failed') GROUP BY week""",
    """SELECT week, count(*), quantile_cont(duration_seconds, 0.9)
    FROM {batch_runs} WHERE is_finished GROUP BY week""",
)


@pytest.fixture(params=["sqlite_archive", "postgres_archive"])
def engine(request):
    return request.getfixturevalue(request.param)


def asked(query):
    """Ask the data set; `{table}` stands for a table's files."""
    for table in ("job_attempts", "component_releases", "batch_runs"):
        files = f"read_parquet('data/{table}/*/*/*.parquet', hive_partitioning = true)"
        query = query.replace(f"{{{table}}}", files)
    return duckdb.sql(query).fetchall()


@pytest.mark.parametrize("zone_name", ZONES)
def test_weeks_of_the_data_set_are_weeks_of_the_reports(engine, zone_name):
    archive = random_archive(700 + ZONES.index(zone_name), plans=40)
    zone = ZoneInfo(zone_name)
    loaded = frames(**archive)
    save(engine, **archive)
    with engine.begin() as connection:
        write_weeks(connection, ["UTC"], loaded.attempts["first_seen_at"].max().to_pydatetime())
        refresh_views(connection, "public")
    with engine.connect() as connection:
        export(connection, Path("data"), zone, ["p1", "p2"])
        for table in (job_attempts, TABLES["component_releases"], TABLES["batch_runs"]):
            stored = len(connection.execute(select(table)).all())
            assert asked("FROM {%s}".replace("%s", table.name) + " SELECT count(*)") == [(stored,)]

    window = Window.of_weeks(date(2026, 11, 30), 10, zone)
    by_week = Selection(window, by=("week",))
    rates = records(failure_rates(loaded, by_week))
    undone = records(rollback_rates(loaded, by_week, as_of=None, recheck_days=14))
    timing = records(batch_timing(loaded, by_week))

    failed, rolled_back, batches = ({row[0]: row[1:] for row in asked(query)} for query in BY_WEEK)
    nothing = (0, 0)
    assert [(row["finished"], row["failed"]) for row in rates] == [failed.get(r["week"], nothing) for r in rates]
    assert [(r["finished"], r["rolled_back"]) for r in undone] == [rolled_back.get(r["week"], nothing) for r in undone]
    for row in timing:
        count, p90_seconds = batches.get(row["week"], (0, None))
        assert (row["batches"], row["p90_seconds"]) == (count, pytest.approx(p90_seconds) if count else None)
    assert sum(row["finished"] for row in rates) > 50
    assert pd.notna([row["p90_seconds"] for row in timing if row["batches"]]).all()
