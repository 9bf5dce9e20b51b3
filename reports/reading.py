"""The archive opened to be read in one state: as it is now, or as it was known at an instant."""

import gc
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd
from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Select,
    Table,
    Text,
    cast,
    func,
    select,
    true,
    tuple_,
)
from sqlalchemy.exc import SQLAlchemyError

from archiver import schema
from archiver.archive import open_reader
from archiver.asof import as_known_at
from archiver.database import first_line
from archiver.errors import DatabaseError
from archiver.known_failures import load_known_failures
from archiver.settings import Settings
from reports.columnar import Columnar, columnar
from reports.columns import KNOWN_FAILURES, Contract, conform
from reports.gathering import Portion, gathered

_ROWS_AT_ONCE = 10_000

# Says of a column with the keys of plans whether a plan counts.
KnownPlans = Callable[[ColumnElement[Any]], ColumnElement[bool]]


@dataclass(frozen=True, eq=False)
class Reading:
    """One state of the archive: the stored facts and, as of an instant, those that were other than they are stored.

    `facts` reads tables of plans, `books` those of runs, nights and failures.
    """

    stored: Connection
    projects: Sequence[str] | None = None
    as_of: datetime | None = None
    remembered: Connection | None = None
    refolded: frozenset[str] = frozenset()
    columnar: Columnar | None = None

    def facts(
        self,
        query: Select[Any],
        plan_key: Column[Any],
        contract: Contract,
        among: Collection[str] | None = None,
    ) -> pd.DataFrame:
        """Read a query on facts, `plan_key` being the column of it that tells the plan; rows in no certain order.

        `among` restricts it to some plans, by key.
        """
        if among is None:
            asked = [(connection, is_known(plan_key)) for connection, is_known in self._sources()]
        else:
            otherwise = self.refolded.intersection(among)
            known = [(self.stored, otherwise.symmetric_difference(among) if otherwise else among)]
            known += [(self.remembered, otherwise)] if self.remembered is not None else []
            asked = [(connection, _of_plans(connection, plan_key, keys)) for connection, keys in known]
        parts = [self._read(connection, query.where(is_asked), contract) for connection, is_asked in asked]
        return conform(pd.concat(parts, ignore_index=True), contract) if len(parts) > 1 else parts[0]

    def first_ranked(self, query_of: Callable[[KnownPlans], Select[Any]], contract: Contract) -> pd.DataFrame:
        """Read as `facts` does the rows of a query whose column `rank` is 1, ranked over the plans that count.

        `query_of` is given a function that says of a column with a plan's key whether the plan counts.
        """

        def first(ranked: Select[Any]) -> Select[Any]:
            found = ranked.subquery()
            return select(*(found.c[name] for name in contract)).where(found.c.rank == 1)

        parts = [read(connection, first(query_of(is_known)), contract) for connection, is_known in self._sources()]
        return conform(pd.concat(parts, ignore_index=True), contract) if len(parts) > 1 else parts[0]

    def books(self, query: Select[Any], contract: Contract) -> pd.DataFrame:
        """Read a query on runs, nights or failures."""
        return read(self._book_keeper, query, contract)

    def book_scalar(self, query: Select[Any]) -> Any:
        """Read one value of the books; None if there is no row."""
        return self._book_keeper.execute(query).scalar()

    def known_failures(self, until: date) -> pd.DataFrame:
        """Read KNOWN_FAILURES as they were in a night."""
        found = load_known_failures(self._book_keeper, self.projects, until)
        columns = {name: pd.Series([getattr(one, name) for one in found], dtype="object") for name in KNOWN_FAILURES}
        return conform(pd.DataFrame(columns), KNOWN_FAILURES)

    def of_projects(self, table: Any) -> ColumnElement[bool]:
        """Say which rows are of the named projects: all, where none are named."""
        if self.projects is None:
            return true()
        condition: ColumnElement[bool] = table.c.project_id.in_(self.projects)
        return condition

    def has(self, table: Table) -> bool:
        """Whether a table of today has a row."""
        return self.stored.scalar(select(table.select().exists())) is True

    @property
    def _book_keeper(self) -> Connection:
        return self.stored if self.remembered is None else self.remembered

    def _read(self, connection: Connection, query: Select[Any], contract: Contract) -> pd.DataFrame:
        if self.columnar is not None and connection is self.stored:
            frame = self.columnar.read(query, contract)
            if frame is not None:
                return frame
        return read(connection, query, contract)

    def _sources(self) -> list[tuple[Connection, KnownPlans]]:
        """Say where facts are, and which: the plans that are remembered otherwise are left out of the stored ones."""
        if self.remembered is None:
            return [(self.stored, _every)]

        def is_as_it_was(plan_key: ColumnElement[Any]) -> ColumnElement[bool]:
            return plan_key.not_in(_each(self.stored, self.refolded)) if self.refolded else true()

        return [(self.stored, is_as_it_was), (self.remembered, _every)]


