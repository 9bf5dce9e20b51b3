"""The installed program as a process that knows nothing of the checkout."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
IS_WHOLE = os.environ.get("ARCHIVER_TEST_INSTALL") == "whole"
# Where no index answers: whatever still asks one fails at once.
NO_NETWORK = {
    "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
    "PIP_EXTRA_INDEX_URL": "",
    "HTTPS_PROXY": "http://127.0.0.1:1",
}
_OURS = ("ARCHIVER_", "HUAWEICLOUD_", "PYTHON", "COVERAGE", "VIRTUAL_ENV")


def surroundings(**more):
    """Return an environment that knows nothing of the checkout or of the tests' own environment."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | more


def done(command, **options):
    """Run a command that must succeed."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert ended.returncode == 0, f"{command}: {ended.stdout[-2000:]}{ended.stderr[-2000:]}"
    return ended.stdout


@dataclass(frozen=True)
class Program:
    """The installed program."""

    environment: Path

    def run(self, name, *arguments, cwd, **settings):
        """Run `archiver` or `reports`; return exit code, standard output, standard error."""
        variables = {f"ARCHIVER_{key}": value for key, value in settings.items()}
        ended = subprocess.run(
            [self.environment / "bin" / name, *arguments],
            cwd=cwd,
            env=surroundings(**variables),
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stdout, ended.stderr

    def python(self, code, cwd):
        return done([self.environment / "bin" / "python", "-c", code], cwd=cwd, env=surroundings()).strip()
