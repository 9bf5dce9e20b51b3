"""How far a run is: on a terminal as a bar, else not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Progress:
    """Is told how far a run is, and shows nothing."""

    def begin(self, project_id: str, total: int) -> None:
        """Begin a project, of which so many plans are to be fetched."""

    def advance(self) -> None:
        """Count a plan."""


@contextmanager
def progress_on(stream: TextIO, log_format: str) -> Iterator[Progress]:
    """Show a bar on a terminal while the block runs, below the log; none where logs are JSON, or it is no terminal."""
    if log_format == "json" or not stream.isatty():
        yield Progress()
        return
    from rich.console import Console  # noqa: PLC0415 - only people at a terminal need it
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(file=stream), transient=True) as bars:

        class OnTerminal(Progress):
            task = None

            def begin(self, project_id: str, total: int) -> None:
                if self.task is not None:
                    bars.remove_task(self.task)
                self.task = bars.add_task(project_id[:40], total=total)

            def advance(self) -> None:
                if self.task is not None:
                    bars.advance(self.task)

        yield OnTerminal()