def _every(_: ColumnElement[Any]) -> ColumnElement[bool]:
    return true()


def _of_plans(connection: Connection, plan_key: Column[Any], keys: Collection[str]) -> ColumnElement[bool]:
    """Say which facts are of some plans, by key. The tables of facts have an index by a plan's identifiers alone."""
    facts, plans = plan_key.table, schema.plans.alias()
    asked = select(plans.c.project_id, plans.c.plan_id).where(plans.c.plan_key.in_(_each(connection, keys)))
    return tuple_(facts.c.project_id, facts.c.plan_id).in_(asked)


def _each(connection: Connection, keys: Collection[str]) -> Select[Any]:
    """List keys in a query. They may be many: one value holds them all."""
    listed = json.dumps(sorted(keys))
    if connection.dialect.name == "sqlite":
        return select(func.json_each(listed).table_valued("value").c.value)
    each = func.json_array_elements_text(cast(cast(listed, Text), JSON))
    return select(each.table_valued("value").c.value)


@contextmanager
def opened(settings: Settings) -> Iterator[Engine]:
    """Open the archive to be read. DatabaseError if it is missing, out of reach, behind or ahead, or fails."""
    engine = open_reader(settings.database_url.get_secret_value(), settings.database_schema)
    try:
        yield engine
    except SQLAlchemyError as error:
        raise DatabaseError(f"the archive can't be read: {first_line(error)}") from None
    finally:
        engine.dispose()


@contextmanager
def reading(engine: Engine, projects: Sequence[str] | None = None, as_of: datetime | None = None) -> Iterator[Reading]:
    """Read every frame from the same state, while a run may be writing. DatabaseError where `as_of` can't be told."""
    with columnar(engine) as beside, engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901 - the same one
        else:
            # The driver may leave reads outside a transaction, where each query would see its own state.
            connection.begin()
            raw: Any = connection.connection.dbapi_connection
            if not raw.in_transaction:
                connection.exec_driver_sql("BEGIN")
        if beside is not None and not beside.join(connection):
            beside = None  # noqa: PLW2901 - a run saved something in between
        if as_of is None:
            yield Reading(connection, projects, columnar=beside)
            return
        known = as_known_at(connection, as_of, projects)
        with known.memory.connect() as remembered:
            yield Reading(connection, projects, as_of, remembered, known.refolded, beside)
        known.memory.dispose()


def read(connection: Connection, query: Select[Any], contract: Contract) -> pd.DataFrame:
    """Read in portions, as the driver sends them: `gathered` gives each column its dtype."""
    # SQLite sends rows one by one, and its instants are read faster than made; PostgreSQL streams if it is asked to.
    is_sqlite = connection.dialect.name == "sqlite"
    options = {"stream_results": not is_sqlite}
    with connection.execute(query, execution_options=options) as result, _without_collecting():
        return gathered(_portions(result.cursor if is_sqlite else result), contract)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Let no garbage be looked for: rows hold no cycles, and to look for some among them takes as long as to read."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _portions(result: Any) -> Iterator[Portion]:
    while rows := result.fetchmany(_ROWS_AT_ONCE):
        yield list(zip(*rows, strict=True))
