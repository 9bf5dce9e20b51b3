"""Troubles: each is noted by the run that shows it, is over with the run that does not, and is told once."""

import asyncio

import pytest
import structlog
from fakes import refused
from played import FIRST_NIGHT, Nights
from pydantic import SecretStr
from receivers import web_server

from archiver import delivery, schema
from archiver.clock import ManualClock
from archiver.database import open_writer
from archiver.errors import GiveUpPlanError, GiveUpRunError
from archiver.nightly import ProjectOutcome
from archiver.settings import Settings
from archiver.telling import message_of, tell, tell_of
from archiver.troubles import Trouble, load_untold, mark_told

# Apprise looks for this module of the standard library when it loads its services.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
AWAY = GiveUpRunError("the API is away", stage="list", status=503)


class Told(Nights):
    """Nights after each of which someone is told."""

    def tell(self):
        """Return what is to be told: (what began, what is over), by kind and subject; and note it as told."""
        with self.archive.engine.begin() as connection:
            began, ended = load_untold(connection, ["p1"])
            mark_told(connection, began, ended, self.clock.now())
        return tuple([(one.kind, one.subject) for one in found] for found in (began, ended))

    async def fails(self, **how):
        """Play a night in which the API is away."""
        self.api.list_error = AWAY
        await self.night(**how)
        self.api.list_error = None


@pytest.fixture
def nights(archive):
    return Told(archive)


async def test_a_plan_that_fails_every_night_is_told_once_and_so_is_its_recovery(nights):
    told = []
    for answers in ({}, {"x": refused()}, {"x": refused()}, {"x": refused(), "y": refused()}, {"y": refused()}, {}, {}):
        await nights.night(**answers)
        told.append(nights.tell())

    x, y = ("plan", "x"), ("plan", "y")
    assert told == [([], []), ([x], []), ([], []), ([y], []), ([], [x]), ([], [y]), ([], [])]


async def test_a_failed_night_is_told_once_with_the_gap_it_leaves_and_the_recovery(nights):
    await nights.night()
    told = [nights.tell()]
    for _ in range(3):
        await nights.fails()
        told.append(nights.tell())
    await nights.night()
    told.append(nights.tell())
    await nights.night()
    told.append(nights.tell())

    failed, gap = ("failed", ""), ("gap", "2026-11-19")
    assert told == [([], []), ([failed], []), ([gap], []), ([], []), ([], [failed, gap]), ([], [])]


async def test_a_gap_that_is_over_is_told_once_with_its_nights(nights):
    await nights.night(days=4)
    await nights.night(days=0)
    await nights.night(kind="manual", days=0)

    assert nights.tell() == ([("gap", "2026-11-19")], [])
    [gap] = nights.archive.rows(schema.troubles)
    assert gap["message"] == "3 nights were missed, from 2026-11-19 to 2026-11-21"
    await nights.night(kind="manual")
    assert nights.tell() == ([], [])


async def test_what_nobody_was_told_of_and_is_over_is_not_told_any_more(nights):
    await nights.night()
    await nights.fails(days=0)
    await nights.night(days=0)

    assert nights.tell() == ([], [])


async def test_a_failed_night_ends_no_trouble_of_a_plan(nights):
    await nights.night(x=refused())
    nights.tell()

    await nights.fails()

    assert nights.tell() == ([("failed", "")], [])


async def test_what_was_not_tried_is_one_trouble_however_many_plans(nights):
    no_time = GiveUpPlanError("no time", stage="not_tried")
    await nights.night(x=no_time, y=no_time)

    assert nights.tell() == ([("incomplete", "")], [])


async def test_a_plan_that_was_not_tried_again_is_not_told_as_over(nights):
    await nights.night(x=refused())
    nights.tell()
    await nights.night(x=GiveUpPlanError("not tried: the API gave no answer", stage="not_tried"))

    assert nights.tell() == ([("incomplete", "")], [])


async def test_a_list_that_is_not_whole_is_a_trouble_and_a_watch_notes_none(nights):
    await nights.night(x=refused(), kind="watch", days=0)
    assert nights.tell() == ([], [])
    nights.api.count = 9

    await nights.night()

    assert nights.tell() == ([("incomplete", "")], [])


def trouble(kind="plan", subject="x", message="why", project="p1"):
    return Trouble(f"{project}{kind}{subject}", project, kind, subject, message, None, None, None)


