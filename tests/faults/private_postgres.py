"""A PostgreSQL cluster of one's own: for root and for anyone, on a free port, gone without a trace afterwards."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_IS_REQUIRED = os.environ.get("ARCHIVER_TEST_REQUIRE_POSTGRES", "") not in ("", "0")
# A cluster for tests: a crash of the machine may eat it, and its log is written in pieces of 1 MB.
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "log_min_messages": "warning",
}


def binaries():
    """Find the folder of initdb and pg_ctl; skip the test, or fail it where PostgreSQL is required."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))[::-1]
    folders += [Path(place) for place in ("/usr/local/pgsql/bin", "/opt/homebrew/bin")]
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    answer = pytest.fail if _IS_REQUIRED else pytest.skip
    return answer("no PostgreSQL binaries (initdb, pg_ctl): install the server's package to stop and fill one")


def _someone():
    """Return whom the server runs as: it refuses to be root's."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return pytest.fail("neither a user postgres nor nobody: the server can't run as root")


@dataclass
class PrivateCluster:
    """A running cluster; `stop`, `start` and `restart` as often as one likes."""

    folder: Path
    bin: Path
    port: int
    someone: dict

    @classmethod
    @contextmanager
    def started(cls):
        """Make a cluster, start it, and take it away at the end."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        folder = Path(tempfile.mkdtemp(prefix="archiver-postgres-"))
        own = cls(folder, binaries(), port, _someone())
        if own.someone:
            os.chown(folder, own.someone["user"], own.someone["group"])
        try:
            own._call(
                "initdb",
                "-D",
                own.data,
                "-U",
                "postgres",
                "--auth=trust",
                "--no-sync",
                "--wal-segsize=1",
                "-E",
                "UTF8",
                "--locale=C",
            )
            own.start()
            yield own
        finally:
            own.stop("immediate", check=False)
            shutil.rmtree(folder)

    @property
    def data(self):
        return str(self.folder / "data")

    @property
    def url(self):
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def start(self):
        options = " ".join(f"-c {name}={value}" for name, value in _OPTIONS.items())
        options += f" -p {self.port} -k {self.folder}"
        self._call("pg_ctl", "-D", self.data, "-o", options, "-l", str(self.folder / "log"), "-w", "-t", "60", "start")

    def stop(self, mode, *, check=True):
        self._call("pg_ctl", "-D", self.data, "-m", mode, "-w", "-t", "60", "stop", check=check)

    def restart(self, mode):
        """Stop it (`fast` rolls back what is open, `immediate` is a crash) and start it again."""
        self.stop(mode)
        self.start()

    def limit_files(self, size_bytes):
        """Let no file grow beyond a size, for connections made from now on; None lifts the limit."""
        postmaster = (self.folder / "data" / "postmaster.pid").read_text().splitlines()[0]
        most = "unlimited" if size_bytes is None else size_bytes
        # As the server's own user: even root may lack the right to limit another's process.
        limit = shutil.which("prlimit") or "prlimit"
        subprocess.run([limit, "--pid", postmaster, f"--fsize={most}:"], check=True, **self.someone)

    def _call(self, program, *arguments, check=True):
        done = subprocess.run(
            [self.bin / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.STDOUT,
            cwd=self.folder,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
            **self.someone,
        )
        if check and done.returncode != 0:
            log = self.folder / "log"
            words = done.stdout.decode() if done.stdout else log.read_text()[-2000:] if log.exists() else ""
            raise RuntimeError(f"{program} failed ({done.returncode}): {words}")
