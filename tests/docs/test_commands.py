"""Every command that README and docs tell to type, run from top to bottom against a simulated ServiceStage."""

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import pytest
from commands import NOT_RUN, STANDS_FOR, commands, commands_of, here
from fenced import DOCUMENTS, ROOT, blocks

from archiver.clock import SystemClock
from archiver.demo import last_monday
from archiver.simulator import Credentials, Simulator, build_history, running

ACCESS_KEY, SECRET_KEY = "AK-OF-THE-DOCS", "sk-of-the-docs"
# What must be there afterwards.
MADE = {"README.md": ("archive.db", "report/weekly-*.html")}
LANGUAGES = {"", "console", "mermaid", "python", "sql", "toml"}
# Documents for which there is an archive already, `archive.db` in the folder.
ARCHIVED = ("docs/export.md", "docs/scale.md", "docs/tools/")
# Programs that are not ours, as far as a document needs them.
DUCKDB = "import sys, duckdb; assert sys.argv[1] == '-c'; duckdb.sql(sys.argv[2]).show()"


@pytest.fixture
def place(tmp_path):
    """Return a folder to type in, an environment with both programs, and a ServiceStage that knows our key."""
    programs, secrets, folder = (tmp_path / name for name in ("bin", "secrets", "folder"))
    for directory in (programs, secrets, folder):
        directory.mkdir()
    modules = {name: f"-m {name}" for name in ("archiver", "reports", "datasette")}
    for name, options in (modules | {"duckdb": f"-c {shlex.quote(DUCKDB)}", "python3": ""}).items():
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {options} "$@"\n')
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
        places = {
            "project": history.project_ids[0],
            "secrets": str(secrets),
            "folder": str(folder),
            "docs": str(ROOT / "docs"),
        }
        yield SimpleNamespace(folder=folder, environment=environment, places=places)


@pytest.fixture
def archived(place, request):
    """Return a function that puts the demo's archive where a document takes it for granted, on both databases."""

    def put(document):
        if not document.startswith(ARCHIVED):
            return
        engine = request.getfixturevalue("sqlite_docs")
        with closing(sqlite3.connect(engine.url.database)) as kept:
            kept.execute("VACUUM INTO ?", (str(place.folder / "archive.db"),))
        if any(
            "{postgresql}" in STANDS_FOR[said] and said in command.text
            for command in commands(document)
            for said in STANDS_FOR
        ):
            url = request.getfixturevalue("postgresql_docs").url
            place.places["postgresql"] = url.set(drivername="postgresql").render_as_string(hide_password=False)

    return put


def typed(place, document):
    """Type a document's commands into one shell, as a reader would, and then its Python; return it, done, and what."""
    chosen = [command.here(**place.places) for command in commands(document) if command.reason is None]
    python = "".join(block.text for block in blocks("python", ROOT / document))
    if python:
        (place.folder / "typed.py").write_text(here(python, **place.places))
        chosen.append("python3 -W error typed.py")
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
def test_a_document_s_commands_run_from_top_to_bottom(document, place, archived):
    archived(document)

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


def test_python_stands_in_documents_that_are_run():
    assert {block.document for block in blocks("python")} <= {command.block.document for command in commands()}


def test_nothing_that_is_run_names_a_place_outside_the_test_s_folder():
    places = dict.fromkeys(("project", "secrets", "folder", "docs", "postgresql"), "here")
    run = [command.here(**places) for command in commands() if command.reason is None]

    # A path that begins at the root: not one within a path, an address or a pattern, nor one of datasette's pages.
    assert [text for text in run if re.search(r"(?<![\w./:*-])/(?!archive/q)[a-z]", text)] == []


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
