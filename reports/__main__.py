"""`python -m reports` is the command `reports`, which Ctrl-C ends quietly from its first import on."""

import gc
import sys

# As `archiver` has it: at Python's own 700 new objects a command's start is full of looks for what can go.
_OBJECTS_BETWEEN_LOOKS = 200_000


def main() -> None:
    """Run the command."""
    gc.set_threshold(_OBJECTS_BETWEEN_LOOKS)
    try:
        from reports.cli import main as run  # noqa: PLC0415 - it takes a while, in which Ctrl-C is no traceback

        run()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # the process ends, and with it what the interpreter would look through once more


if __name__ == "__main__":
    main()
