"""The data set holds the same rows as the archive, each in the partition of its week, for any reader."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import duckdb
import pandas as pd
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from builders import component, deploy_info
from exports import DATA, NOW, SHANGHAI, SUNDAY_NIGHT, exported, files, manifest, ms, released, rows_of, weeks
from sqlalchemy import func, select

from archiver import partitions, schema
from archiver.database import open_writer
from archiver.dataset import partition_path
from archiver.exported import EXPORTED, NO_WEEK
from archiver.importing import import_saved
from archiver.migrate import upgrade
from archiver.saved import Observation


def test_every_table_has_as_many_rows_as_the_archive(archive):
    for number in range(3):
        released(f"plan{number}", SUNDAY_NIGHT - timedelta(days=5 * number))(archive)

    result = exported(archive)

    with archive.engine.connect() as connection:
        for one in EXPORTED:
            count = connection.execute(select(func.count()).select_from(one.table)).scalar()
            there = DATA / one.table.name
            read = pyarrow.dataset.dataset(there, partitioning="hive").count_rows() if there.exists() else 0
            assert (result.rows[one.table.name], read) == (count, count), one.table.name
    assert result.rows["job_attempts"] == 6


def test_a_row_comes_back_with_its_values_and_types(archive):
    released("plan", SUNDAY_NIGHT, rollback_job_id="rb", rollback_job_status="FAILED")(archive)

    exported(archive)

    found = pq.read_table(DATA / partition_path("job_attempts", "pr", "2026-W47"), partitioning=None)
    stored = {row["attempt_key"]: row for row in archive.rows(schema.job_attempts)}
    for row in found.to_pylist():
        assert row | {"project_id": "pr"} == stored.pop(row["attempt_key"])
    assert stored == {}
    assert str(found.schema.field("started_at").type) == "timestamp[ms, tz=UTC]"
    assert found.schema.names == [column.name for column in schema.job_attempts.columns if column.name != "project_id"]


def test_a_week_is_one_of_the_zone(archive):
    released("plan", SUNDAY_NIGHT)(archive)

    exported(archive)
    assert weeks("job_attempts") == ["2026-W47"]
    exported(archive, zone=SHANGHAI)

    assert weeks("job_attempts") == weeks("component_releases") == ["2026-W48"]


def test_what_has_no_start_is_in_the_partition_of_none_unless_it_failed(archive):
    running = component("runs", job_id="j1", job_status="RUNNING", start_time=0, end_time=0)
    failed = component("fails", job_id="j2", job_status="FAILED", start_time=0, end_time=0)
    body = deploy_info("plan", running, failed)
    import_saved(archive.engine, "pr", archive.revision, [Observation("plan", "deploy_info", body, NOW)], NOW)

    exported(archive)

    assert weeks("job_attempts") == weeks("component_releases") == ["2026-W48", NO_WEEK]
    assert weeks("plans") == [NO_WEEK]


def test_a_time_that_no_calendar_goes_on_from_has_no_week(archive):
    released("plan", datetime(9999, 12, 31, 23, 59, tzinfo=UTC))(archive)

    exported(archive, zone=SHANGHAI)

    assert weeks("job_attempts") == [NO_WEEK]


def test_the_same_archive_gives_the_same_bytes_on_both_databases(sqlite_archive_file, request, tmp_path, monkeypatch):
    monkeypatch.setattr("archiver.ledger.secrets.token_hex", lambda _: "000000")
    written = []
    for name in ("sqlite", "postgresql"):
        archive = sqlite_archive_file if name == "sqlite" else postgresql_archive(request)
        for number, project in enumerate(("é/=", "pr", "pr")):
            start, later = SUNDAY_NIGHT - timedelta(days=number), NOW + timedelta(hours=number)
            released(f"plan{number}", start, project=project, now=later)(archive)
        exported(archive, ("pr", "é/="))
        written.append(files())
        (tmp_path / "data").rename(tmp_path / name)

    assert written[0] == written[1]
    assert len(written[0]) > 10


def postgresql_archive(request):
    url = request.getfixturevalue("postgres_url")
    engine = open_writer(url, "release_archive")
    request.addfinalizer(engine.dispose)
    return SimpleNamespace(engine=engine, revision=upgrade(engine, url, "release_archive")[1])


def test_rows_of_a_file_are_in_the_order_of_time_and_key_by_code_point(archive):
    times = {"start_time": ms(SUNDAY_NIGHT), "end_time": 0}
    names = ["b", "é", "B", "_", "a", "Z", "ab"]
    body = deploy_info("plan", *(component(name, job_id=f"job-{name}", **times) for name in names))
    import_saved(archive.engine, "pr", archive.revision, [Observation("plan", "deploy_info", body, NOW)], NOW)
    released("earlier", SUNDAY_NIGHT - timedelta(hours=1))(archive)

    exported(archive)

    for table, key in (("job_attempts", "attempt_key"), ("component_releases", "component_release_key")):
        [rows] = rows_of(table).values()
        order = [(row["started_at"], row[key]) for row in rows]
        assert order == sorted(order)
        assert len(order) == len(names) + 2


def test_a_small_row_group_changes_no_row_and_no_order(archive, monkeypatch):
    for number in range(4):
        released(f"plan{number}", SUNDAY_NIGHT - timedelta(days=3 * number))(archive)
    exported(archive)
    expected = rows_of("status_changes")
    for group, chunk in ((1, 1), (2, 3), (3, 2), (1000, 1)):
        monkeypatch.setattr(partitions, "ROWS_IN_GROUP", group)
        monkeypatch.setattr(partitions, "_ROWS_AT_ONCE", chunk)
        exported(archive, is_full=True)

        assert rows_of("status_changes") == expected


def test_row_groups_do_not_depend_on_the_weeks_before(archive, monkeypatch):
    monkeypatch.setattr(partitions, "ROWS_IN_GROUP", 3)
    monkeypatch.setattr(partitions, "_ROWS_AT_ONCE", 2)
    for number in range(3):
        released(f"plan{number}", SUNDAY_NIGHT)(archive)
    exported(archive)
    path = partition_path("job_attempts", "pr", "2026-W47")
    before = files()[path]
    released("earlier", SUNDAY_NIGHT - timedelta(days=30))(archive)

    exported(archive)

    assert files()[path] == before
    groups = pq.read_metadata(DATA / path)
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [3, 3]


HARD_IDS = ["a/b", "é", "1e5", "0012", "x=y%20", "..", 'q"*?', "tail "]


@pytest.mark.parametrize("archive", ["sqlite"], indirect=True)
def test_project_ids_come_back_through_duckdb_pandas_and_arrow_as_they_were(archive):
    for project in HARD_IDS:
        released("plan", SUNDAY_NIGHT, project=project)(archive)
    exported(archive, sorted(HARD_IDS))

    by_duckdb = duckdb.sql(
        "SELECT DISTINCT project_id FROM read_parquet('data/job_attempts/*/*/*.parquet', hive_partitioning = true, "
        "hive_types = {'project_id': VARCHAR, 'week': VARCHAR})"
    ).fetchall()
    as_text = pyarrow.dataset.partitioning(
        pyarrow.schema([("project_id", "string"), ("week", "string")]), flavor="hive"
    )
    by_pandas = pd.read_parquet("data/job_attempts", partitioning=as_text)["project_id"]

    assert sorted(row[0] for row in by_duckdb) == sorted(HARD_IDS)
    assert sorted(by_pandas.unique()) == sorted(HARD_IDS)
    assert {one["project_id"] for one in manifest()["partitions"]} == set(HARD_IDS)
    assert (DATA / "job_attempts" / "project_id=a%2Fb").is_dir()


def test_duckdb_reads_instants_numbers_and_no_week(archive):
    released("plan", SUNDAY_NIGHT)(archive)
    released("unknown", datetime(9999, 12, 31, tzinfo=UTC))(archive)
    exported(archive)

    found = duckdb.sql(
        "SELECT week, outcome, epoch_ms(started_at), duration_seconds, fail_message "
        "FROM read_parquet('data/job_attempts/*/*/*.parquet', hive_partitioning = true) "
        "WHERE plan_id = 'plan' OR week IS NULL ORDER BY ALL"
    ).fetchall()

    assert found[0] == ("2026-W47", "failed", ms(SUNDAY_NIGHT), 90.5, 'exit "1"\nand ✗')
    assert [row[0] for row in found] == ["2026-W47", "2026-W47", None, None]


def test_nights_lie_in_the_week_of_their_date(archive):
    nights = [date(2026, 11, 22), date(2026, 11, 23)]
    released("plan", SUNDAY_NIGHT)(archive)
    with archive.engine.begin() as connection:
        for night in nights:
            row = {
                "night_key": str(night),
                "project_id": "pr",
                "night_date": night,
                "planned_at": NOW,
                "state": "missed",
            }
            connection.execute(schema.nights.insert(), [row])

    exported(archive, zone=SHANGHAI)

    assert weeks("nights") == ["2026-W47", "2026-W48"]
    [row] = pq.read_table(DATA / partition_path("nights", "pr", "2026-W48"), partitioning=None).to_pylist()
    assert row["night_date"] == nights[1]
