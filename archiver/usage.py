"""A command line that can't be understood, told in one line."""

from collections.abc import Sequence
from typing import Any

import typer

from archiver.errors import SettingsError

# The parser's word for it, which has no public name: what a bad parameter is one kind of.
_Misused: Any = typer.BadParameter.__mro__[1]


def run_app(app: typer.Typer, arguments: Sequence[str] | None = None, **options: Any) -> int:
    """Run a command line, by default this process's own, and return its exit code.

    What a command raises is raised; SettingsError if there is no such command, or it doesn't take what it is given.
    Without any command the help is shown, as the parser does.
    """
    try:
        code = app(args=None if arguments is None else list(arguments), standalone_mode=False, **options)
    except _Misused as error:
        told: str = error.format_message().replace(": Value error, ", ": ")
        if "\n" in told:  # the help itself
            error.show()
            return 2
        way_out = f"; {error.ctx.command_path} --help tells what it takes" if error.ctx else ""
        raise SettingsError(told.removesuffix(".") + way_out) from None
    return code if isinstance(code, int) else 0
