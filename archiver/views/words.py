"""What views are made of: their columns, and the few words in which SQLite and PostgreSQL differ."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from sqlalchemy import BigInteger, Boolean, Date, Double, Text

from archiver.instants import UtcDateTime

TEXT, INTEGER, BOOLEAN, DATE, INSTANT = Text(), BigInteger(), Boolean(), Date(), UtcDateTime()
FLOAT: Double[float] = Double()

_Z = NormalDist().inv_cdf(0.975)
_FLOAT = "DOUBLE PRECISION"  # SQLite reads it as REAL


@dataclass(frozen=True)
class ViewColumn:
    """A column of a view: its name, its SQLAlchemy type and what it says."""

    name: str
    type: Any
    comment: str


@dataclass(frozen=True)
class View:
    """A view: what a row is, its columns in order, a question it answers, and its query on each database."""

    name: str
    grain: str
    columns: tuple[ViewColumn, ...]
    question: str
    example: str
    query: Callable[["Dialect"], str]


@dataclass(frozen=True)
class Dialect:
    """One database's way of saying what both can."""

    is_sqlite: bool

    @property
    def by_code(self) -> str:
        """Text sorts by code point, as in Python, whatever the database's language is."""
        return "" if self.is_sqlite else 'COLLATE "C"'

    def same(self, left: str, right: str) -> str:
        """Equal, or both NULL."""
        return f"{left} IS {right}" if self.is_sqlite else f"{left} IS NOT DISTINCT FROM {right}"

    def seconds(self, start: str, end: str) -> str:
        """Return the seconds between two instants, in whole milliseconds; NULL where either is."""
        if self.is_sqlite:
            # A Julian day as a double is some hundredths of a millisecond off: rounding makes it exact.
            return f"(round((julianday({end}) - julianday({start})) * 86400000.0) / 1000.0)"
        return f"(round(extract(epoch FROM {end} - {start}) * 1000)::double precision / 1000.0::double precision)"

    def next_week(self, day: str) -> str:
        """Return the day seven days after."""
        return f"date({day}, '+7 days')" if self.is_sqlite else f"({day} + 7)"

    def root(self, value: str) -> str:
        """Return the square root of a value of at least 0.9.

        Not every SQLite has sqrt(): it is an option of its build, and analysts open the file with clients of
        their own. Newton's method comes from above and doubles its digits at each step.
        """
        if not self.is_sqlite:
            return f"sqrt({value})"
        return (
            f"(WITH RECURSIVE newton (step, guess) AS (SELECT 0, 1.0 + {value} / 2.0 UNION ALL "
            f"SELECT step + 1, (guess + {value} / guess) / 2.0 FROM newton "
            f"WHERE step < 60 AND guess * guess - {value} > 1e-15 * {value}) "
            "SELECT guess FROM newton ORDER BY step DESC LIMIT 1)"
        )

    def key_of_earliest(self, instant: str, row_key: str) -> str:
        """Return the key of a group's earliest row, of several the smallest; NULL where no row has an instant."""
        if self.is_sqlite:  # an instant is a text of 24 letters
            return f"substr(min({instant} || {row_key}), 25)"
        in_order = f"array_agg({row_key} ORDER BY {instant}, {row_key} {self.by_code})"
        return f"({in_order} FILTER (WHERE {instant} IS NOT NULL))[1]"

    def ranked(self, rows: str, measures: tuple[str, ...], group: str) -> str:
        """Return rows prepared for `quantile`: SQLite, which has none, needs each value's rank in its group."""
        if not (self.is_sqlite and measures):
            return rows
        ranks = ", ".join(
            f"row_number() OVER (PARTITION BY {group} ORDER BY {measure} NULLS LAST) AS {measure}_rank, "
            f"count({measure}) OVER (PARTITION BY {group}) AS {measure}_count"
            for measure in measures
        )
        return f"SELECT y.*, {ranks} FROM ({rows}) AS y"

    def quantile(self, share: float, measure: str) -> str:
        """Return a quantile of a group, interpolated linearly between its two neighbours; NULL without values."""
        if not self.is_sqlite:
            return f"percentile_cont({share}) WITHIN GROUP (ORDER BY {measure})"
        # Each value weighs as much as it is near to the place looked for: only the two neighbours do.
        return f"sum({measure} * max(0.0, 1.0 - abs({measure}_rank - 1 - {share} * ({measure}_count - 1))))"

    def for_each(self, names: tuple[str, ...], query: str, alias: str) -> tuple[str, dict[str, str]]:
        """Return a left join with a query about the row on its left, and how each of its columns is written.

        So a question about one week, or one plan, runs the query for that one only, whatever it is made of.
        SQLite, which has no LATERAL, passes the rows through a table-valued function.
        """
        if not self.is_sqlite:
            return f"LEFT JOIN LATERAL ({query}) AS {alias} ON true", {name: f"{alias}.{name}" for name in names}
        packed = f"SELECT json_group_array(json_array({', '.join(names)})) FROM ({query}) AS packed"
        unpacked = {name: f"json_extract({alias}.value, '$[{place}]')" for place, name in enumerate(names)}
        return f"LEFT JOIN json_each(({packed})) AS {alias} ON true", unpacked


SQLITE, POSTGRESQL = Dialect(is_sqlite=True), Dialect(is_sqlite=False)


def rate(part: str, whole: str) -> str:
    """Divide counts; NULL where the whole is 0."""
    return f"CAST({part} AS {_FLOAT}) / NULLIF({whole}, 0)"


def wilson_spread(dialect: Dialect, hits: str, total: str) -> str:
    """Return the root in Wilson's formula, times the total; NULL for nothing out of nothing."""
    inner = f"(CAST({hits} AS {_FLOAT}) * ({total} - {hits}) / {total} + CAST({_Z * _Z / 4!r} AS {_FLOAT}))"
    return f"CASE WHEN {total} > 0 THEN {dialect.root(inner)} END"


def wilson(hits: str, total: str, spread: str) -> tuple[str, str]:
    """Return the bounds of the 95 % Wilson score interval of hits out of total, given its `wilson_spread`."""
    z, weight = f"CAST({_Z!r} AS {_FLOAT})", f"CAST({_Z * _Z!r} AS {_FLOAT})"
    low = f"({hits} + {weight} / 2 - {z} * {spread}) / ({total} + {weight})"
    high = f"({hits} + {weight} / 2 + {z} * {spread}) / ({total} + {weight})"
    return (
        f"CASE WHEN {total} > 0 AND {hits} = 0 THEN CAST(0 AS {_FLOAT}) ELSE {low} END",
        f"CASE WHEN {total} > 0 AND {hits} = {total} THEN CAST(1 AS {_FLOAT}) ELSE {high} END",
    )


def count_if(condition: str) -> str:
    """Count the rows for which a condition holds."""
    return f"count(*) FILTER (WHERE {condition})"


def key(*parts: str) -> str:
    """Join texts to a key; all but the last must be free of slashes, or be escaped with `escaped`."""
    return " || '/' || ".join(parts)


def escaped(text: str) -> str:
    """Keep a text from running into the next part of a key."""
    return f"replace(replace({text}, '~', '~0'), '/', '~1')"
