"""The demo: the whole story in one command, told once."""

import asyncio
import hashlib

import pytest
from sqlalchemy import select

from archiver import demo, schema
from archiver.archive import open_reader
from archiver.clock import SystemClock
from archiver.nightly import archive_all as really_archive_all


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    """Shorten the story to a week, and keep its log out of what the other tests say."""
    monkeypatch.setattr(demo, "WEEKS", 1)
    monkeypatch.setattr(demo, "configure", lambda *_: None)


def facts(path):
    """Return all that is archived, apart from the names that runs have by chance."""
    by_chance = {"run_id", "gone_run_id", "run_key", "status_change_key"}
    with open_reader(f"sqlite:///{path}", "").connect() as connection:
        return {
            table.name: [
                {name: value for name, value in row.items() if name not in by_chance}
                for row in connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
            ]
            for table in (
                schema.plans,
                schema.components,
                schema.component_labels,
                schema.job_attempts,
                schema.rollbacks,
                schema.snapshots,
            )
        }


def test_the_demo_archives_its_nights_and_writes_the_report(tmp_path):
    said = list(demo.run_demo(tmp_path / "demo"))

    (archive,) = (tmp_path / "demo").glob("archive-*.db")
    week = archive.stem.removeprefix("archive-")
    assert archive.stat().st_mode & 0o777 == 0o600
    for suffix in ("html", "md", "json"):
        assert (tmp_path / "demo" / "report" / f"weekly-{week}.{suffix}").stat().st_size > 0
    assert any(str(archive) in line for line in said)
    assert any(f"weekly-{week}.html" in line for line in said)
    with open_reader(f"sqlite:///{archive}", "").connect() as connection:
        nights = connection.execute(select(schema.nights)).mappings().all()
        assert [row["state"] for row in nights] == ["done"] * 14
        teams = set(connection.execute(select(schema.component_labels.c.team)).scalars())
    assert {"storefront", "payments"} <= teams

    before = hashlib.sha256(archive.read_bytes()).hexdigest()
    again = list(demo.run_demo(tmp_path / "demo"))

    assert "nothing to archive" in again[0]
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == before
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [
        "archive-" + week + ".db",
        "archiver.toml",
        "labels.toml",
        "report",
    ]


def test_a_demo_that_was_stopped_goes_on_where_it_was(tmp_path, monkeypatch):
    ends_at = demo.last_monday(SystemClock().now())
    (labels := tmp_path / "labels.toml").write_text(demo._LABELS, "utf-8")
    stopped, whole = tmp_path / "stopped.db", tmp_path / "whole.db"
    calls = 0

    async def stop_at_the_fourth(*args, **options):
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return await really_archive_all(*args, **options)

    monkeypatch.setattr(demo, "archive_all", stop_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(demo.archive_nights(f"sqlite:///{stopped}", ends_at, labels))
    assert asyncio.run(demo.archive_nights(f"sqlite:///{stopped}", ends_at, labels)) == 4
    monkeypatch.undo()
    monkeypatch.setattr(demo, "WEEKS", 1)
    assert asyncio.run(demo.archive_nights(f"sqlite:///{whole}", ends_at, labels)) == 7

    assert facts(stopped) == facts(whole)


def test_a_demo_that_was_stopped_before_its_tables_were_made_begins_anew(tmp_path):
    ends_at = demo.last_monday(SystemClock().now())
    (tmp_path / "archive.db").touch()

    assert not demo._is_finished(f"sqlite:///{tmp_path / 'archive.db'}", ends_at.date())
