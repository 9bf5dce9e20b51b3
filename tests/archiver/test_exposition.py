"""Metrics for Prometheus: read by its own parser, and equal to what the archive holds."""

import socket
import stat
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fakes import refused
from played import FIRST_NIGHT, Nights
from prometheus_client.parser import text_string_to_metric_families as parsed

from archiver import listening as listening_module
from archiver.clock import ManualClock
from archiver.errors import ArchiverError, SettingsError
from archiver.listening import listen_address, listening
from archiver.metrics import Metric, exposition, load_metrics, write_textfile
from archiver.schedule import ScheduleCounts
from archiver.settings import Settings, load_settings


def samples(text):
    """Read an exposition; return value by name and labels."""
    return {(one.name, *sorted(one.labels.items())): one.value for family in parsed(text) for one in family.samples}


async def test_every_figure_is_that_of_the_archive(archive):
    nights = Nights(archive)
    for answers in ({}, {"x": refused()}, {"x": refused()}, {"x": refused()}):
        await nights.night(**answers)
    ended_at = nights.clock.now() - timedelta(days=1)
    settings = Settings(database_url=archive.url, project_id="p1,p2")

    text = exposition(load_metrics(settings, archive.engine, nights.clock.now()))

    found = samples(text)
    p1 = ("project_id", "p1")
    assert found["archiver_last_saved_timestamp_seconds", p1] == ended_at.timestamp()
    assert found["archiver_last_complete_timestamp_seconds", p1] == FIRST_NIGHT.timestamp()
    outcome = {key[1][1]: value for key, value in found.items() if key[0] == "archiver_last_run_outcome"}
    assert outcome == {"complete": 0, "partial": 1, "failed": 0, "interrupted": 0, "running": 0}
    plans = {key[-1][1]: value for key, value in found.items() if key[0] == "archiver_last_run_plans"}
    assert (plans["listed"], plans["fetched"], plans["failed"]) == (3, 2, 1)
    states = {key[-1][1]: value for key, value in found.items() if key[0] == "archiver_nights" and p1 in key}
    assert states == {"done": 1, "partial": 3, "missed": 0, "due": 1}
    assert (found["archiver_known_failures", p1], found["archiver_held_plans", p1]) == (1, 3)
    assert ("archiver_last_saved_timestamp_seconds", ("project_id", "p2")) not in found
    families = list(parsed(text))
    assert all(family.documentation and family.type == "gauge" for family in families)
    assert len({family.name for family in families}) == len(families)


def test_labels_are_escaped_and_a_metric_without_samples_is_left_out():
    odd = 'a"b\\c\nd'

    text = exposition([Metric("m_bytes", "gauge", "About.", [({"project_id": odd}, 1)]), Metric("n", "gauge", "None.")])

    assert samples(text) == {("m_bytes", ("project_id", odd)): 1}


def test_a_textfile_is_whole_and_readable_by_all_and_leaves_nothing_beside_it(tmp_path):
    file = tmp_path / "archiver.prom"
    file.write_text("old")

    write_textfile(file, "m 1\n")

    assert file.read_text() == "m 1\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(ArchiverError, match=r"can't write .*/missing/x\.prom"):
        write_textfile(tmp_path / "missing" / "x.prom", "m 1\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArchiverError, match="can't write"):
        write_textfile(tmp_path / "folder", "m 1\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archiver.prom", "folder"]


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("9464", "no address"),
        ("127.0.0.1:x", "no address"),
        ("127.0.0.1:70000", "no address"),
        ("0.0.0.0:1", "loopback"),
    ],
)
def test_an_address_past_this_machine_is_refused(value, word):
    with pytest.raises(SettingsError, match=word):
        listen_address(value)
    assert listen_address("[::1]:9464") == ("::1", 9464)


async def ask(port, path):
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.get(f"http://127.0.0.1:{port}{path}")


async def test_a_scheduler_answers_on_loopback_and_says_when_a_look_failed(sqlite_archive_file, monkeypatch):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", sqlite_archive_file.url)
    await Nights(sqlite_archive_file).night()
    clock, counts = ManualClock(FIRST_NIGHT), ScheduleCounts(ticks=7, errors=2, last_ended_at=FIRST_NIGHT)
    counts.alarm.misfires = 1

    async with listening("127.0.0.1:0", None, clock, counts) as port:
        answer = await ask(port, "/metrics")
        found = samples(answer.text)
        well = await ask(port, "/healthz")
        counts.has_failed_last = True
        unwell = await ask(port, "/healthz")
        assert (await ask(port, "/")).status_code == 404

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert found["archiver_database_up",] == 1
    assert found["archiver_held_plans", ("project_id", "p1")] == 3
    schedule = {name: found[f"archiver_schedule_{name}",] for name in ("looks_total", "errors_total", "misfires_total")}
    assert schedule == {"looks_total": 7, "errors_total": 2, "misfires_total": 1}
    assert found["archiver_schedule_last_look_timestamp_seconds",] == FIRST_NIGHT.timestamp()
    assert found["archiver_next_night_timestamp_seconds",] == (FIRST_NIGHT + timedelta(days=1)).timestamp()
    assert (well.status_code, well.json()) == (200, {"is_well": True, "looks": 7, "errors": 2})
    assert unwell.status_code == 503


async def test_an_archive_that_does_not_answer_is_a_metric_too_and_is_asked_once_a_minute(monkeypatch, tmp_path):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")
    asked = []
    monkeypatch.setattr(listening_module, "load_settings", lambda config: asked.append(config) or load_settings(config))

    async with listening("127.0.0.1:0", None, ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), ScheduleCounts()) as port:
        texts = [(await ask(port, "/metrics")).text for _ in range(2)]

    assert [samples(text)["archiver_database_up",] for text in texts] == [0, 0]
    assert len(asked) == 1


async def test_a_port_that_is_taken_is_said():
    clock, counts = ManualClock(FIRST_NIGHT), ScheduleCounts()
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SettingsError, match="can't listen on"):
        await listening(f"127.0.0.1:{taken.getsockname()[1]}", None, clock, counts).__aenter__()
