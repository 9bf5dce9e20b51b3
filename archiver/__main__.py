"""`python -m archiver` is the command `archiver`, which Ctrl-C ends quietly from its first import on."""

import gc
import sys

# As new objects since the last look for what can go, of those that hold others: at Python's own 700 a tenth of a
# command's start is spent on looks that find next to nothing.
_OBJECTS_BETWEEN_LOOKS = 200_000


def main() -> None:
    """Run the command."""
    gc.set_threshold(_OBJECTS_BETWEEN_LOOKS)
    try:
        from archiver.cli import main as run  # noqa: PLC0415 - it takes a while, in which Ctrl-C is no traceback

        run()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # the process ends: the interpreter's last look for what can go takes a fifth of a short command


if __name__ == "__main__":
    main()
