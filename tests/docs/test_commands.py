"""Every command that README and docs tell to type, run from top to bottom against a simulated ServiceStage."""

import os
import shlex
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from commands import NOT_RUN, STANDS_FOR, commands, commands_of
from fenced import DOCUMENTS, ROOT, blocks

from archiver.clock import SystemClock
from archiver.demo import last_monday
from archiver.simulator import Credentials, Simulator, build_history, running

ACCESS_KEY, SECRET_KEY = "AK-OF-THE-DOCS", "sk-of-the-docs"
# What must be there afterwards.
MADE = {"README.md": ("archive.db", "report/weekly-*.html")}
LANGUAGES = {"", "console", "sql", "toml", "mermaid"}


@pytest.fixture
def place(tmp_path):
    """Return a folder to type in, an environment with both programs, and a ServiceStage that knows our key."""
    programs, secrets, folder = (tmp_path / name for name in ("bin", "secrets", "folder"))
    for directory in (programs, secrets, folder):
        directory.mkdir()
    for name in ("archiver", "reports"):
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m {name} "$@"\n')
        (programs / name).chmod(0o755)
    (secrets / "ak").write_text(ACCESS_KEY)
    (secrets / "sk").write_text(SECRET_KEY)
    history = build_history(7, ends_at=last_monday(SystemClock().now(), weeks_on=1), weeks=2)
    credentials = Credentials(access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    simulator = Simulator(history, now=SystemClock().now, credentials=credentials)
    with running(simulator) as base_url:
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "ARCHIVER_ENDPOINT": base_url,  # wins over the region that a document names
            "ARCHIVER_REQUESTS_PER_SECOND": "0",
        }
        places = {"project": history.project_ids[0], "secrets": str(secrets), "folder": str(folder)}
        yield SimpleNamespace(folder=folder, environment=environment, places=places)


def typed(place, document):
    """Type a document's commands into one shell, as a reader would; return it, done, and what was typed."""
    chosen = [command.here(**place.places) for command in commands(document) if command.reason is None]
    script = "\n".join(["set -e", *chosen, ""])
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done, script


@pytest.mark.parametrize("document", sorted({command.block.document for command in commands()}))
def test_a_document_s_commands_run_from_top_to_bottom(document, place):
    done, script = typed(place, document)

    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    for made in MADE.get(document, ()):
        assert list(place.folder.glob(made)), made


def test_a_command_that_fails_is_seen(place, monkeypatch):
    monkeypatch.setattr("commands.STANDS_FOR", STANDS_FOR | {"archiver run": "archiver runn"})

    done, _ = typed(place, "README.md")

    assert done.returncode == 2


def test_what_is_not_run_is_still_in_a_document():
    told = [command.text for command in commands()]

    assert [begin for begin in NOT_RUN if not any(text.startswith(begin) for text in told)] == []
    assert [said for said in STANDS_FOR if not any(said in text for text in told)] == []


def test_no_command_hides_in_a_block_of_another_kind():
    languages = {language for language in _languages() if language not in LANGUAGES}
    hidden = [block.name for block in blocks("") if any(line.startswith("$ ") for line in block.text.splitlines())]

    assert languages == set(), "name the language console, or teach the tests the new one"
    assert hidden == []


def _languages():
    for path in DOCUMENTS:
        is_inside = False
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("```"):
                is_inside = not is_inside
                if is_inside:
                    yield line.removeprefix("```")


def test_a_command_goes_on_where_lines_are_indented_and_output_is_none():
    block = blocks("console")[0]
    text = '$ one "a\n    b"\n$ two  # why\nwhat it prints\n'

    found = commands_of(replace(block, text=text))

    assert [command.text for command in found] == ['one "a\n    b"', "two  # why"]
