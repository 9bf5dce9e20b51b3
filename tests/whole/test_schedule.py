"""The tick: it asks the archive which night is still to do, and doing it twice does it once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from pydantic import SecretStr
from receivers import web_server

from archiver import schedule, schema, weekly
from archiver.alarm import NIGHT
from archiver.clock import ManualClock
from archiver.errors import ArchiverError, NightServedError
from archiver.issued import save_issued
from archiver.lease import acquire
from archiver.nightly import archive_all, exit_code
from archiver.schedule import ScheduleCounts, keep_nights, projects_to_do, tick
from archiver.settings import load_settings
from archiver.simulator import Fault, Faults, Simulator, build_history, running
from archiver.stopping import Stop
from archiver.weekly import week_to_issue

# Apprise looks for this module of the standard library when it loads its services.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
FIRST_NIGHT = datetime(2026, 11, 17, 2, 15, tzinfo=UTC)
HISTORY = build_history(7, ends_at=ENDS_AT, weeks=1, plans_per_week=6)
FIRST, SECOND = HISTORY.project_ids
OUTAGE = (FIRST_NIGHT - timedelta(hours=1), FIRST_NIGHT + timedelta(minutes=20))


@pytest.fixture
def clock():
    return ManualClock(FIRST_NIGHT)


@pytest.fixture
def settings(archive, clock, monkeypatch):
    """Return settings for a simulated ServiceStage whose first project is forbidden during an outage."""
    faults = Faults([Fault("status", match=FIRST, since=OUTAGE[0], until=OUTAGE[1], status=403)])
    with running(Simulator(HISTORY, now=clock.now, faults=faults)) as base_url:
        for name, value in {
            "DATABASE_URL": archive.url,
            "ENDPOINT": base_url,
            "PROJECT_ID": ",".join(HISTORY.project_ids),
            "TOKEN": "t",
            "REQUESTS_PER_SECOND": "0",
        }.items():
            monkeypatch.setenv(f"ARCHIVER_{name}", value)
        yield load_settings()


def states(archive, project):
    rows = archive.rows(schema.nights, project_id=project)
    return [(row["night_date"].day, row["state"]) for row in sorted(rows, key=lambda row: row["night_date"])]


async def test_a_failed_night_is_tried_again_at_the_next_tick_and_a_done_one_is_not(archive, settings, clock):
    first = await tick(settings, clock)
    clock.advance(900)
    second = await tick(settings, clock)
    clock.advance(900)
    third = await tick(settings, clock)
    fourth = await tick(settings, clock)

    assert first == [FIRST, SECOND]
    assert second == third == [FIRST]
    assert fourth == []
    assert states(archive, FIRST) == states(archive, SECOND) == [(17, "done")]
    assert [row["outcome"] for row in archive.rows(schema.runs, project_id=FIRST)] == ["failed", "failed", "complete"]
    assert {row["kind"] for row in archive.rows(schema.runs)} == {"scheduled"}


async def test_nights_in_a_gap_are_missed_and_the_last_one_is_done(archive, settings, clock):
    clock.set(OUTAGE[1])
    await tick(settings, clock)
    clock.set(FIRST_NIGHT + timedelta(days=3, hours=9))

    assert projects_to_do(settings, archive.engine, clock) == [FIRST, SECOND]
    await tick(settings, clock)

    assert states(archive, FIRST) == [(17, "done"), (18, "missed"), (19, "missed"), (20, "done")]
    assert projects_to_do(settings, archive.engine, clock) == []


async def test_the_night_falls_due_at_its_minute(archive, settings, clock):
    clock.set(OUTAGE[1])
    await tick(settings, clock)

    clock.set(FIRST_NIGHT + timedelta(days=1, milliseconds=-1))
    before = projects_to_do(settings, archive.engine, clock)
    clock.advance(0.001)

    assert before == []
    assert projects_to_do(settings, archive.engine, clock) == [FIRST, SECOND]


async def ring(*rings):
    for what in rings:
        yield frozenset(what)


async def test_staying_up_looks_at_the_start_and_ends_when_told_to(sqlite_archive_file, monkeypatch, clock):
    ticked = asyncio.Event()

    async def fake_tick(settings, clock, config, stop):
        ticked.set()

    monkeypatch.setattr(schedule, "tick", fake_tick)
    stop, counts = Stop(), ScheduleCounts()
    task = asyncio.create_task(keep_nights(None, clock, stop=stop, counts=counts))
    stop.watch(task)
    await asyncio.wait_for(ticked.wait(), 5)

    stop.ask()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert counts.ticks == 1


async def test_what_breaks_a_look_is_said_and_counted_and_the_next_alarm_looks_again(monkeypatch, clock):
    broken = [ArchiverError("the database is away"), ZeroDivisionError("oops\nand more")]
    looked = []

    async def fake_tick(*_):
        looked.append("night")
        if broken:
            raise broken.pop(0)

    monkeypatch.setattr(schedule, "tick", fake_tick)
    counts = ScheduleCounts()
    with structlog.testing.capture_logs() as log:
        await keep_nights(None, clock, counts=counts, ringing=ring([NIGHT], [NIGHT], [NIGHT]))

    assert (looked, counts.ticks, counts.errors) == (["night"] * 3, 3, 2)
    assert [(entry["event"], entry.get("error")) for entry in log[1:]] == [
        ("schedule.tick_failed", "the database is away"),
        ("schedule.tick_broke", "unexpected ZeroDivisionError: oops"),
    ]


async def test_a_stop_that_is_asked_for_in_a_look_ends_after_it(monkeypatch, clock):
    stop, looked = Stop(), []

    async def fake_tick(*_):
        with stop.held():
            looked.append("night")
            stop.ask()

    monkeypatch.setattr(schedule, "tick", fake_tick)

    with pytest.raises(asyncio.CancelledError):
        await keep_nights(None, clock, stop=stop, ringing=ring([NIGHT], [NIGHT]))
    assert looked == ["night"]


@pytest.mark.parametrize("archive", ["sqlite"], indirect=True)
async def test_two_schedulers_at_once_do_each_night_once(archive, settings, clock):
    clock.set(OUTAGE[1])
    for _ in range(3):
        did = await asyncio.gather(tick(settings, clock), tick(settings, clock))
        assert did == [[FIRST, SECOND]] * 2  # both saw that there was something to do
        clock.advance(86_400)

    assert [(row["project_id"], row["outcome"]) for row in archive.rows(schema.runs)].count((FIRST, "complete")) == 3
    assert len(archive.rows(schema.runs)) == 6


async def test_a_night_that_was_done_meanwhile_is_not_done_again(archive, settings, clock):
    clock.set(OUTAGE[1])
    await tick(settings, clock)

    outcomes = await archive_all(settings, archive.engine, archive.revision, clock, leaves_served_nights=True)

    assert [type(outcome.error) for outcome in outcomes] == [NightServedError] * 2
    assert exit_code(outcomes) == 0
    assert len(archive.rows(schema.runs)) == 2
    with archive.engine.begin() as connection:
        acquire(connection, f"project:{FIRST}")  # nothing holds it


@pytest.mark.parametrize("archive", ["sqlite"], indirect=True)
async def test_each_try_of_a_night_is_pinged_and_nothing_else(archive, settings, clock):
    with web_server() as web:
        url = SecretStr(f"http://127.0.0.1:{web.server_address[1]}/key")
        pinged = settings.model_copy(update={"ping_url": url})
        for instant in (FIRST_NIGHT, OUTAGE[1], OUTAGE[1]):
            clock.set(instant)
            await tick(pinged, clock)

    assert web.paths == ["/key/start", "/key/fail", "/key/start", "/key"]


@pytest.mark.parametrize(
    ("now", "is_night_open", "week"),
    [
        ("2026-11-23T05:59:59.999", False, None),  # the last Monday at six is before the first night
        ("2026-11-23T06:00", False, "2026-W47"),
        ("2026-11-23T06:00", True, None),  # the night that ends the week is still to do
        ("2026-11-23T11:59", True, None),
        ("2026-11-23T12:00", True, "2026-W47"),  # long enough
        ("2026-11-29T23:00", False, "2026-W47"),
        ("2026-11-30T06:00", False, "2026-W48"),
    ],
)
async def test_a_week_is_issued_on_monday_once_its_last_night_is_in(archive, settings, clock, now, is_night_open, week):
    clock.set(OUTAGE[1])
    await tick(settings, clock)

    at = datetime.fromisoformat(now).replace(tzinfo=UTC)

    assert week_to_issue(settings, archive.engine, at, is_night_open=is_night_open) == week


async def test_the_tick_issues_the_report_of_the_week_once(archive, settings, clock, tmp_path):
    clock.set(OUTAGE[1])
    await tick(settings, clock)
    clock.set(datetime(2026, 11, 23, 6, 1, tzinfo=UTC))
    settings = settings.model_copy(update={"report_directory": tmp_path / "weekly"})
    await tick(settings, clock)
    await tick(settings, clock)

    [issued] = archive.rows(schema.issued_reports)
    assert (issued["week"], issued["projects"], issued["as_of"]) == ("2026-W47", None, clock.now())
    assert (tmp_path / "weekly" / "weekly-2026-W47.json").read_text("utf-8") == issued["report"]


async def test_of_several_archivers_one_issues_the_report(archive, settings, clock, monkeypatch):
    clock.set(OUTAGE[1])
    await tick(settings, clock)
    clock.set(datetime(2026, 11, 23, 6, 1, tzinfo=UTC))
    await tick(settings.model_copy(update={"report_schedule": "0 6 1 1 *"}), clock)
    issued, has_begun, may_end = [], asyncio.Event(), asyncio.Event()

    async def issue(settings, week, config):
        issued.append(week)
        has_begun.set()
        await asyncio.wait_for(may_end.wait(), 30)
        save(archive, week)

    monkeypatch.setattr(weekly, "issue", issue)
    first = asyncio.create_task(tick(settings, clock))
    await asyncio.wait_for(has_begun.wait(), 30)
    await tick(settings, clock)
    may_end.set()
    await first
    await tick(settings, clock)

    assert issued == ["2026-W47"]
    assert all(row["is_released"] for row in archive.rows(schema.leases))


def save(archive, week):
    now = datetime(2026, 11, 23, 6, 1, tzinfo=UTC)
    with archive.engine.begin() as connection:
        save_issued(
            connection,
            zone="UTC",
            week=week,
            projects=None,
            as_of=now,
            issued_at=now,
            definition_versions={},
            report="{}",
        )


@pytest.mark.parametrize("archive", ["sqlite"], indirect=True)
async def test_a_report_that_can_not_be_issued_is_said_and_costs_no_night(archive, settings, clock, tmp_path):
    clock.set(OUTAGE[1])
    await tick(settings, clock)
    clock.set(datetime(2026, 11, 23, 6, 1, tzinfo=UTC))
    (tmp_path / "file").write_text("in the way")
    settings = settings.model_copy(update={"report_directory": tmp_path / "file"})

    with pytest.raises(ArchiverError, match=r"report of 2026-W47 was not issued: reports: can't write"):
        await tick(settings, clock)

    assert states(archive, FIRST)[-1] == (23, "done")


@pytest.fixture
def monday(settings, clock, tmp_path, monkeypatch):
    """Return a function that ticks on Monday, when the report of 2026-W47 is due, with notify URLs; and its log."""
    settings = settings.model_copy(update={"report_directory": tmp_path / "weekly"})

    async def ticked(*urls):
        clock.set(OUTAGE[1])
        await tick(settings, clock)
        monkeypatch.setenv("ARCHIVER_NOTIFY_URLS", " ".join(urls))
        wanted = settings.model_copy(update={"notify_urls": SecretStr(" ".join(urls))})
        clock.set(datetime(2026, 11, 23, 6, 1, tzinfo=UTC))
        with structlog.testing.capture_logs() as log:
            await tick(wanted, clock)
            await tick(wanted, clock)
        return [entry for entry in log if entry["event"].startswith("weekly.")]

    return ticked


async def test_the_report_of_the_week_is_sent_once(monday):
    with web_server() as web:
        log = await monday(f"json://127.0.0.1:{web.server_address[1]}/ok")

    # The nights of the 18th to the 22nd were missed, which is told first.
    assert [one["title"].partition(":")[0] for one in web.taken] == ["Release archive", "Releases in 2026-W47"]
    assert [entry["event"] for entry in log] == ["weekly.report_issued"]


@pytest.mark.parametrize("archive", ["sqlite"], indirect=True)
async def test_a_delivery_that_fails_is_said_once_and_the_report_stands(archive, monday, tmp_path):
    with web_server() as web:
        log = await monday(f"json://u:hunter2@127.0.0.1:{web.server_address[1]}/busy")

    assert [(entry["event"], entry["log_level"]) for entry in log] == [
        ("weekly.report_not_delivered", "error"),
        ("weekly.report_issued", "info"),
    ]
    assert log[0]["error"].endswith("was not delivered to json://127.0.0.1: HTTP status 503")
    assert web.paths == ["/busy"] * 2  # what was missed, and the report
    [issued] = archive.rows(schema.issued_reports)
    assert (tmp_path / "weekly" / "weekly-2026-W47.json").read_text("utf-8") == issued["report"]


@pytest.mark.parametrize("archive", ["sqlite"], indirect=True)
async def test_a_url_that_can_not_be_used_is_said_and_costs_no_report(archive, monday):
    log = await monday("jsons://u:hunter2@example.com?verify=no")

    assert [entry["event"] for entry in log] == ["weekly.report_not_sent", "weekly.report_issued"]
    assert "URL 1 of 1 says verify=no" in log[0]["error"]
    assert "hunter2" not in str(log)
    assert len(archive.rows(schema.issued_reports)) == 1
