"""When nights fall due, on the wall clock of a zone, and how they are settled."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from archiver import schema
from archiver.ledger import Night, open_nights, open_run, settle_night
from archiver.nights import cron_trigger, due_between, last_due

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
SANTIAGO = ZoneInfo("America/Santiago")


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def due(expression, zone, after, until):
    return list(due_between(expression, zone, after, until))


def test_a_night_falls_due_by_the_wall_clock_in_winter_and_summer():
    assert due("15 2 * * *", BERLIN, utc(2026, 7, 1), utc(2026, 7, 2)) == [(date(2026, 7, 1), utc(2026, 7, 1, 0, 15))]
    assert due("15 2 * * *", BERLIN, utc(2026, 12, 1), utc(2026, 12, 2)) == [
        (date(2026, 12, 1), utc(2026, 12, 1, 1, 15))
    ]


@pytest.mark.parametrize(
    ("expression", "zone", "day", "planned_at"),
    [
        # 2:15 does not exist: the clock goes from 2:00 to 3:00; 3:15 summer time it is.
        ("15 2 * * *", BERLIN, date(2026, 3, 29), utc(2026, 3, 29, 1, 15)),
        ("15 2 * * *", NEW_YORK, date(2026, 3, 8), utc(2026, 3, 8, 7, 15)),
        # 2:15 and 1:15 come twice: the first time counts.
        ("15 2 * * *", BERLIN, date(2026, 10, 25), utc(2026, 10, 25, 0, 15)),
        ("15 1 * * *", NEW_YORK, date(2026, 11, 1), utc(2026, 11, 1, 5, 15)),
        # The day begins at 1:00: midnight itself is skipped.
        ("30 0 * * *", SANTIAGO, date(2026, 9, 6), utc(2026, 9, 6, 4, 30)),
    ],
)
def test_a_dst_change_neither_drops_nor_doubles_a_night(expression, zone, day, planned_at):
    around = due(expression, zone, planned_at - timedelta(days=1.5), planned_at + timedelta(days=1.5))

    assert [night for night, _ in around] == [day - timedelta(days=1), day, day + timedelta(days=1)]
    assert dict(around)[day] == planned_at


def test_every_date_of_ten_years_has_one_night_in_every_zone():
    for zone in (BERLIN, NEW_YORK, SANTIAGO, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kathmandu")):
        found = due("0 2 * * *", zone, utc(2020, 1, 1, 12), utc(2029, 12, 31, 12))
        dates = [night for night, _ in found]
        instants = [planned_at for _, planned_at in found]
        assert (dates[-1] - dates[0]).days == len(dates) - 1
        assert len(set(dates)) == len(dates)
        assert instants == sorted(set(instants))


def test_an_hourly_schedule_has_one_night_a_date_at_its_first_hour():
    assert due("0 * * * *", BERLIN, utc(2026, 10, 24, 12), utc(2026, 10, 26, 12)) == [
        (date(2026, 10, 25), utc(2026, 10, 24, 22)),
        (date(2026, 10, 26), utc(2026, 10, 25, 23)),
    ]


def test_the_span_is_open_at_its_start_and_closed_at_its_end():
    at = utc(2026, 11, 24, 2, 15)

    assert due("15 2 * * *", ZoneInfo("UTC"), at, utc(2026, 11, 24, 12)) == []
    assert due("15 2 * * *", ZoneInfo("UTC"), utc(2026, 11, 24, 2), at) == [(date(2026, 11, 24), at)]


# November 2026: the 1st is a Sunday.
@pytest.mark.parametrize(
    ("weekdays", "days"),
    [
        ("*", [1, 2, 3, 4, 5, 6, 7]),
        ("0", [1]),
        ("7", [1]),
        ("sun", [1]),
        ("1-5", [2, 3, 4, 5, 6]),
        ("MON-FRI", [2, 3, 4, 5, 6]),
        ("5-7", [1, 6, 7]),
        ("0-2", [1, 2, 3]),
        ("mon-sun", [1, 2, 3, 4, 5, 6, 7]),
        ("1,3", [2, 4]),
        ("*/2", [1, 3, 5, 7]),
        ("1-5/2", [2, 4, 6]),
        ("6,0", [1, 7]),
    ],
)
def test_weekdays_count_as_cron_counts_them(weekdays, days):
    found = due(f"15 2 * * {weekdays}", ZoneInfo("UTC"), utc(2026, 11, 1), utc(2026, 11, 8))

    assert [night.day for night, _ in found] == days


@pytest.mark.parametrize(
    "expression",
    ["", "15 2 * *", "15 2 * * * *", "60 2 * * *", "15 25 * * *", "15 2 * * 8", "15 2 * * 5-1", "x y z * *"],
)
def test_what_is_no_cron_expression_is_refused(expression):
    with pytest.raises(ValueError, match="is no cron expression"):
        cron_trigger(expression, UTC)


def test_the_last_night_due_is_found_far_back():
    zone = ZoneInfo("UTC")

    assert last_due("15 2 * * *", zone, utc(2026, 11, 24, 2)) == (date(2026, 11, 23), utc(2026, 11, 23, 2, 15))
    assert last_due("0 3 1 1 *", zone, utc(2026, 11, 24)) == (date(2026, 1, 1), utc(2026, 1, 1, 3))
    assert last_due("0 3 29 2 *", zone, utc(2026, 11, 24)) is None


@pytest.fixture
def books(archive):
    """Return functions that open and settle nights, and list them as day and state."""
    night = Night("15 2 * * *", ZoneInfo("UTC"))

    class Books:
        def open(self, now, project="p1"):
            with archive.engine.begin() as connection:
                return open_nights(connection, project, night, now)

        def settle(self, day, outcome, project="p1"):
            with archive.engine.begin() as connection:
                run_id = open_run(connection, project, "manual", utc(2026, 11, 30), "r", None)
                settle_night(connection, project, day, run_id, outcome)
            return run_id

        def states(self, project="p1"):
            rows = archive.rows(schema.nights, project_id=project)
            return [(row["night_date"].day, row["state"]) for row in sorted(rows, key=lambda row: row["night_date"])]

        def run_of(self, day):
            return archive.rows(schema.nights, night_date=day)[0]["run_id"]

    return Books()


def test_the_first_night_of_a_project_is_the_last_due(books):
    assert books.open(utc(2026, 11, 24, 12)) == date(2026, 11, 24)
    assert books.states() == [(24, "due")]
    assert books.open(utc(2026, 11, 24, 13), "p2") == date(2026, 11, 24)
    assert books.states("p2") == [(24, "due")]


def test_nights_that_no_run_served_are_missed(books):
    books.open(utc(2026, 11, 20, 12))
    books.settle(date(2026, 11, 20), "complete")

    assert books.open(utc(2026, 11, 24, 2, 14)) == date(2026, 11, 23)
    assert books.states() == [(20, "done"), (21, "missed"), (22, "missed"), (23, "due")]


def test_a_night_still_due_is_missed_once_the_next_falls_due(books):
    books.open(utc(2026, 11, 23, 12))
    books.settle(date(2026, 11, 23), "failed")
    books.settle(date(2026, 11, 23), "interrupted")
    before = books.states()

    books.open(utc(2026, 11, 24, 2, 15))

    assert before == [(23, "due")]
    assert books.states() == [(23, "missed"), (24, "due")]


def test_between_two_nights_a_run_serves_the_one_before(books):
    books.open(utc(2026, 11, 23, 12))

    assert books.open(utc(2026, 11, 24, 1)) == date(2026, 11, 23)
    assert books.states() == [(23, "due")]


def test_a_clock_set_back_opens_no_night_anew(books):
    books.open(utc(2026, 11, 24, 12))

    assert books.open(utc(2026, 11, 20, 12)) == date(2026, 11, 24)
    assert books.states() == [(24, "due")]


def test_a_worse_run_never_overwrites_a_better_one(books):
    day = date(2026, 11, 24)
    books.open(utc(2026, 11, 24, 12))
    seen = []
    for outcome in ("failed", "partial", "failed", "complete", "partial", "interrupted"):
        books.settle(day, outcome)
        seen.append(books.states()[0][1])

    assert seen == ["due", "partial", "partial", "done", "done", "done"]


def test_a_later_complete_run_heals_a_missed_night(books):
    day = date(2026, 11, 23)
    books.open(utc(2026, 11, 23, 12))
    books.open(utc(2026, 11, 24, 12))

    run_id = books.settle(day, "complete")

    assert books.states() == [(23, "done"), (24, "due")]
    assert books.run_of(day) == run_id
