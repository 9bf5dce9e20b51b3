"""Writes the command reference, `docs/commands.md`, from the commands themselves (`make docs`)."""

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import typer.main

from archiver import cli as archiver_cli
from reports import cli as reports_cli

_INTRODUCTION = """# Commands

Made by `make docs` from the commands themselves. Settings are environment variables or `archiver.toml`: see the README.
Results go to standard output, logs and errors to standard error; every error with a known course is one line.

| exit code | means |
|---|---|
| 0 | done |
| 1 | done in part, and the rest is saved; or a finding |
| 2 | the settings or the command line are wrong; nothing was tried |
| 3 | not done: credentials, endpoint, database, or a schema that is behind or ahead; nothing new was saved |
| 70 | an unexpected error (`ARCHIVER_DEBUG=1` shows where) |
| 75 | another process is at work on every project asked for |
"""


# What a command can end with beside 0, 2, 3 and 70.
_ONE = {
    "archiver run": "some plans or projects could not be archived",
    "archiver import": "some files or lines are no bodies, or lie behind the prune horizon",
    "archiver status": "a configured project is stale",
    "archiver check": "a finding",
    "archiver database check": "a difference",
    "reports weekly": "with `--send`, a service did not take the report",
}
_LEASING = (
    *(f"archiver {name}" for name in ("run", "import", "replay", "prune", "labels apply", "database upgrade")),
    "reports weekly",  # of a data set
)
_WORDS = {str: "TEXT", int: "N", float: "N", Path: "PATH"}


def lines() -> Iterator[str]:
    """Yield the reference's lines: each program, and each of its commands."""
    yield from _INTRODUCTION.splitlines()
    for name, app in (("archiver", archiver_cli.app), ("reports", reports_cli.app)):
        program = typer.main.get_command(app)
        yield from ("", f"## {name}", "", program.help or "")
        for path, command in _commands(name, program):
            yield from _section(path, command)


def _commands(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in sorted(group.commands.items()):
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _commands(f"{path} {name}", command)
        else:
            yield f"{path} {name}", command


def _section(path: str, command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    usage = " ".join([path, *(one.metavar or one.name.upper() for one in arguments), "[OPTIONS]" if options else ""])
    yield from ("", f"### {path}", "", f"`{usage.strip()}`", "", *_paragraphs(command.help or ""))
    yield from ("", f"Exit codes: {_codes(path)}.")
    if not arguments and not options:
        return
    yield from ("", "| argument or option | default | meaning |", "|---|---|---|")
    for one in arguments:
        is_needed = "" if one.required else "may be left out"
        yield f"| `{one.metavar or one.name.upper()}` | {is_needed} | {_cell(one.help)} |"
    for one in options:
        yield f"| {_named(one)} | {_default(one)} | {_cell(one.help)} |"


def _codes(path: str) -> str:
    one = f", 1 ({_ONE[path]})" if path in _ONE else ""
    return f"0{one}, 2, 3, 70{', 75' if path in _LEASING else ''}"


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        yield from ([""] if number else [])
        yield " ".join(paragraph.split())


def _named(option: Any) -> str:
    value = "" if option.is_flag else f" {_value(option)}"
    names = ", ".join(f"`{name}{value}`" for name in option.opts)
    others = ", ".join(f"`{name}`" for name in option.secondary_opts)
    again = " (may be given again)" if option.multiple else ""
    return f"{names}{f' / {others}' if others else ''}{again}"


def _value(option: Any) -> str:
    kind = option.type_descriptor.annotation
    kind = (get_args(kind) or (kind,))[0]
    if issubclass(kind, Enum):
        return r"\|".join(str(one.value) for one in kind)
    return option.metavar or _WORDS[kind]


def _default(option: Any) -> str:
    if option.required:
        return "must be given"
    value = option.default
    if value in (None, False, [], ()) or callable(value):
        return ""
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", r"\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
