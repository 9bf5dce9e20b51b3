"""The program at work on an archive: here in this process where that serves, as a process where a fault needs one."""

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from checker import facts, problems, rows_of, still_rows
from pydantic import SecretStr
from upstream import PROJECT, Upstream

from archiver.archive import open_archive
from archiver.clock import SystemClock
from archiver.database import open_writer
from archiver.migrate import upgrade
from archiver.nightly import archive_all, exit_code
from archiver.settings import Settings

_ROOT = Path(__file__).parents[2]
_DOOMED = Path(__file__).with_name("doomed.py")
KILLED = -9
PROGRAM_SECONDS = 120  # a run that takes longer hangs


@dataclass
class Ran:
    """How a run in this process went."""

    code: int
    result: object
    error: Exception | None


@dataclass
class Case:
    """One archive and the upstream it is made from."""

    url: str
    upstream: Upstream
    folder: Path
    clock: object = field(default_factory=SystemClock)
    earlier: frozenset = frozenset()

    def turn_to(self, night):
        """Show another night from now on; the runs so far saw the one before."""
        self.earlier = frozenset(row["run_id"] for row in rows_of(self.url, "SELECT run_id FROM runs"))
        self.upstream.show(night)
        return self

    def migrate(self):
        """Make the tables, where there are none."""
        engine = open_writer(self.url, "release_archive")
        upgrade(engine, self.url, "release_archive")
        engine.dispose()

    def run_here(self, base_url=None, **settings):
        """Archive once in this process; against a server of its own, unless one is named."""
        if base_url is None:
            with self.upstream.serving() as own_url:
                return self.run_here(own_url, **settings)
        return asyncio.run(self._run(base_url, settings))

    async def _run(self, base_url, settings):
        if not {"iam_user", "access_key"} & settings.keys():
            settings = {"token": "any-token"} | settings
        secrets = ("token", "iam_user", "iam_password", "iam_domain", "access_key", "secret_key")
        values = {name: SecretStr(value) if name in secrets else value for name, value in settings.items()}
        read = Settings.model_construct(
            database_url=SecretStr(self.url),
            endpoint=base_url,
            iam_endpoint=base_url,
            project_id=PROJECT,
            requests_per_second=0,
            **values,
        )
        engine, revision = open_archive(read)
        try:
            outcomes = await archive_all(read, engine, revision, self.clock, kind="scheduled")
        finally:
            engine.dispose()
        return Ran(exit_code(outcomes), outcomes[0].result, outcomes[0].error)

    def start(self, base_url, *command, doom=None, save_plans=None, limit=None, **settings):
        """Start the real program. `doom` is when it kills itself (see doomed.py), `limit` runs in the child first."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ARCHIVER_")}
        environment |= {
            "PYTHONPATH": str(_ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "ARCHIVER_DATABASE_URL": self.url,
            "ARCHIVER_ENDPOINT": base_url,
            "ARCHIVER_PROJECT_ID": PROJECT,
            "ARCHIVER_TOKEN": "any-token",
            "ARCHIVER_REQUESTS_PER_SECOND": "0",
            "ARCHIVER_RETRY_SECONDS": "5",
            **{f"ARCHIVER_{name.upper()}": str(value) for name, value in settings.items()},
        }
        program = ["-m", "archiver"]
        if doom is not None or save_plans is not None:
            program = [str(_DOOMED)]
            environment["FAULT_COUNTS"] = str(self.folder / "counts.json")
            if doom is not None:
                environment["FAULT_DIE"] = doom
            if save_plans is not None:
                environment["FAULT_SAVE_PLANS"] = str(save_plans)
        return subprocess.Popen(
            [sys.executable, *program, *(command or ("run",))],
            env=environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit,  # noqa: PLW1509 - sets a resource limit and nothing else
        )

    def run(self, base_url, *command, **how):
        """Run the real program to its end; return (exit code, standard output, standard error)."""
        return finish(self.start(base_url, *command, **how))

    def problems(self, **how):
        """Have the checker read the archive as it stands."""
        return problems(self.url, self.upstream, project_id=PROJECT, earlier=self.earlier, **how)

    def facts(self):
        return facts(self.url)

    def losses(self, flawless, *, bodies=None, last_run_id=None):
        """End the fault, run twice, and list what is lost, double, torn or silent against an archive without faults.

        The checker reads before the recovery, after it, and after one more run, which must not change a row.
        `bodies`, `last_run_id`: what the upstream told during the fault, and which run met it, where that is not plain.
        """
        told = self.problems(bodies=bodies, last_run_id=last_run_id)
        found = [f"after the fault: {problem}" for problem in told]
        self.upstream.strike = lambda _call: None
        self.upstream.count = None
        again = self.run_here()
        run_id = again.result.run_id if again.result else None
        told = self.problems(is_recovered=True, last_run_id=run_id)
        found += [f"after recovery: {problem}" for problem in told]
        if again.code != 0:
            found.append(f"the recovery run exits {again.code}: {again.error or again.result.error}")
        settled = still_rows(self.url)
        once_more = self.run_here().result
        told = self.problems(is_recovered=True, last_run_id=once_more.run_id if once_more else None)
        found += [f"after one more run: {problem}" for problem in told]
        found += [f"one more run changed a row: {line}" for line in difference(settled, still_rows(self.url))]
        return found + [f"other than without faults: {line}" for line in difference(flawless, self.facts())]


def difference(expected, found):
    """Tell how the rows of tables differ, a line each, a few lines a table."""
    for table, rows in expected.items():
        missing, more = set(rows) - set(found[table]), set(found[table]) - set(rows)
        yield from (f"{table} lacks {row[:400]}" for row in sorted(missing)[:3])
        yield from (f"{table} has {row[:400]}" for row in sorted(more)[:3])
        if not missing and not more and len(rows) != len(found[table]):
            yield f"{table} has {len(found[table])} rows instead of {len(rows)}"


def finish(process):
    """Wait for a program's end; return (exit code, standard output, standard error)."""
    try:
        out, err = process.communicate(timeout=PROGRAM_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, err
