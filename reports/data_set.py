"""The data set of `archiver export` as frames: the only reader of Parquet, a range of a project's plans at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from archiver import schema
from archiver.dataset import DataSetError, Partition, partition_path
from archiver.exported import EXPORTED, NO_WEEK
from archiver.masking import LONGEST, MASKING_VERSION
from archiver.partitions import arrow_schema
from reports.columns import ATTEMPTS, COMPONENTS, FAILURES, LABELS, ROLLBACKS, Contract, Frames, conform
from reports.reading import Reading
from reports.window import Window

ROWS_IN_PART = 200_000  # attempts of the window; some 300 MB while it is worked on

_SCHEMAS = {exported.table.name: arrow_schema(exported) for exported in EXPORTED}
_PLAN = ["project_id", "plan_key"]
_PLACE = [*_PLAN, "component_id", "batch"]
_Mask = Callable[[pa.ChunkedArray], pa.ChunkedArray]


@dataclass(frozen=True)
class PlanRange:
    """The plans of one project whose keys lie from `low` up to, not including, `high` (None: to the end).

    It is read where the data set lies under the same name as here.
    """

    directory: Path
    project_id: str
    low: str
    high: str | None
    window: Window

    def read(self) -> tuple[Frames, pd.DataFrame]:
        """Read the frames of the window, and FAILURES up to its end.

        As `frames_of` reads the archive: whole plans, of those with an attempt in the window. Of FAILURES there is what
        a weekly report shows: labels, versions and an attempt's message are missing.
        """
        weeks = {week.label for week in self.window.weeks}
        touched = self._rows("job_attempts", ["plan_key"], self._is_inside, weeks)["plan_key"]
        of_touched = _among(touched)

        def load(table: str, columns: Sequence[str]) -> pd.DataFrame:
            return self._rows(table, columns, of_touched)

        def stored(table: str, contract: Contract) -> list[str]:
            return ["plan_key", *(name for name in contract if name in _SCHEMAS[table].names)]

        releases = load("component_releases", ["plan_key", "component_id", "batch", "component", *LABELS])
        plans = load("plans", ["plan_key", "executed_at", "creator", "action"])
        attempts = load("job_attempts", stored("job_attempts", ATTEMPTS))
        attempts = attempts.merge(releases, on=_PLACE, how="left").merge(plans, on=_PLAN, how="left")
        frames = Frames(
            attempts=conform(attempts, ATTEMPTS),
            rollbacks=conform(load("rollbacks", stored("rollbacks", ROLLBACKS)), ROLLBACKS),
            components=conform(load("components", stored("components", COMPONENTS)), COMPONENTS),
        )
        return frames, self._failures()

    def _failures(self) -> pd.DataFrame:
        columns = [name for name in _SCHEMAS["failures"].names if name != "failure_key"]
        failures = self._rows("failures", columns, self._is_inside, until=self.window.weeks[-1].label)
        if not failures["masking_version"].isin([MASKING_VERSION]).all():
            raise DataSetError(
                f"{self.directory} was exported from an archive that another version wrote: run and export again"
            )
        failures = failures[failures["started_at"] < self.window.ends_at]
        week = self.window.last(1)
        is_shown = (failures["kind"] == "rollback") & week.week_of(failures["started_at"]).notna()
        keys = failures.loc[is_shown, "job_key"]
        told = {
            "rollback_key": "job_key",
            "rollback_job_id": "job_id",
            "ended_at": "ended_at",
            "fail_message": "message",
        }
        weeks = {week.weeks[0].label, NO_WEEK}
        jobs = self._rows("rollbacks", list(told), _among(keys), weeks, key="rollback_key").rename(columns=told)
        jobs["message"] = jobs["message"].str.slice(0, LONGEST)
        failures = failures.merge(jobs, on=["project_id", "job_key"], how="left")
        components = failures.loc[failures["job_key"].isin(keys), "component_id"].drop_duplicates()
        names = self._rows(
            "component_releases", ["component_id", "component"], _among(components), key="component_id"
        ).drop_duplicates("component_id")
        failures = failures.merge(names, on=["project_id", "component_id"], how="left")
        missing = dict.fromkeys(name for name in FAILURES if name not in failures)
        return conform(failures.assign(**missing), FAILURES)

    def _is_inside(self, keys: pa.ChunkedArray) -> pa.ChunkedArray:
        inside = pc.greater_equal(keys, self.low)
        return inside if self.high is None else pc.and_(inside, pc.less(keys, self.high))

    def _rows(
        self,
        table: str,
        columns: Sequence[str],
        mask: _Mask,
        weeks: set[str] | None = None,
        *,
        key: str = "plan_key",
        until: str | None = None,
    ) -> pd.DataFrame:
        """Read the rows whose key passes, of some weeks (None: of all); the other columns only where one does."""
        found = [_SCHEMAS[table].empty_table().select(columns)]
        for week, file in self._files(table):
            if (weeks is not None and week not in weeks) or (until is not None and NO_WEEK != week > until):
                continue
            with _said_where_damaged(file), pq.ParquetFile(file) as parquet:
                missing = [name for name in columns if name not in parquet.schema_arrow.names]
                if missing:
                    raise DataSetError(f"{file} has no {missing[0]}: export with --full, by this version")
                for group in range(parquet.num_row_groups):
                    passes = mask(parquet.read_row_group(group, [key])[key])
                    if pc.any(passes).as_py():
                        found.append(parquet.read_row_group(group, list(columns)).select(columns).filter(passes))
        rows: pd.DataFrame = pa.concat_tables(found).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        rows = rows.assign(project_id=pd.Series(self.project_id, index=rows.index, dtype="str"))
        # pandas can't merge on strings that were made of no Arrow array at all.
        return rows if len(rows) else rows.astype("object").astype(rows.dtypes)

    def _files(self, table: str) -> Iterator[tuple[str, Path]]:
        weeks = (self.directory / partition_path(table, self.project_id, "any")).parent.parent
        for week in sorted(weeks.glob("week=*")):
            yield week.name.removeprefix("week="), week / "part-0.parquet"


@contextmanager
def _said_where_damaged(file: Path) -> Iterator[None]:
    """Turn what Arrow says of a file that it can't read into one line. That a file is missing is told by who asks."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise DataSetError(f"{file} can't be read: {str(error).splitlines()[0]}; export again") from None


