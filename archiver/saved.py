"""Saved bodies: files, folders, standard input and archives of lines, read into observations."""

import gzip
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import zstandard

from archiver.api.limits import MEBIBYTE
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
# As much as the list of plans may have. A few bytes can unpack to more than any memory holds.
_MAX_BYTES = 512 * MEBIBYTE
# One block of Zstandard holds up to 128 KiB and may be 4 bytes: so much of it at once unpacks to 32 MiB at most.
_ZSTD_PIECE_BYTES = 1024


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
            yield from _read("standard input", sys.stdin.buffer.read(_MAX_BYTES + 1), captured_at or now)
            continue
        for file in _files(Path(path)):
            try:
                with file.open("rb") as opened:
                    content = opened.read(_MAX_BYTES + 1)
                changed_at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
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
    packed = content
    try:
        if content.startswith(_GZIP):
            with gzip.open(BytesIO(packed)) as unpacked:
                content = unpacked.read(_MAX_BYTES + 1)
        elif content.startswith(_ZSTD):
            content = _unpack_zstd(packed)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        yield Unreadable(name, f"can't be decompressed: {error}", packed)
        return
    if len(content) > _MAX_BYTES:
        reason = f"is larger than {_MAX_BYTES // MEBIBYTE} MiB: part it into several files"
        yield Unreadable(name, reason, b"" if packed is content else packed)
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


def _unpack_zstd(packed: bytes) -> bytes:
    """Unpack all frames, at most a little more than may be read. ZstdError where the last one is cut off."""
    parts: list[bytes] = []
    size_bytes = place = 0
    decompressor = zstandard.ZstdDecompressor()
    while place < len(packed) and size_bytes <= _MAX_BYTES:
        frame = decompressor.decompressobj()
        while not frame.eof and size_bytes <= _MAX_BYTES:
            if place >= len(packed):
                raise zstandard.ZstdError("it is cut off")
            parts.append(frame.decompress(packed[place : place + _ZSTD_PIECE_BYTES]))
            size_bytes += len(parts[-1])
            place = min(place + _ZSTD_PIECE_BYTES, len(packed))
        place -= len(frame.unused_data)
    return b"".join(parts)


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
