"""An export: every table of one state of the archive, written as a data set of Parquet files."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection

from archiver.dataset import DataSet, ExportError, PartlyExportedError, opened
from archiver.exported import EXPORTED, Exported
from archiver.partitions import ROWS_IN_GROUP, arrow_schema, week_batches

_MEMORY_BYTES = 32 * 2**20  # a larger file goes to disk before it is known whether it differs


@dataclass(slots=True)
class ExportResult:
    """What an export came to: rows and partitions by table, and the files written and removed."""

    rows: Counter[str] = field(default_factory=Counter)
    partitions: Counter[str] = field(default_factory=Counter)
    written: int = 0
    removed: int = 0


def export(
    connection: Connection,
    directory: Path,
    zone: ZoneInfo,
    projects: Sequence[str],
    *,
    is_whole: bool = True,
    is_full: bool = False,
) -> ExportResult:
    """Write the projects' rows; `is_whole` says that there are no others, whose files would be removed.

    Files that would not differ are left alone, unless `is_full`. Needs a connection that reads one state.
    ExportError where the directory can't be written.
    """
    is_moving = False
    try:
        with opened(directory, zone.key, is_whole=is_whole) as data_set:
            for exported in EXPORTED:
                for project_id in projects:
                    _export_table(connection, data_set, exported, project_id, zone, is_full=is_full)
            is_moving = True
            names = [exported.table.name for exported in EXPORTED]
            changes = data_set.commit(names, None if is_whole else projects)
    except OSError as error:
        reason = error.strerror or str(error)
        if is_moving:
            words = f"only some files of {directory} are new ({reason}): export again"
            raise PartlyExportedError(words) from None
        raise ExportError(f"can't write the data set {directory} ({reason}): it is as it was") from None
    result = ExportResult(written=changes.written, removed=changes.removed)
    for partition in changes.partitions:
        result.rows[partition.table] += partition.rows
        result.partitions[partition.table] += 1
    return result


def _export_table(
    connection: Connection, data_set: DataSet, exported: Exported, project_id: str, zone: ZoneInfo, *, is_full: bool
) -> None:
    schema = arrow_schema(exported)
    batches = week_batches(connection, exported, project_id, zone)
    for week, found in groupby(batches, key=lambda pair: pair[0]):
        with _parquet_file((batch for _, batch in found), schema, data_set.staging) as (content, rows):
            data_set.put(content, exported.table.name, project_id, week, rows, always=is_full)


@contextmanager
def _parquet_file(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, scratch: Path
) -> Iterator[tuple[IO[bytes], int]]:
    """Write batches as one file, a row group each; in memory where it is small, else in `scratch`."""
    rows = 0
    with tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES, dir=str(scratch)) as content:
        with pq.ParquetWriter(content, schema, compression="zstd", version="2.6") as writer:
            for batch in batches:
                writer.write_batch(batch, row_group_size=ROWS_IN_GROUP)
                rows += batch.num_rows
        yield content, rows
