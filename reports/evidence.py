"""The commands that show what stands behind the figures: `explain`, and `quality`."""

from datetime import timedelta
from typing import Annotated, cast

import pandas as pd
import typer

from reports.asked import Asked, Format
from reports.columns import PROVEN_ATTEMPTS, PROVEN_ROLLBACKS
from reports.errors import UsageError
from reports.explain import TABLES, Table, explain, for_reading, snapshot_ids, with_proofs
from reports.frames import frames_of
from reports.groups import BATCH_KEYS, GROUP_COLUMNS
from reports.options import (
    AsOf,
    Config,
    CountedUnit,
    FormatOption,
    Output,
    Project,
    Since,
    Until,
    WhereOption,
    Within,
    clock_of,
)
from reports.proof_frames import load_bodies
from reports.quality import quality, without_nothing
from reports.quality_frames import load_quality
from reports.reading import Reading
from reports.window import parse_week

_FOR_PEOPLE = (Format.TABLE, Format.MARKDOWN)


def show_explanation(
    context: typer.Context,
    table: Annotated[str, typer.Argument(metavar="TABLE", help=f"One of {', '.join(TABLES)}.")],
    *,
    week: Annotated[str, typer.Option(help="The week of the figures, such as 2026-W47.")],
    where: WhereOption = None,
    project: Project = None,
    unit: Annotated[
        CountedUnit | None,
        typer.Option(help="As in failure-rates; of delivery: release for change failures, attempt for rework."),
    ] = None,
    within_days: Within = None,
    limit: Annotated[int | None, typer.Option(min=1, help="List only so many rows, the numerator's first.")] = None,
    format_: FormatOption = Format.TABLE,
    output: Output = None,
    as_of: AsOf = None,
    config: Config = None,
) -> None:
    """List the rows behind a week's figures, with the run, snapshot and hash that prove each.

    Rows that count in the numerator come first, then those only below the line. The run is the one that first
    saw the body, the hash that of its bytes. The screen shows the body that last showed a row; csv, json and
    parquet also the first, and all columns.
    """
    if table not in TABLES:
        raise UsageError(f"{table!r} is no table with rows to list: choose from {', '.join(TABLES)}")
    monday = parse_week(week)
    asked = Asked(
        clock_of(context),
        since=str(monday),
        until=str(monday + timedelta(days=7)),
        by="week",
        where=where,
        project=project,
        as_of=as_of,
        config=config,
        keys=BATCH_KEYS if table == "batch-timing" else tuple(GROUP_COLUMNS),
    )

    def proven(archive: Reading) -> tuple[pd.DataFrame, str]:
        frames = frames_of(
            archive,
            asked.selection.window,
            attempt_columns=PROVEN_ATTEMPTS,
            rollback_columns=PROVEN_ROLLBACKS,
        )
        rows = explain(
            frames,
            asked.selection,
            cast("Table", table),
            unit=None if unit is None else unit.value,
            within_days=within_days,
        )
        above, below = int((rows["counts_in"] == "numerator").sum()), len(rows)
        rows = rows.head(limit or len(rows))
        return with_proofs(rows, load_bodies(archive, snapshot_ids(rows))), _counted(above, below, len(rows))

    rows, note = asked.read(proven)
    asked.write(
        for_reading(rows) if format_ in _FOR_PEOPLE else rows,
        f"Behind {table} of {week}",
        format_,
        output,
        note=note,
    )


def _counted(above: int, below: int, shown: int) -> str:
    if below == 0:
        return "Nothing that started in this week, and passes the filter, counts."
    rest = "" if shown == below else f" The first {shown} rows are shown."
    return (
        f"{above:,} in the numerator, {below:,} in the denominator.{rest}\n"
        "* The start is inferred. Ids and hashes are cut here: csv and json have them whole."
    )


def show_quality(
    context: typer.Context,
    *,
    since: Since = None,
    until: Until = None,
    project: Project = None,
    format_: FormatOption = Format.TABLE,
    output: Output = None,
    as_of: AsOf = None,
    config: Config = None,
) -> None:
    """What the archive does not know, or doubts: nights missed, attempts unseen, times that can't be.

    The screen leaves out the checks that found nothing; csv, json and parquet have a row for each.
    """
    asked = Asked(
        clock_of(context), since=since, until=until, by="week", where=None, project=project, as_of=as_of, config=config
    )
    window = asked.selection.window
    table = quality(asked.read(lambda archive: load_quality(archive, window)), window)
    is_for_people = format_ in _FOR_PEOPLE
    asked.write(
        without_nothing(table) if is_for_people else table,
        "Quality of the archive",
        format_,
        output,
        note="Checks that found nothing are left out." if is_for_people else "",
    )
