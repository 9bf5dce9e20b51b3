"""The log: events on standard error, as text for people or as JSON lines for collectors."""

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from archiver.printing import printable


def _printable(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Show control and format characters instead of sending them to a terminal: names come from elsewhere."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}


def _has_colours() -> bool:
    """Whether standard error is a terminal that shows colours, and whoever sits there wants them (no-color.org)."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def configure(log_format: str, level: int = logging.INFO) -> None:
    """Send structlog's events to standard error in the given format, `text` or `json`."""
    is_json = log_format == "json"
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if is_json:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        # The usual formatter shows each frame's variables, and some hold secrets.
        console = structlog.dev.ConsoleRenderer(
            colors=_has_colours(), exception_formatter=structlog.dev.plain_traceback
        )
        processors += [_printable, console]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Asked for at each line: a progress bar takes its place while it is drawn, and keeps below the log.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
