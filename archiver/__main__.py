"""`python -m archiver` is the command `archiver`, which Ctrl-C ends quietly from its first import on."""

import sys


def main() -> None:
    """Run the command."""
    try:
        from archiver.cli import main as run  # noqa: PLC0415 - it takes a while, in which Ctrl-C is no traceback

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
