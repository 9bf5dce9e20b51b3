"""The directory of a data set: Parquet files by table, project and week, of which only those that differ are written.

What differs is staged first; then all of it is moved into place, what is gone is removed, and the manifest written.
A kill before leaves the data set as it was. One in that last moment leaves each file whole, old or new, and the next
export completes it, since files are compared with what is on disk, not with what was noted of them. Until then a note
names the projects whose files may be of two states, and no report reads them.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from archiver.errors import ArchiverError, LeaseHeldError, SettingsError

FORMAT = 1
MANIFEST = "_manifest.json"  # readers of Hive's layout pass over names that begin with _
FILE = "part-0.parquet"
_STAGING = "_staging"
_UNFINISHED = "_unfinished.json"
_COPY_BYTES = 2**20
# What Hive and Spark escape in a path. They leave the rest, beyond ASCII too, as it is.
_SPECIAL = re.compile(r"""[\x00-\x1f"#%'*/:=?\\\x7f{[\]^]""")


class ExportError(ArchiverError):
    """The data set can't be written; it is as it was."""


class DataSetError(ArchiverError):
    """The data set can't be read."""


class PartlyExportedError(ExportError):
    """Some files are new and some are old; each is whole."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Partition:
    """One file of the data set, as the manifest has it."""

    path: str
    table: str
    project_id: str
    week: str
    rows: int
    size_bytes: int
    sha256: str


@dataclass(slots=True)
class Changes:
    """What an export did to the files it is about."""

    partitions: list[Partition] = field(default_factory=list)
    written: int = 0
    removed: int = 0


def partition_path(table: str, project_id: str, week: str) -> str:
    """Return where a partition's file lies, as Hive has it."""
    return f"{table}/{_directory('project_id', project_id)}/week={week}/{FILE}"


def _directory(column: str, value: str) -> str:
    escaped = _SPECIAL.sub(lambda found: f"%{ord(found.group()):02X}", value)
    return f"{column}={escaped}"


