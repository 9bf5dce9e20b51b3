"""The options that the commands of `reports` share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, cast

import typer

from archiver.clock import Clock, SystemClock
from reports.asked import Format
from reports.groups import BATCH_KEYS, GROUP_COLUMNS


class CountedUnit(StrEnum):
    """What a failure rate counts."""

    ATTEMPT = "attempt"
    RELEASE = "release"


class Engine(StrEnum):
    """What works a report out."""

    PANDAS = "pandas"
    DASK = "dask"


Since = Annotated[str | None, typer.Option(help="First day, such as 2026-08-24. Default: 13 whole weeks back.")]
Until = Annotated[str | None, typer.Option(help="First day after the window. Default: this week's Monday.")]
By = Annotated[str, typer.Option(help=f"Groups, parted by commas: {', '.join(GROUP_COLUMNS)}.")]
BatchBy = Annotated[str, typer.Option("--by", help=f"Groups, parted by commas: {', '.join(BATCH_KEYS)}.")]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", help="Filter key=value; again for more. Nothing after = means missing."),
]
Project = Annotated[list[str] | None, typer.Option(help="Only this project ID; again for more.")]
FormatOption = Annotated[Format, typer.Option("--format", help="How to write the table.")]
Output = Annotated[Path | None, typer.Option(help="Write to this file instead of standard output.")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", help="What runs and imports that had ended by then knew: 2026-11-23T06:00:00Z.")
]
Config = Annotated[Path | None, typer.Option(help="Settings file. Default: archiver.toml, if there is one.")]
Within = Annotated[
    int | None,
    typer.Option(min=0, help="Count only rollbacks that began within so many days of the release's end."),
]


def clock_of(context: typer.Context) -> Clock:
    """Return the clock that the command was given, else the system's."""
    return cast("Clock", context.obj or SystemClock())
