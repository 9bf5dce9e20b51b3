"""The lease: one process at a time, told by the database's clock, checked in each commit."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from sqlalchemy import update

from archiver import schema
from archiver.errors import LeaseHeldError, LeaseLostError
from archiver.lease import ARCHIVE, EXPIRY, acquire, database_now
from archiver.writing import in_transaction

_HOLD = """
import sys
from archiver.database import open_writer
from archiver.lease import acquire
with open_writer(sys.argv[1], "release_archive").begin() as connection:
    acquire(connection, sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


def take(archive, name="project:p1"):
    with archive.engine.begin() as connection:
        return acquire(connection, name)


def change(archive, **values):
    with archive.engine.begin() as connection:
        connection.execute(update(schema.leases).values(**values))


@pytest.fixture
def other_process(archive):
    """Start another process that holds a lease until it is ended."""
    started = []

    def start(name="project:p1"):
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLD, archive.url, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_of_two_that_ask_at_once_one_gets_it(archive):
    together = threading.Barrier(4)

    def ask(_):
        together.wait()
        try:
            return take(archive)
        except LeaseHeldError:
            return None

    with ThreadPoolExecutor(4) as pool:
        got = [lease for lease in pool.map(ask, range(4)) if lease is not None]

    assert len(got) == 1
    assert [row["holder"] for row in archive.rows(schema.leases)] == [got[0].holder]


def test_a_lease_is_held_against_another_process_and_taken_over_once_it_is_dead(archive, other_process):
    process = other_process()
    with pytest.raises(LeaseHeldError, match=f"process {process.pid} .* p1"):
        take(archive)

    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    assert take(archive).fence == 2


def test_a_lease_given_back_can_be_taken_at_once(archive):
    take(archive).release(archive.engine)

    assert take(archive).fence == 2


def test_a_lease_of_another_host_is_taken_over_when_it_expires_and_not_before(archive):
    take(archive)
    change(archive, host="elsewhere", process_started="1")
    with pytest.raises(LeaseHeldError, match="elsewhere"):
        take(archive)

    with archive.engine.connect() as connection:
        now = database_now(connection)
    change(archive, expires_at=now - timedelta(milliseconds=1))

    assert take(archive).fence == 2


def test_a_process_number_used_anew_is_not_the_holder(archive):
    take(archive)
    change(archive, process_started="1")

    assert take(archive).fence == 2


def test_a_lease_runs_by_the_databases_clock(archive):
    take(archive)

    (row,) = archive.rows(schema.leases)
    with archive.engine.connect() as connection:
        now = database_now(connection)
    assert row["expires_at"] - row["acquired_at"] == EXPIRY
    assert timedelta(0) <= now - row["acquired_at"] < timedelta(seconds=30)


def test_confirming_prolongs_and_a_lease_taken_over_is_lost(archive):
    lease = take(archive)
    change(archive, expires_at=archive.rows(schema.leases)[0]["acquired_at"] - EXPIRY)
    with archive.engine.begin() as connection:
        lease.confirm(connection)
    prolonged = archive.rows(schema.leases)[0]

    change(archive, host="elsewhere", expires_at=prolonged["acquired_at"] - EXPIRY)
    second = take(archive)

    assert prolonged["expires_at"] > prolonged["acquired_at"]
    with pytest.raises(LeaseLostError, match="took over project:p1"), archive.engine.begin() as connection:
        lease.confirm(connection)
    lease.release(archive.engine)
    with archive.engine.begin() as connection:
        second.confirm(connection)


def test_a_commit_under_way_keeps_others_from_taking_over(archive):
    lease = take(archive)
    change(archive, host="elsewhere", expires_at=archive.rows(schema.leases)[0]["acquired_at"] - EXPIRY)
    order = []

    def take_over():
        try:
            take(archive)
        except LeaseHeldError:
            order.append("refused")
        else:
            order.append("taken over")

    other = threading.Thread(target=take_over)
    with archive.engine.begin() as connection:
        lease.confirm(connection)
        other.start()
        other.join(0.05)
        order.append("committed")
    other.join()

    # Confirmed, it had not expired after all.
    assert order == ["committed", "refused"]


@pytest.mark.parametrize("archive", ["postgresql"], indirect=True)
def test_a_process_stopped_within_a_commit_keeps_the_others_waiting_no_longer_than_its_lease(archive, monkeypatch):
    monkeypatch.setattr("archiver.lease.EXPIRY", timedelta(seconds=1))
    mine, others = take(archive), take(archive, "project:p2")
    with archive.engine.connect() as stopped:
        stopped.begin()
        mine.confirm(stopped)

        with ThreadPoolExecutor(2) as pool:
            newcomer = pool.submit(take, archive, "project:p3")
            heartbeat = pool.submit(in_transaction, archive.engine, others.confirm)
            done = wait([newcomer, heartbeat], timeout=20).done
            stopped.invalidate()

    assert len(done) == 2
    assert (newcomer.result().fence, heartbeat.result()) == (1, None)


@pytest.mark.parametrize("archive", ["postgresql"], indirect=True)
def test_who_was_stopped_within_a_commit_does_it_again_if_its_lease_is_still_its_own(archive, monkeypatch):
    monkeypatch.setattr("archiver.lease.EXPIRY", timedelta(seconds=1))
    lease = take(archive)

    def stopped_once():
        naps = [1.5, 0.0]

        def commit(connection):
            lease.confirm(connection)
            time.sleep(naps.pop(0))
            lease.confirm(connection)

        return commit

    in_transaction(archive.engine, stopped_once())

    change(archive, host="elsewhere", expires_at=archive.rows(schema.leases)[0]["acquired_at"])
    assert take(archive).fence == 2
    with pytest.raises(LeaseLostError):
        in_transaction(archive.engine, stopped_once())


@pytest.mark.parametrize(("first", "second"), [(ARCHIVE, "project:p1"), ("project:p1", ARCHIVE), (ARCHIVE, ARCHIVE)])
def test_the_whole_archive_and_its_projects_exclude_each_other(archive, first, second):
    lease = take(archive, first)
    with pytest.raises(LeaseHeldError, match=first.removeprefix("project:")):
        take(archive, second)

    lease.release(archive.engine)

    take(archive, second)


def test_two_projects_are_leased_side_by_side(archive):
    take(archive, "project:p1")
    take(archive, "project:p2")

    assert [row["lease_name"] for row in archive.rows(schema.leases)] == ["project:p1", "project:p2"]
