"""Files and folders for their owner alone, whatever the umask: an archive and its reports are not everyone's."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_FILE, _FOLDER = 0o600, 0o700


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are missing, with mode 0700; one that is there stays as it is."""
    for missing in reversed([folder, *folder.parents]):
        with suppress(FileExistsError):
            missing.mkdir(mode=_FOLDER)
    if not folder.is_dir():
        folder.mkdir()  # raises, with the reason


def write_file(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file whole, also of pieces: a reader never sees half of it.

    Nothing is left of one that can't be written. A new file has mode 0600; one that is replaced keeps its mode.
    Raises OSError.
    """
    beside = path.parent / f".{path.name}.part"
    mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else _FILE
    with suppress(FileNotFoundError):
        beside.unlink()  # of a process that died
    try:
        # Not one that another put there meanwhile, as a link to somewhere else, where a folder is everyone's.
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            os.fchmod(descriptor, mode)
        beside.replace(path)
    finally:
        # Gone already when all went well; out of reach when the folder is.
        with suppress(OSError):
            beside.unlink()
