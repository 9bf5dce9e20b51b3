"""The commands that the documents tell to type, which of them are not run here and why, and what stands in for what.

What they print is not compared: only that they do what they are there for, and end with 0.
"""

import re
from dataclasses import dataclass

from fenced import Block, blocks

# By how a command begins. Each must be in a document, so that none stays here when it has gone there.
NOT_RUN = {
    "make demo": "it installs from a package index; .ci/run runs it, twice, from a clean clone",
    "make test": "it is what runs the tests; .ci/run runs it from a clean clone",
    "make setup": "it installs from a package index; .ci/run runs make setup-test from a clean clone",
    "python3 -m venv /opt/": "it writes outside the test's folder; make test-install installs in an empty place",
    "/opt/release-archiver/": "likewise",
    "datasette --immutable": "it stays up; test_datasette starts one and asks it everything",
    "dask scheduler": "it stays up; tests/scale starts a cluster",
    "dask worker": "likewise",
    "reports weekly --engine dask --scheduler": "it asks that cluster",
}
# What of a command is another on this machine: what stands in braces are the test's.
STANDS_FOR = {
    "0123456789abcdef0123456789abcdef": "{project}",  # a project of the simulated ServiceStage
    "/run/secrets/": "{secrets}/",  # the files of its access key
    "/data/releases": "{folder}/releases",
    "postgresql://ana@db.example.com/releases": "{postgresql}",
    "docs/datasette.yaml": "{docs}/datasette.yaml",
}
_COMMAND = re.compile(r"^\$ (.*\n(?:[ \t]+.*\n)*)", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """One command of a block; lines that are indented go on with it."""

    block: Block
    text: str

    @property
    def reason(self) -> str | None:
        """Why it is not run; None for one that is."""
        return next((reason for begin, reason in NOT_RUN.items() if self.text.startswith(begin)), None)

    def here(self, **places: str) -> str:
        """Return it as it is run."""
        return here(self.text, **places)


def here(text: str, **places: str) -> str:
    """Return what is to be typed as it is run on this machine."""
    for said, meant in STANDS_FOR.items():
        if said in text:
            text = text.replace(said, meant.format(**places))
    return text


def commands_of(block: Block) -> list[Command]:
    """Return a console block's commands."""
    return [Command(block, match[1].rstrip("\n")) for match in _COMMAND.finditer(block.text)]


def commands(document: str | None = None) -> list[Command]:
    """Return the commands of all console blocks, of one document or of all."""
    chosen = [block for block in blocks("console") if document in (None, block.document)]
    return [command for block in chosen for command in commands_of(block)]
