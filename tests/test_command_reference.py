"""The command reference is what the commands say of themselves, and they say enough."""

import importlib.util
from pathlib import Path

import pytest
import typer.main

from archiver import cli as archiver_cli
from reports import cli as reports_cli

DOCS = Path(__file__).parents[1] / "docs"
_SPEC = importlib.util.spec_from_file_location("commands", DOCS / "commands.py")
reference = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(reference)

COMMANDS = {
    path: command
    for name, app in (("archiver", archiver_cli.app), ("reports", reports_cli.app))
    for path, command in reference._commands(name, typer.main.get_command(app))
}


def test_the_reference_is_in_step():
    written = (DOCS / "commands.md").read_text("utf-8").splitlines()

    assert written == list(reference.lines()), "run `make docs`"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_each_of_its_options_says_what_it_does(path):
    command = COMMANDS[path]

    assert command.help
    assert [one.name for one in command.params if not one.help] == []


def test_every_command_has_its_place():
    headings = [line.removeprefix("### ") for line in reference.lines() if line.startswith("### ")]

    assert headings == list(COMMANDS)
    assert reference._ONE.keys() <= COMMANDS.keys()
    assert set(reference._LEASING) <= COMMANDS.keys()