def _among(keys: Any) -> _Mask:
    wanted = pa.array(keys, pa.string()).unique()
    return lambda found: pc.is_in(found, value_set=wanted)


def plan_ranges(
    directory: Path, partitions: Sequence[Partition], window: Window, projects: Sequence[str] | None, rows: int
) -> list[PlanRange]:
    """Divide the plans of the projects (None: of all) into ranges of some `rows` attempts in the window."""
    weeks = {week.label for week in window.weeks}
    sizes = dict.fromkeys(projects if projects is not None else sorted({one.project_id for one in partitions}), 0)
    for one in partitions:
        if one.table == "job_attempts" and one.week in weeks and one.project_id in sizes:
            sizes[one.project_id] += one.rows
    ranges = []
    for project_id, size in (sizes or {"": 0}).items():
        count = -(-size // rows) or 1
        bounds = ["", *(f"{number * 16**8 // count:08x}" for number in range(1, count)), None]
        ranges += [PlanRange(directory, project_id, low or "", high, window) for low, high in pairwise(bounds)]
    return ranges


@contextmanager
def books(directory: Path, partitions: Sequence[Partition], projects: Sequence[str] | None) -> Iterator[Reading]:
    """Open the nights, runs and failed fetches of a data set, to be read as those of the archive are."""
    memory = create_engine("sqlite://", poolclass=StaticPool)
    tables = (schema.runs, schema.nights, schema.fetch_failures)
    schema.metadata.create_all(memory, tables)
    with memory.connect() as connection:
        for table in tables:
            for one in partitions:
                if one.table == table.name and (projects is None or one.project_id in projects):
                    with _said_where_damaged(directory / one.path):
                        rows = pq.read_table(directory / one.path, partitioning=None).to_pylist()
                    connection.execute(table.insert(), [{**row, "project_id": one.project_id} for row in rows])
        yield Reading(connection, projects)
    memory.dispose()