def test_a_message_names_ten_plans_and_pings_nobody():
    began = [trouble(subject=f"plan-{number:02}", message="<!here> @all\nsee http://e.vil") for number in range(12)]

    said = message_of(began, [trouble("failed", "", "away")])

    assert said["title"] == "Release archive: plans not archived (p1)"
    lines = said["markdown"].splitlines()
    assert len(lines) == 12
    assert lines[10:] == ["- p1: and 2 more plans not archived", "- over: p1: nothing was archived: away"]
    assert not any(sign in said["markdown"] for sign in ("<", "@a", "://"))
    assert lines[0].startswith("- p1: plan plan-00 not archived")
    assert "&lt;!here&gt; @all see http" in said["html"]


@pytest.fixture
def sent(sqlite_archive_file, monkeypatch):
    """Return a function that plays a night and tells of it, to the given path of a web server; and that server."""
    nights = Told(sqlite_archive_file)

    async def play(web, path="ok", **answers):
        result = await nights.night(**answers)
        url = f"json://u:hunter2@127.0.0.1:{web.server_address[1]}/{path}"
        settings = Settings(notify_urls=SecretStr(url))
        with structlog.testing.capture_logs() as log:
            outcomes = [ProjectOutcome("p1", result=result)]
            await tell(settings, nights.archive.engine, nights.clock, outcomes)
        assert "hunter2" not in str(log)
        return [entry["event"] for entry in log]

    return play


async def test_a_message_that_no_service_took_is_sent_again_and_one_that_was_taken_is_not(sent):
    with web_server() as web:
        assert await sent(web, "busy", x=refused()) == ["notify.not_delivered"]
        assert await sent(web, x=refused()) == ["notify.sent"]
        assert await sent(web, x=refused()) == []
        assert await sent(web) == ["notify.sent"]

    assert [one["title"] for one in web.taken] == [
        "Release archive: plans not archived (p1)",
        "Release archive: recovered (p1)",
    ]
    assert "p1: plan x not archived: not allowed" in web.taken[0]["message"]


async def test_a_service_that_may_have_it_is_not_told_twice(sent, monkeypatch):
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", 0.5)
    with web_server() as web:
        assert await sent(web, "slow", x=refused()) == ["notify.not_delivered"]
        assert await sent(web, x=refused()) == []


async def test_told_to_stop_it_waits_for_no_service_and_tells_again_what_none_took(sqlite_archive_file):
    nights = Told(sqlite_archive_file)
    outcomes = [ProjectOutcome("p1", result=await nights.night(x=refused()))]
    with web_server() as web:
        hook = f"json://127.0.0.1:{web.server_address[1]}"
        settings = Settings(notify_urls=SecretStr(f"{hook}/slow {hook}/ok"))
        telling = asyncio.create_task(tell(settings, nights.archive.engine, nights.clock, outcomes))
        await asyncio.to_thread(web.was_asked.wait, 20)
        telling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(telling, 5)

    assert web.taken == []
    assert nights.tell() == ([("plan", "x")], [])


async def test_a_database_that_went_away_costs_neither_run_nor_ping(sqlite_archive_file, tmp_path):
    result = await Told(sqlite_archive_file).night()
    away = open_writer(f"sqlite:///{tmp_path / 'other.db'}", "")  # without a table
    with web_server() as web, structlog.testing.capture_logs() as log:
        hook = f"127.0.0.1:{web.server_address[1]}"
        settings = Settings(notify_urls=SecretStr(f"json://{hook}/ok"), ping_url=SecretStr(f"http://{hook}/key"))
        await tell_of(settings, away, ManualClock(FIRST_NIGHT), [ProjectOutcome("p1", result=result)])

    assert web.paths == ["/key"]
    assert [entry["event"] for entry in log] == ["notify.not_sent"]


async def test_a_url_that_can_not_be_used_is_said_and_nothing_more(sqlite_archive_file):
    nights = Told(sqlite_archive_file)
    result = await nights.night(x=refused())
    settings = Settings(notify_urls=SecretStr("jsons://u:hunter2@example.com?verify=no"))

    with structlog.testing.capture_logs() as log:
        await tell(settings, nights.archive.engine, nights.clock, [ProjectOutcome("p1", result=result)])

    assert [entry["event"] for entry in log] == ["notify.not_sent"]
    assert "says verify=no" in log[0]["error"]
