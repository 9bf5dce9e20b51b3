"""The bar of a run on a terminal: which project, how many of its plans, and how long it will take."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from archiver.progress import Progress

# A terminal echoes Ctrl-C as `^C` where the bar ends. Without room for it there, a piece of the bar would be left.
_ECHO_WIDTH = 3


@contextmanager
def progress_on(stream: TextIO, log_format: str) -> Iterator[Progress]:
    """Show a bar while the block runs, below the log, and leave nothing of it.

    None where logs are JSON, or where nothing can be drawn: in a file or a pipe, or on a dumb terminal.
    """
    console = Console(file=stream)
    if log_format == "json" or not stream.isatty() or console.is_dumb_terminal:
        yield Progress()
        return
    # Where it is narrow, name and bar give way to the numbers.
    whole = Column(no_wrap=True)
    columns = (
        _Name(),
        BarColumn(bar_width=24),
        MofNCompleteColumn(table_column=whole),
        TimeRemainingColumn(table_column=whole),
    )
    # Results go to standard output, and never through here.
    with _Bars(*columns, console=console, transient=True, redirect_stdout=False) as bars:
        yield _OnTerminal(bars)


class _OnTerminal(Progress):
    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    def begin(self, project_id: str, total: int) -> None:
        for task_id in self._bars.task_ids:
            self._bars.remove_task(task_id)
        self._bars.add_task(project_id, total=total)

    def advance(self) -> None:
        for task_id in self._bars.task_ids:
            self._bars.advance(task_id)


class _Name(ProgressColumn):
    def render(self, task: Task) -> RenderableType:
        return Text(task.description[:40], no_wrap=True, overflow="ellipsis")


class _Bars(Bars):
    def get_renderables(self) -> Iterator[RenderableType]:
        yield _WithRoom(self.make_tasks_table(self.tasks))


class _WithRoom:
    def __init__(self, shown: RenderableType) -> None:
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self._shown, options.update_width(options.max_width - _ECHO_WIDTH))
