"""The lease: the right of one process to write one project, or the whole archive, checked in each commit."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, RowMapping, func, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from archiver.errors import ArchiverError, LeaseHeldError, LeaseLostError
from archiver.schema import leases
from archiver.writing import in_transaction, upsert

EXPIRY = timedelta(seconds=90)
HEARTBEAT_SECONDS = 20
ARCHIVE = "archive"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that this process took. Its fence is higher than that of any holder before."""

    name: str
    holder: str
    fence: int

    def confirm(self, connection: Connection) -> None:
        """Prolong the lease within the caller's transaction; LeaseLostError if it is another's by now.

        The row stays locked until the transaction ends, so whoever takes over waits for it: no longer than EXPIRY.
        """
        now = _now_if_alive(connection)
        mine = (
            update(leases)
            .where(leases.c.lease_name == self.name, leases.c.holder == self.holder, leases.c.fence == self.fence)
            .where(leases.c.is_released.is_(False))
            .values(heartbeat_at=now, expires_at=now + EXPIRY)
        )
        if connection.execute(mine).rowcount != 1:
            raise LeaseLostError(f"another process took over {self.name}: this run was stopped for too long")

    def release(self, engine: Engine) -> None:
        """Give the lease back; no matter if it is lost."""
        with engine.begin() as connection:
            self.release_in(connection)

    def release_in(self, connection: Connection) -> None:
        """Give the lease back within the caller's transaction."""
        mine = (
            update(leases)
            .where(leases.c.lease_name == self.name, leases.c.holder == self.holder, leases.c.fence == self.fence)
            .values(is_released=True)
        )
        connection.execute(mine)


@asynccontextmanager
async def kept_alive(engine: Engine, lease: Lease) -> AsyncIterator[None]:
    """Prolong a lease while the work inside goes on, and give it back after."""

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            with suppress(ArchiverError):  # the next commit finds out for itself
                await asyncio.to_thread(in_transaction, engine, lease.confirm)

    heartbeat = asyncio.create_task(beat())
    try:
        yield
    finally:
        heartbeat.cancel()
        with suppress(asyncio.CancelledError):
            await heartbeat
        with suppress(SQLAlchemyError):
            await asyncio.to_thread(lease.release, engine)


def acquire(connection: Connection, name: str) -> Lease:
    """Take a lease (`project:<id>`, or `archive` for all) within the caller's transaction.

    LeaseHeldError while a live process holds it, the whole archive, or (for the whole) any project.
    """
    if connection.dialect.name == "postgresql":
        # Two processes that ask at once are put in order; SQLite's write transaction does that by itself.
        connection.execute(text("LOCK TABLE leases IN SHARE ROW EXCLUSIVE MODE"))
    # What is done alone may take its time.
    now = database_now(connection) if name == ARCHIVE else _now_if_alive(connection)
    rows = connection.execute(select(leases)).mappings().all()
    for row in rows:
        conflicts = name == ARCHIVE or row["lease_name"] in (name, ARCHIVE)
        if conflicts and _is_held(row, now):
            what = row["lease_name"].removeprefix("project:")
            raise LeaseHeldError(
                f"process {row['pid']} on {row['host'].split('/')[0]} is at work on {what}: wait for it to end"
            )
    fence = 1 + max((row["fence"] for row in rows if row["lease_name"] == name), default=0)
    lease = Lease(name, secrets.token_hex(8), fence)
    upsert(
        connection,
        leases,
        [
            {
                "lease_name": name,
                "holder": lease.holder,
                "host": _host(),
                "pid": os.getpid(),
                "process_started": _process_started(os.getpid()),
                "fence": fence,
                "is_released": False,
                "acquired_at": now,
                "heartbeat_at": now,
                "expires_at": now + EXPIRY,
            }
        ],
    )
    return lease


def alone(engine: Engine, work: Callable[[Connection], _T]) -> _T:
    """Do work on the whole archive in one transaction, under its lease: whoever comes meanwhile waits.

    LeaseHeldError if another process is at work, DatabaseError if the database fails; nothing is changed then.
    """

    def leased(connection: Connection) -> _T:
        lease = acquire(connection, ARCHIVE)
        result = work(connection)
        lease.release_in(connection)
        return result

    return in_transaction(engine, leased)


def held(connection: Connection) -> set[str]:
    """Return the names of the leases that live processes hold, as far as can be told from here."""
    now = database_now(connection)
    return {row["lease_name"] for row in connection.execute(select(leases)).mappings() if _is_held(row, now)}


def database_now(connection: Connection) -> datetime:
    """Return the time by the clock that all who share the archive share: the database's."""
    if connection.dialect.name == "postgresql":
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return now.astimezone(UTC)
    return datetime.now(UTC)


def _now_if_alive(connection: Connection) -> datetime:
    """Return the database's time, and let it end the transaction if nothing is heard of this process for EXPIRY.

    Of one that was stopped, or whose host is gone, a transaction would keep its locks for hours, and with the
    table of leases every other process: the server learns of a host's end only by TCP.
    """
    if connection.dialect.name != "postgresql":
        return database_now(connection)
    patience = func.set_config("idle_in_transaction_session_timeout", f"{EXPIRY.total_seconds():.0f}s", True)
    now: datetime = connection.execute(select(func.clock_timestamp(), patience)).scalar_one()
    return now.astimezone(UTC)


def _is_held(row: RowMapping, now: datetime) -> bool:
    if row["is_released"] or row["expires_at"] <= now:
        return False
    # A holder that died on this very host is known dead at once.
    return bool(row["host"] != _host() or _process_started(row["pid"]) == row["process_started"])


def _host() -> str:
    """Name the place where process numbers mean the same: host, boot, and container."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        pass
    return "/".join(parts)


def _process_started(pid: int) -> str:
    """Tell one process from a later one with its number; '' if it is dead, 'alive' where no more is known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "alive"
