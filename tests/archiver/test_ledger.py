"""The books of the runs: weeks, failures, and what a run's row says."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from archiver import schema
from archiver.errors import GiveUpPlanError, GiveUpRunError
from archiver.ledger import RunCounts, close_run, open_run, save_failures, write_weeks

NOW = datetime(2026, 11, 24, 2, 15, tzinfo=UTC)


@pytest.fixture
def weeks(archive):
    """Write the weeks of the zones as of a time, and return those of one zone by name."""

    def write(*zones, now=NOW, of=None):
        with archive.engine.begin() as connection:
            write_weeks(connection, zones, now)
        return {row["week"]: row for row in archive.rows(schema.weeks, time_zone=of or zones[-1])}

    return write


def test_weeks_begin_at_their_zones_midnight_on_both_sides_of_a_dst_change(weeks):
    berlin = weeks("UTC", "Europe/Berlin")

    # Summer time begins on Sunday 29 March and ends on Sunday 25 October 2026.
    assert berlin["2026-W13"]["starts_at"] == datetime(2026, 3, 22, 23, tzinfo=UTC)
    assert berlin["2026-W13"]["ends_at"] == datetime(2026, 3, 29, 22, tzinfo=UTC)
    assert berlin["2026-W43"]["ends_at"] - berlin["2026-W43"]["starts_at"] == timedelta(hours=7 * 24 + 1)
    assert berlin["2026-W44"]["starts_at"] == datetime(2026, 10, 25, 23, tzinfo=UTC)


def test_weeks_are_named_as_iso_names_them_at_the_borders_of_years(weeks):
    utc = weeks("UTC")

    # 2026 begins on a Thursday: it has 53 weeks, and its last one ends in 2027.
    assert utc["2026-W53"]["week_start_date"] == date(2026, 12, 28)
    assert utc["2027-W01"]["starts_at"] == datetime(2027, 1, 4, tzinfo=UTC)
    assert utc["2025-W01"]["week_start_date"] == date(2024, 12, 30)
    assert "2025-W53" not in utc


def test_weeks_follow_one_another_without_a_gap_through_next_year(weeks):
    for zone in ("UTC", "America/New_York"):
        rows = sorted(weeks("UTC", "America/New_York", of=zone).values(), key=lambda row: row["starts_at"])
        assert all(row["ends_at"] == after["starts_at"] for row, after in pairwise(rows))
        assert rows[-1]["week"] == "2027-W52"


def test_weeks_grow_with_the_years_and_are_written_once(weeks, archive):
    before = weeks("UTC")
    again = weeks("UTC")
    later = weeks("UTC", now=NOW.replace(year=2027))

    assert again == before
    assert set(later) - set(before) == {f"2028-W{week:02d}" for week in range(1, 53)}
    assert {name: later[name] for name in before} == before


def test_a_new_zone_gets_its_weeks_beside_the_old_ones(weeks, archive):
    weeks("UTC")
    weeks("UTC", "Asia/Tokyo")

    assert {row["time_zone"] for row in archive.rows(schema.weeks)} == {"UTC", "Asia/Tokyo"}


@pytest.fixture
def run_id(archive):
    with archive.engine.begin() as connection:
        return open_run(connection, "p1", "manual", NOW, "some revision", date(2026, 11, 24))


def test_a_run_begins_as_running_and_ends_with_its_counts(archive, run_id):
    (begun,) = archive.rows(schema.runs)
    with archive.engine.begin() as connection:
        counts = RunCounts(plans_listed=5, plans_fetched=3, plans_skipped=2, requests=4)
        close_run(connection, run_id, "complete", NOW + timedelta(minutes=1), counts, None)
    (ended,) = archive.rows(schema.runs)

    assert (begun["outcome"], begun["ended_at"], begun["plans_listed"]) == ("running", None, 0)
    assert (begun["schema_revision"], begun["night_date"]) == ("some revision", date(2026, 11, 24))
    assert (ended["outcome"], ended["plans_listed"], ended["plans_fetched"], ended["requests"]) == ("complete", 5, 3, 4)
    assert ended["ended_at"] == NOW + timedelta(minutes=1)


def test_run_ids_sort_by_time(archive):
    with archive.engine.begin() as connection:
        ids = [
            open_run(connection, "p1", "manual", NOW + timedelta(milliseconds=ms), "r", None)
            for ms in (0, 1, 900, 2000)
        ]

    assert ids == sorted(ids)
    assert len(set(ids)) == 4


def test_failures_keep_code_stage_and_body(archive, run_id):
    failures = [
        (
            "a",
            GiveUpPlanError("bad \x00 text", stage="deploy_info", status=500, error_code="SVCSTG.1", body=b"\x00\xff"),
        ),
        ("b", GiveUpPlanError("no code", stage="deploy_info", status=502)),
        ("c", GiveUpPlanError("no answer", stage="deploy_info")),
        (None, GiveUpRunError("no list", stage="list", status=403)),
    ]
    with archive.engine.begin() as connection:
        save_failures(connection, "p1", run_id, failures, NOW)

    rows = {row["plan_id"]: row for row in archive.rows(schema.fetch_failures)}
    assert {plan_id: row["error_code"] for plan_id, row in rows.items()} == {
        "a": "SVCSTG.1",
        "b": "502",
        "c": None,
        None: "403",
    }
    assert rows["a"]["body"] == b"\x00\xff"
    assert rows["a"]["message"] == "bad \N{REPLACEMENT CHARACTER} text"
    assert rows[None]["stage"] == "list"


def test_a_plan_that_fails_twice_in_a_run_is_one_row_of_the_last_stage(archive, run_id):
    for stage in ("deploy_info", "not_tried"):
        with archive.engine.begin() as connection:
            save_failures(connection, "p1", run_id, [("a", GiveUpPlanError(stage, stage=stage))] * 2, NOW)

    assert [row["stage"] for row in archive.rows(schema.fetch_failures)] == ["not_tried"]
