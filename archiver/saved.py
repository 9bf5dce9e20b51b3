"""Saved bodies: files, folders, standard input and archives of lines, read into observations."""

import errno
import gzip
import os
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import NoReturn

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
from archiver.mapping import LOST, text

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# As much as the list of plans may have. A few bytes can unpack to more than any memory holds.
_MAX_BYTES = 512 * MEBIBYTE
# One block of Zstandard holds up to 128 KiB and may be 4 bytes: so much of it at once unpacks to 32 MiB at most.
_ZSTD_PIECE_BYTES = 1024
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# No body is older than the API's own count of time; an instant of the year 1 is no longer one west of Greenwich.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
# A file server's clock may be a little ahead of this machine's.
_CLOCKS_DIFFER = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Observation:
    """One body of one plan, as it was seen then."""

    plan_id: str
    kind: str
    content: bytes
    captured_at: datetime


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file, a line of one, or an item of a list, that is no body."""

    name: str
    reason: str
    content: bytes = b""


def read_saved(paths: Iterable[str], captured_at: datetime | None, now: datetime) -> Iterator[Observation | Unreadable]:
    """Read what the paths hold, as seen at `captured_at`, else at each file's time; `-` is standard input, seen now.

    Raises SettingsError at once, before anything is read, where a path is not there or may not be read.
    """
    files = [file for path in paths for file in ([None] if path == "-" else _files(path))]
    return _read_all(files, captured_at, now)


def _read_all(
    files: Iterable[Path | None], captured_at: datetime | None, now: datetime
) -> Iterator[Observation | Unreadable]:
    for file in files:
        if file is None:
            yield from _read("standard input", sys.stdin.buffer.read(_MAX_BYTES + 1), captured_at or now)
            continue
        name = _shown(file)
        try:
            at = captured_at or _seen_at(file.stat().st_mtime, now)
            with file.open("rb") as opened:
                content = opened.read(_MAX_BYTES + 1)
        except OSError as error:  # it went, or its disk failed, since the paths were looked at
            yield Unreadable(name, f"can't be read: {error.strerror}")
        except ValueError as error:
            yield Unreadable(name, f"{error}: name --captured-at")
        else:
            yield from _read(name, content, at)


def _seen_at(modified_seconds: float, now: datetime) -> datetime:
    """Take a file's time for when its body was seen; ValueError where it can't have been."""
    if modified_seconds > (now + _CLOCKS_DIFFER).timestamp():
        raise ValueError("its time lies in the future")
    if modified_seconds < EARLIEST.timestamp():
        raise ValueError("its time lies before 1970")
    return min(now, to_milliseconds(datetime.fromtimestamp(modified_seconds, UTC)))


def _files(path: str) -> list[Path]:
    """Return the file, or those in the folder and below; SettingsError unless all may be read."""

    def refuse(error: OSError) -> NoReturn:
        place = _shown(error.filename or path)
        if isinstance(error, FileNotFoundError):
            raise SettingsError(f"there is no file or folder {place}") from None
        raise SettingsError(f"can't read {place}: {error.strerror}") from None

    try:
        if not stat.S_ISDIR(Path(path).stat().st_mode):  # unlike is_dir(), it says what is wrong
            found = [Path(path)]
        else:
            walked = os.walk(path, onerror=refuse)
            within = sorted(Path(folder, name) for folder, _, names in walked for name in names)
            found = [file for file in within if file.is_file()]
        for file in found:
            if not os.access(file, os.R_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    except OSError as error:
        refuse(error)
    return found


def _shown(path: str | Path) -> str:
    """Write a path as text that can be stored: a name on disk is bytes, which need not be UTF-8."""
    return os.fsencode(path).decode("utf-8", "replace")


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
    if content.startswith(_UTF16_MARKS):
        yield Unreadable(name, "begins as UTF-16 does: save it as UTF-8", content)
        return
    yield from _bodies(name, content.removeprefix(_UTF8_MARK), at)


def _bodies(name: str, content: bytes, at: datetime) -> Iterator[Observation | Unreadable]:
    """Read one body, or a body a line where at least one line is one."""
    try:
        found = _one_body(name, content, at)
    except (CutShortError, WrongShapeError) as error:
        lines = [
            (f"{name}, line {number}", line) for number, line in enumerate(content.splitlines(), 1) if line.strip()
        ]
        if not any(_is_body(line) for _, line in lines):
            yield Unreadable(name, str(error), content)
            return
        for line_name, line in lines:
            try:
                yield from _one_body(line_name, line, at)
            except (CutShortError, WrongShapeError) as line_error:
                yield Unreadable(line_name, str(line_error), line)
        return
    yield from found


def _is_body(content: bytes) -> bool:
    try:
        _one_body("", content, EARLIEST)
    except (CutShortError, WrongShapeError):
        return False
    return True


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


def _one_body(name: str, content: bytes, at: datetime) -> list[Observation | Unreadable]:
    """Read a deployment information, or a list with its items; an item without an id is named by its position."""
    try:
        info = decode(content, DeployInfo)
    except WrongShapeError as error:
        try:
            items = decode(content, PlanList).release_plans
        except WrongShapeError:
            raise WrongShapeError(f"neither deployment information nor a list of plans: {error}") from None
        return [_item(f"{name}, item {position}", bytes(raw), at) for position, raw in enumerate(items, 1)]
    plan_id = text(info.id)
    if plan_id is None:
        raise WrongShapeError("the deployment information names no plan in `id`")
    if LOST in plan_id:
        raise WrongShapeError(f"the deployment information's id {plan_id!r} is not as it was")
    return [Observation(plan_id, "deploy_info", content, at)]


def _item(name: str, content: bytes, at: datetime) -> Observation | Unreadable:
    try:
        item = decode(content, PlanItem)
    except WrongShapeError as error:
        return Unreadable(name, f"the list holds what is no plan: {error}", content)
    plan_id = text(item.id)
    if plan_id is None:
        called = "" if item.name is None else f", called {(text(item.name) or '')[:100]!r}"
        return Unreadable(name, f"the list holds an item without an id{called}", content)
    if LOST in plan_id:
        return Unreadable(name, f"the list holds an item whose id {plan_id!r} is not as it was", content)
    return Observation(plan_id, "list_item", content, at)
