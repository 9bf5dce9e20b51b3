"""Saved bodies: files, folders, standard input and archives of lines, read into observations."""

import gzip
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import zstandard

from archiver.api.payloads import (
    CutShortError,
    DeployInfo,
    PlanItem,
    PlanList,
    WrongShapeError,
    decode,
)
from archiver.clock import to_milliseconds
from archiver.errors import SettingsError
from archiver.mapping import text

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class Observation:
    """One body of one plan, as it was seen then."""

    plan_id: str
    kind: str
    content: bytes
    captured_at: datetime


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file, or a line of one, that is no body."""

    name: str
    reason: str
    content: bytes


def read_saved(paths: Iterable[str], captured_at: datetime | None, now: datetime) -> Iterator[Observation | Unreadable]:
    """Read what the paths hold, as seen at `captured_at`, else at each file's time; `-` is standard input, seen now.

    Raises SettingsError where a path is not there or can't be read.
    """
    for path in paths:
        if path == "-":
            yield from _read("standard input", sys.stdin.buffer.read(), captured_at or now)
            continue
        for file in _files(Path(path)):
            try:
                content, changed_at = file.read_bytes(), datetime.fromtimestamp(file.stat().st_mtime, UTC)
            except OSError as error:
                raise SettingsError(f"can't read {file}: {error.strerror}") from None
            yield from _read(str(file), content, captured_at or to_milliseconds(changed_at))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    if not path.exists():
        raise SettingsError(f"there is no file or folder {path}")
    return [path]


def _read(name: str, content: bytes, at: datetime) -> Iterator[Observation | Unreadable]:
    try:
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
        elif content.startswith(_ZSTD):
            content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    except (OSError, EOFError, zstandard.ZstdError) as error:
        yield Unreadable(name, f"can't be decompressed: {error}", content)
        return
    try:
        found = list(_observations(content, at))
    except (CutShortError, WrongShapeError) as error:
        lines = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
        if len(lines) < 2:
            yield Unreadable(name, str(error), content)
            return
        for number, line in lines:
            try:
                yield from _observations(line, at)
            except (CutShortError, WrongShapeError) as line_error:
                yield Unreadable(f"{name}, line {number}", str(line_error), line)
        return
    yield from found


def _observations(content: bytes, at: datetime) -> Iterator[Observation]:
    """Read one body: a deployment information, or a list with its items."""
    try:
        info = decode(content, DeployInfo)
    except WrongShapeError as error:
        try:
            items = decode(content, PlanList).release_plans
        except WrongShapeError:
            raise WrongShapeError(f"neither deployment information nor a list of plans: {error}") from None
        for raw in items:
            plan_id = text(decode(bytes(raw), PlanItem).id)
            if plan_id is None:
                raise WrongShapeError("the list holds an item without an id") from None
            yield Observation(plan_id, "list_item", bytes(raw), at)
        return
    plan_id = text(info.id)
    if plan_id is None:
        raise WrongShapeError("the deployment information names no plan in `id`")
    yield Observation(plan_id, "deploy_info", content, at)
