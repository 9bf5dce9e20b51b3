"""How instants are written and stored: UTC, to the millisecond."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import TIMESTAMP, Dialect, Text, TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC instant: `timestamptz` on PostgreSQL, `YYYY-MM-DDTHH:MM:SS.mmmZ` text on SQLite.

    The text sorts as time does, and SQLite's date functions read it. Naive values are refused.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Choose the column type."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse a naive instant; write the rest in UTC."""
        if value is None or dialect.name != "postgresql":
            return None if value is None else instant_text(value)
        self.refuse_naive(value)
        return value.astimezone(UTC)

    @staticmethod
    def refuse_naive(value: datetime | None) -> None:
        """Raise ValueError for an instant that does not say its zone."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a naive datetime {value} can't be stored: say its zone")

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        """Read aware UTC instants. (`process_result_value` would cost each of a row's instants two calls more.)"""
        del coltype
        return _in_utc if dialect.name == "postgresql" else _of_text


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


def _of_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


def instant_text(instant: datetime) -> str:
    """Write an instant as the SQLite archive and the reports do, `2026-11-24T02:15:00.000Z`; refuse a naive one."""
    if instant.tzinfo is UTC:
        return _utc_text(instant)
    UtcDateTime.refuse_naive(instant)
    # Asked in UTC: of two local times that differ in their fold alone, Python says that they are equal.
    return _utc_text(instant.astimezone(UTC))


@lru_cache(maxsize=4096)
def _utc_text(instant: datetime) -> str:
    """Write an instant of UTC. Most rows of a transaction tell of the same few instants."""
    return instant.isoformat(timespec="milliseconds")[:-6] + "Z"
