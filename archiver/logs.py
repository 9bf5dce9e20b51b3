"""The log: events on standard error, as text for people or as JSON lines for collectors."""

import logging
import sys
from typing import Any

import structlog


def configure(log_format: str, level: int = logging.INFO) -> None:
    """Send structlog's events to standard error in the given format, `text` or `json`."""
    is_json = log_format == "json"
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