class DataSet:
    """A data set that is being exported; `opened` gives it to one process at a time."""

    def __init__(self, directory: Path, time_zone: str, earlier: Sequence[Partition]) -> None:
        """Begin with what the manifest says of the export before."""
        self._directory, self._time_zone, self._earlier = directory, time_zone, earlier
        self._staged: list[tuple[Path, Path]] = []
        self._mode = directory.stat().st_mode & 0o777
        self.changes = Changes()

    @property
    def staging(self) -> Path:
        """A directory beside the files, for what is not yet one of them."""
        return self._directory / _STAGING

    def put(self, content: IO[bytes], table: str, project_id: str, week: str, rows: int, *, always: bool) -> None:
        """Stage a partition's file, if it differs from the one that is there, or in any case."""
        path = partition_path(table, project_id, week)
        sha256, size_bytes = _sha256(content), content.seek(0, os.SEEK_END)
        self.changes.partitions.append(Partition(path, table, project_id, week, rows, size_bytes, sha256))
        target = self._directory / path
        if not always and _is_same(target, size_bytes, sha256):
            return
        staged = self.staging / f"{len(self._staged)}"
        content.seek(0)
        with staged.open("wb") as file:
            shutil.copyfileobj(content, file, _COPY_BYTES)
            os.fchmod(file.fileno(), self._mode & 0o666)
            file.flush()
            os.fsync(file.fileno())
        self._staged.append((staged, target))

    def commit(self, tables: Sequence[str], projects: Sequence[str] | None) -> Changes:
        """Move what was staged into place, and remove the other partitions of these projects (None: of all)."""
        changes = self.changes
        wanted = {partition.path for partition in changes.partitions}
        gone = [path for path in self._present(tables, projects) if path not in wanted]
        concerned = {one.project_id for one in [*self._earlier, *changes.partitions]} if projects is None else projects
        unfinished = _read_unfinished(self._directory)
        if self._staged or gone:
            self._note_unfinished(unfinished.union(concerned))
        for staged, target in self._staged:
            self._make(target.parent)
            staged.replace(target)
        for path in gone:
            self._remove(path)
        changes.written, changes.removed = len(self._staged), len(gone)
        others = [one for one in self._earlier if projects is not None and one.project_id not in projects]
        self._write_manifest([*others, *changes.partitions])
        self._note_unfinished(set() if projects is None else unfinished.difference(projects))
        return changes

    def _make(self, directory: Path) -> None:
        """Make a directory as open to others as the data set's own."""
        if not directory.is_dir():
            self._make(directory.parent)
            directory.mkdir()
            directory.chmod(self._mode)

    def _present(self, tables: Sequence[str], projects: Sequence[str] | None) -> Iterator[str]:
        names = None if projects is None else {_directory("project_id", project) for project in projects}
        for table in tables:
            for file in sorted((self._directory / table).glob(f"project_id=*/week=*/{FILE}")):
                if names is None or file.parent.parent.name in names:
                    yield str(file.relative_to(self._directory))

    def _remove(self, path: str) -> None:
        file = self._directory / path
        file.unlink()
        for directory in (file.parent, file.parent.parent, file.parent.parent.parent):
            if any(directory.iterdir()):
                return
            directory.rmdir()

    def _note_unfinished(self, projects: Collection[str]) -> None:
        if projects:
            self._write(_UNFINISHED, json.dumps(sorted(projects)))
        else:
            (self._directory / _UNFINISHED).unlink(missing_ok=True)

    def _write_manifest(self, partitions: Sequence[Partition]) -> None:
        lines = [json.dumps(asdict(one), ensure_ascii=False) for one in sorted(partitions, key=lambda one: one.path)]
        head = f'{{"format": {FORMAT}, "time_zone": {json.dumps(self._time_zone)}, "partitions": ['
        self._write(MANIFEST, head + ",".join(f"\n{line}" for line in lines) + "\n]}\n")

    def _write(self, name: str, text: str) -> None:
        """Write a file of the data set's own, unless it says so already."""
        target, staged = self._directory / name, self.staging / name
        if target.is_file() and target.read_text("utf-8") == text:
            return
        with staged.open("w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), self._mode & 0o666)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(target)

    def claim(self) -> None:
        """Write the manifest of a new data set, by which a later export knows that the directory is its own."""
        if not (self._directory / MANIFEST).exists():
            self._write_manifest([])


@contextmanager
def opened(directory: Path, time_zone: str, *, is_whole: bool) -> Iterator[DataSet]:
    """Open a data set, or begin one in a directory that is new or empty.

    SettingsError for a directory that holds something else, or weeks of another zone while only some projects are
    exported; LeaseHeldError while another export is at work on it.
    """
    is_new = not directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    if is_new:
        directory.chmod(0o700)
    held = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LeaseHeldError(
                f"another export, or a report, is at work on {directory}: wait for it to end"
            ) from None
        zone, earlier = _read_manifest(directory)
        if zone not in (None, time_zone) and not is_whole:
            raise SettingsError(f"{directory} has the weeks of {zone}, not {time_zone}: export without --project once")
        data_set = DataSet(directory, time_zone, earlier)
        shutil.rmtree(data_set.staging, ignore_errors=True)
        data_set.staging.mkdir(mode=0o700)
        try:
            data_set.claim()
            yield data_set
        finally:
            shutil.rmtree(data_set.staging, ignore_errors=True)
    finally:
        os.close(held)


@contextmanager
def held(directory: Path) -> Iterator[tuple[str, list[Partition]]]:
    """Hold a data set to be read, and return the zone of its weeks and its partitions; no export begins meanwhile.

    SettingsError for a directory that is none; LeaseHeldError while an export is at work on it; DataSetError where an
    export did not end, or a file is missing or not as long as it should be.
    """
    if not (directory / MANIFEST).is_file():
        raise SettingsError(f"{directory} is no data set: make one with `archiver export {directory}`")
    lock = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LeaseHeldError(f"an export is at work on {directory}: wait for it to end") from None
        zone, partitions = _read_manifest(directory)
        if (directory / _STAGING).exists() or (directory / _UNFINISHED).exists():
            raise DataSetError(f"an export of {directory} did not end: export again")
        for one in partitions:
            file = directory / one.path
            if not file.is_file() or file.stat().st_size != one.size_bytes:
                raise DataSetError(f"{file} is not the file that was exported: export again")
        yield zone or "", partitions
    finally:
        os.close(lock)


def _read_manifest(directory: Path) -> tuple[str | None, list[Partition]]:
    """Return the zone of a data set's weeks and its partitions; none for an empty directory."""
    path = directory / MANIFEST
    if not path.is_file():
        others = sorted(entry.name for entry in directory.iterdir() if entry.name != _STAGING)
        if others:
            raise SettingsError(f"{directory} holds {others[0]} and no data set: name a new or an empty directory")
        return None, []
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["format"] == FORMAT:
            return found["time_zone"], [Partition(**one) for one in found["partitions"]]
    except (ValueError, KeyError, TypeError):
        pass
    raise SettingsError(f"{path} is no manifest of this version: name a new directory")


def _read_unfinished(directory: Path) -> set[str]:
    """Return the projects whose files may be of two states, since an export ended while it moved them."""
    path = directory / _UNFINISHED
    return set(json.loads(path.read_text("utf-8"))) if path.is_file() else set()


def _is_same(file: Path, size_bytes: int, sha256: str) -> bool:
    if not file.is_file() or file.stat().st_size != size_bytes:
        return False
    with file.open("rb") as content:
        return _sha256(content) == sha256


def _sha256(content: IO[bytes]) -> str:
    content.seek(0)
    return hashlib.file_digest(content, "sha256").hexdigest()  # type: ignore[arg-type]
