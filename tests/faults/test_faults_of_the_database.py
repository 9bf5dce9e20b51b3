"""A database that fills up or is restarted while a run writes: what was committed stays, and the next run ends it.

PostgreSQL is a private cluster here: no other test's database is stopped or filled.
"""

import os
import resource
import subprocess
import threading
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from program import Case
from upstream import Upstream, delay, story

from archiver.database import open_writer
from archiver.migrate import upgrade

SAVE_PLANS = 4
KNOWN_CODES = (0, 1, 3)


@pytest.fixture(scope="module")
def large_nights():
    """Return two nights whose bodies do not fit into a megabyte."""
    return story(datetime.now(UTC), message_bytes=100_000)


@pytest.fixture(scope="module")
def large_facts(large_nights, tmp_path_factory):
    """Return the facts of an archive of both nights that met no fault."""
    folder = tmp_path_factory.mktemp("large")
    case = Case(f"sqlite:///{folder / 'archive.db'}", Upstream().show(large_nights.first_night), folder)
    assert case.run_here().code == 0
    assert case.turn_to(large_nights.second_night).run_here().code == 0
    return case.facts()


def first_night(url, folder, nights):
    """Archive the first night into a new archive; return the case, which shows the second."""
    case = Case(url, Upstream().show(nights.first_night), folder)
    case.migrate()
    assert case.run_here().code == 0
    return case.turn_to(nights.second_night)


def run_the_program(case, **how):
    """Run it once; it must end by one of the codes that stand for a known course, without a traceback."""
    with case.upstream.serving() as base_url:
        code, out, err = case.run(base_url, save_plans=SAVE_PLANS, **how)
    assert code in KNOWN_CODES, (code, out, err)
    assert "Traceback" not in err
    return code, err


@pytest.mark.parametrize("most_kilobytes", [64, 200, 500, 900])
def test_an_sqlite_file_that_may_not_grow_any_more_loses_nothing(tmp_path, large_nights, large_facts, most_kilobytes):
    """Its write-ahead log is what grows first."""
    case = first_night(f"sqlite:///{tmp_path / 'archive.db'}", tmp_path, large_nights)

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_kilobytes * 1024, resource.RLIM_INFINITY))

    code, err = run_the_program(case, limit=limit)

    assert code in (1, 3), err
    assert "database" in err
    assert case.losses(large_facts) == []


@contextmanager
def small_file_system(folder, size):
    """Mount a file system of a size; skip where this process may not."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no right to mount a small file system here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("spare_kilobytes", [200, 600, 1_500])
def test_a_disk_that_is_full_under_sqlite_loses_nothing(tmp_path, large_nights, large_facts, spare_kilobytes):
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_file_system(folder, "32m"):
        case = first_night(f"sqlite:///{folder / 'archive.db'}", tmp_path, large_nights)
        room = os.statvfs(folder)
        ballast = room.f_bavail * room.f_frsize - spare_kilobytes * 1024
        (folder / "ballast").write_bytes(b"x" * ballast)

        code, err = run_the_program(case)

        (folder / "ballast").unlink()
        assert code in (1, 3), err
        assert "database" in err
        assert case.losses(large_facts) == []


@pytest.mark.parametrize("more_kilobytes", [100, 600])
def test_a_disk_that_is_full_under_postgresql_loses_nothing(
    cluster, tmp_path, large_nights, large_facts, more_kilobytes
):
    """The server's files may not grow, but for its log of 1 MB a piece."""
    case = first_night(cluster.url, tmp_path, large_nights)
    largest = max(path.stat().st_size for path in (cluster.folder / "data" / "base").rglob("*"))
    cluster.limit_files(max(largest + more_kilobytes * 1024, 2**20 + 8192))

    code, err = run_the_program(case)

    cluster.limit_files(None)
    assert code in (1, 3), err
    assert "database" in err
    assert case.losses(large_facts) == []


@pytest.mark.parametrize("mode", ["fast", "immediate"])
@pytest.mark.parametrize("number", [2, 9, 20])
def test_a_database_restarted_during_a_run_loses_nothing(cluster, tmp_path, nights, flawless, mode, number):
    """While the server restarts, the API goes on answering: commits meet a server that is away, or just back."""
    case = first_night(cluster.url, tmp_path, nights)
    restarting = threading.Thread(target=cluster.restart, args=(mode,))

    def strike(call):
        if call.number == number:
            restarting.start()
        return delay(call.good, 0.1)

    case.upstream.strike = strike
    code, err = run_the_program(case)
    restarting.join()

    assert case.losses(flawless[2]) == []
    if number > 1:
        assert code in (0, 1), err


def test_a_database_that_stays_away_fails_the_run_in_one_line(cluster, tmp_path, nights, flawless):
    case = first_night(cluster.url, tmp_path, nights)
    cluster.stop("fast")

    code, err = run_the_program(case)

    assert code == 3
    assert len(err.splitlines()) == 1
    cluster.start()
    assert case.losses(flawless[2]) == []


def test_the_private_cluster_holds_an_archive_as_any_server_does(cluster):
    engine = open_writer(cluster.url, "release_archive")
    assert upgrade(engine, cluster.url, "release_archive")[0] is None
    engine.dispose()
