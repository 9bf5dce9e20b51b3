"""The archive as Arrow batches, one partition of the data set after the other, however large it is."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from sqlalchemy import Boolean, Column, Connection, Date, Float, Integer, Select, Text, collate, select, type_coerce
from sqlalchemy.dialects.postgresql import TIMESTAMP

from archiver.exported import NO_WEEK, Exported
from archiver.instants import UtcDateTime, instant_text

ROWS_IN_GROUP = 50_000
_ROWS_AT_ONCE = 5_000
_LAST_YEAR = 9998  # as in the reports: the end of a later week may be no date
_INSTANT = pa.timestamp("ms", tz="UTC")
_TYPES: dict[type[Any], pa.DataType] = {
    UtcDateTime: _INSTANT,
    Text: pa.string(),
    Boolean: pa.bool_(),
    Date: pa.date32(),
    Float: pa.float64(),
    Integer: pa.int64(),
}


def arrow_schema(exported: Exported) -> pa.Schema:
    """Return the columns of a table's files."""
    return pa.schema([(column.name, _arrow_type(column)) for column in exported.columns])


def _arrow_type(column: Column[Any]) -> pa.DataType:
    return next(arrow for kind, arrow in _TYPES.items() if isinstance(column.type, kind))


def week_batches(
    connection: Connection, exported: Exported, project_id: str, zone: ZoneInfo
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield a project's rows of a table as (week, batch): weeks in order, one whole before the next begins.

    A week's rows are in the order of their moment and key, in batches of ROWS_IN_GROUP but for its last: the same
    rows make the same batches, whatever the weeks beside them hold.
    """
    schema = arrow_schema(exported)
    is_text = connection.dialect.name == "sqlite"
    result = connection.execute(
        _query(exported, project_id, is_text=is_text), execution_options={"yield_per": _ROWS_AT_ONCE}
    )
    held: list[Any] = []
    week = ""
    for found in result.partitions():
        rows = list(found)
        while rows:
            if not held:
                week, is_later = _week_from(rows[0][-1], zone, is_text=is_text)
            stop = bisect_left(rows, True, key=lambda row: is_later(row[-1]))
            taken = min(stop, ROWS_IN_GROUP - len(held))
            held += rows[:taken]
            rows = rows[taken:]
            if rows:  # the group is full, or the week is over
                yield week, _batch(held, schema)
                held = []
    if held:
        yield week, _batch(held, schema)


def _query(exported: Exported, project_id: str, *, is_text: bool) -> Select[Any]:
    """Select the columns and, last, the moment; instants as the driver has them, for Arrow to read."""
    instant = Text() if is_text else TIMESTAMP(timezone=True)

    def raw(value: Any, name: str) -> Any:
        return type_coerce(value, instant).label(name) if isinstance(value.type, UtcDateTime) else value.label(name)

    table = exported.table
    [key] = list(table.primary_key.columns) or [next(iter(table.columns))]
    # By code point on both databases, whatever the server's language.
    by_key = key if is_text else collate(key, "C")
    return (
        select(*(raw(column, column.name) for column in exported.columns), raw(exported.moment, "moment"))
        .where(table.c.project_id == project_id)
        .order_by(exported.moment.nulls_last(), by_key)
    )


def _week_from(moment: Any, zone: ZoneInfo, *, is_text: bool) -> tuple[str, Callable[[Any], bool]]:
    """Return the week of a moment, and what tells of later moments (None last) whether they lie behind it."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if moment is None or moment.year > _LAST_YEAR:
        return NO_WEEK, lambda _later: False
    is_day = not isinstance(moment, datetime)
    day = moment if is_day else moment.astimezone(zone).date()
    end = day + timedelta(days=7 - day.weekday())
    if not is_day and moment >= datetime.combine(end, time(), zone):
        end += timedelta(days=7)  # a clock that was set back over midnight shows the day before once more
    year, number, _ = (end - timedelta(days=7)).isocalendar()
    bound: Any = end if is_day else datetime.combine(end, time(), zone)
    if is_text and not is_day:
        bound = instant_text(bound)
    return f"{year}-W{number:02d}", lambda later: later is None or later >= bound


def _batch(rows: list[Any], schema: pa.Schema) -> pa.RecordBatch:
    values = zip(*rows, strict=True)
    arrays = [_array(list(column), field.type) for column, field in zip(values, schema, strict=False)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if kind == _INSTANT and any(isinstance(value, str) for value in values):
        return pa.array(values, pa.string()).cast(kind)
    return pa.array(values, kind)
