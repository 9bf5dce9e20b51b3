"""Whatever the program makes is its owner's alone: files 0600, folders 0700, under any umask."""

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archiver import demo
from archiver.database import open_writer
from archiver.files import make_folder, write_file
from archiver.simulator import Simulator, build_history, running

ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
HISTORY = build_history(7, ends_at=ENDS_AT, weeks=1, projects=1, plans_per_week=4)
LOUD = Path(__file__).with_name("loud.py")


def modes(folder):
    """Return the mode of everything below a folder, by its path."""
    return {str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode) for path in folder.rglob("*")}


def too_wide(found, folder):
    return {name: oct(mode) for name, mode in found.items() if mode != (0o700 if (folder / name).is_dir() else 0o600)}


@pytest.fixture
def umask(request):
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_every_file_and_folder_is_its_owners_alone(mask, tmp_path):
    """Archive, copy, tables, reports and site."""
    work = tmp_path / "work"
    work.mkdir()
    weekly = ["reports", "weekly", "--week", "2026-W47", "--issue", "--out"]
    commands = [
        ["archiver", "run"],
        ["archiver", "run", "--full"],
        ["archiver", "backup", "copy.db"],
        [*weekly, "a/new/folder"],
        ["reports", "failure-rates", "--format", "csv", "--output", "tables/rates.csv"],
        ["reports", "failure-rates", "--format", "parquet", "--output", "tables/rates.parquet"],
        ["reports", "site", "site"],
        ["reports", "dictionary", "--output", "metrics.md"],
    ]
    with running(Simulator(HISTORY, now=lambda: ENDS_AT)) as endpoint:
        settings = {
            "ARCHIVER_ENDPOINT": endpoint,
            "ARCHIVER_PROJECT_ID": HISTORY.project_ids[0],
            "ARCHIVER_TOKEN": "any",
        }
        done = subprocess.run(
            [sys.executable, str(LOUD)],
            cwd=work,
            umask=mask,
            input=json.dumps([{"command": command, "settings": settings} for command in commands]).encode(),
            capture_output=True,
            check=True,
        )

    assert json.loads(done.stdout.splitlines()[-1]) == [0] * len(commands)
    found = modes(work)
    assert {"copy.db", "a/new/folder", "tables/rates.parquet", "site/index.html", "metrics.md"} <= found.keys()
    assert too_wide(found, work) == {}


@pytest.mark.parametrize("umask", [0o000, 0o022], indirect=True)
def test_the_log_beside_an_archive_is_its_owners_alone(umask, tmp_path):
    engine = open_writer(f"sqlite:///{tmp_path / 'archive.db'}", "")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
        found = modes(tmp_path)

    assert found == dict.fromkeys(("archive.db", "archive.db-wal", "archive.db-shm"), 0o600)


@pytest.mark.parametrize("umask", [0o000], indirect=True)
def test_the_demo_is_its_owners_alone(umask, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "WEEKS", 1)
    monkeypatch.setattr(demo, "configure", lambda *_: None)

    list(demo.run_demo(tmp_path / "new" / "demo"))

    assert {"new/demo/archiver.toml", "new/demo/report"} <= modes(tmp_path).keys()
    assert too_wide(modes(tmp_path), tmp_path) == {}


@pytest.mark.parametrize("umask", [0o000], indirect=True)
def test_a_file_that_is_replaced_keeps_its_mode_and_a_folder_that_is_there_its_own(umask, tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    (folder / "page.html").write_text("old")
    (folder / "page.html").chmod(0o644)

    make_folder(folder)
    write_file(folder / "page.html", b"new")

    assert (folder / "page.html").read_bytes() == b"new"
    assert modes(tmp_path) == {"shared": 0o755, "shared/page.html": 0o644}


def test_a_link_that_another_laid_in_the_way_is_not_followed(tmp_path):
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / ".page.html.part").symlink_to(tmp_path / "theirs")

    write_file(tmp_path / "page.html", b"new")

    assert (tmp_path / "theirs").read_text() == "precious"
    assert not (tmp_path / "page.html").is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "theirs"]


def test_a_folder_that_can_not_be_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError, match=r"exists|Not a directory"):
        make_folder(tmp_path / "file")
    with pytest.raises(OSError, match="Not a directory"):
        make_folder(tmp_path / "file" / "below")
