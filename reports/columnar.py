"""The archive read column by column through ADBC, where its driver is installed, in the same state as a connection."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Column, Connection, Engine, Select, func
from sqlalchemy.dialects import postgresql, sqlite

from archiver.instants import instant_text
from reports.columns import INSTANT, WORDS, Contract
from reports.gathering import Coded, Portion, gathered

_ROWS_AT_ONCE = "65536"
# The SQLite driver tells a column's type by its first rows: where these may all be missing, something stands for that.
_NO_TEXT, _NO_NUMBER = "", float("inf")


class Columnar:
    """A connection to an archive by the side of SQLAlchemy's.

    The driver has an SQLite of its own. Two of them in one process take each other's locks away when they close
    ("How To Corrupt An SQLite Database File", 2.2.1): so this one only reads, and is closed after the other.
    """

    def __init__(self, engine: Engine) -> None:
        """Connect. ImportError without a driver, ValueError for a database in memory, the driver's own errors."""
        self._is_sqlite = engine.dialect.name == "sqlite"
        driver = import_module(f"adbc_driver_{engine.dialect.name}.dbapi")
        self.error: type[Exception] = driver.Error
        self._connection = driver.connect(self._uri(engine), autocommit=True)
        self._version = self._data_version() if self._is_sqlite else None

    def close(self) -> None:
        """Close it; its cursors are."""
        self._connection.close()

    def join(self, connection: Connection) -> bool:
        """Begin to read what `connection` reads, whose transaction has just begun; False if that isn't the same state.

        Between two sights of one data version nothing was committed ("PRAGMA data_version").
        """
        if self._is_sqlite:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema")
            begin = ["BEGIN"]
        else:
            path = connection.exec_driver_sql("SHOW search_path").scalar()
            snapshot = connection.scalar(func.pg_export_snapshot().select())
            begin = [
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                f"SET TRANSACTION SNAPSHOT '{snapshot}'",
                f"SET LOCAL search_path TO {path}",
            ]
        try:
            for statement in begin:
                self._do(statement)
            return not self._is_sqlite or bool(self._data_version() == self._version)
        except self.error:
            return False

    def read(self, query: Select[Any], contract: Contract) -> pd.DataFrame | None:
        """Read a query as a frame of the contract; None where the driver can't, and SQLAlchemy must."""
        import pyarrow as pa

        try:
            return gathered(self._portions(query, contract), contract)
        except (self.error, pa.ArrowException):
            return None

    def _portions(self, query: Select[Any], contract: Contract) -> Iterator[Portion]:
        statement, values = self._compiled(query, contract)
        with self._connection.cursor() as cursor:
            if self._is_sqlite:
                cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": _ROWS_AT_ONCE})
            cursor.execute(statement, values)
            # One without rows has columns of any type.
            for batch in filter(len, _ahead(cursor.fetch_record_batch())):
                columns = zip(batch.columns, contract.values(), strict=True)
                yield [_typed(array, dtype, is_sqlite=self._is_sqlite) for array, dtype in columns]

    def _compiled(self, query: Select[Any], contract: Contract) -> tuple[str, list[Any] | None]:
        """Write a query out. PostgreSQL's driver is fast only without parameters; SQLite has a limit to its text."""
        if not self._is_sqlite:
            dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call] # others would double each %
            return str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True})), None
        columns = zip(query.selected_columns, contract.values(), strict=True)
        query = query.with_only_columns(*(_never_missing(*column) for column in columns))
        compiled = query.compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
        values = [compiled.params[name] for name in compiled.positiontup or ()]
        return str(compiled), [instant_text(value) if hasattr(value, "tzinfo") else value for value in values] or None

    def _uri(self, engine: Engine) -> str:
        if not self._is_sqlite:
            return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with engine.connect() as connection:
            files = connection.exec_driver_sql("PRAGMA database_list").all()
        (path,) = (Path(file) for _, name, file in files if name == "main" and file)
        return f"{path.as_uri()}?mode=ro"

    def _do(self, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)

    def _data_version(self) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            return cursor.fetchone()


@contextmanager
def columnar(engine: Engine) -> Iterator[Columnar | None]:
    """Connect beside an engine; None where there is no driver, or it can't."""
    with ExitStack() as stack:
        found = None
        with suppress(Exception):  # whatever keeps a driver away, there is another way to read
            found = Columnar(engine)
            stack.callback(found.close)
        yield found


def _ahead(batches: Iterator[Any]) -> Iterator[Any]:
    """Let the driver make the next batch, without Python's lock, while one is taken in."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def _never_missing(column: Any, dtype: str) -> Any:
    """Let something stand for a missing value; a column without a label is taken to be as its table says."""
    if (isinstance(column, Column) and not column.nullable) or dtype in {"Int64", "int64", "bool"}:
        return column
    return func.coalesce(column, _NO_NUMBER if dtype == "float64" else _NO_TEXT)


def _typed(array: Any, dtype: str, *, is_sqlite: bool) -> Any:
    """Give an Arrow array the dtype of a contract, in memory of its own: a view would keep all columns of its rows."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if dtype == WORDS:
        coded = array.dictionary_encode()
        words = [word or None for word in coded.dictionary.to_pylist()]
        return Coded(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), words)
    if is_sqlite and dtype in {INSTANT, "str"}:
        array = pc.if_else(pc.equal(array, _NO_TEXT), None, array)
    if dtype == INSTANT:
        instants = array.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.timestamp("ms"))
        return pd.Series(instants.to_numpy(zero_copy_only=False).copy()).dt.tz_localize("UTC")
    if dtype == "Int64":
        numbers = array.cast(pa.int64())
        missing = numbers.is_null().to_numpy(zero_copy_only=False)
        return pd.Series(pd.arrays.IntegerArray(numbers.fill_null(0).to_numpy().copy(), missing))
    if dtype == "float64":
        numbers = pd.Series(array.to_numpy(zero_copy_only=False))
        return numbers.where(numbers != _NO_NUMBER)
    return (pa.concat_arrays([array, array[:0]]) if dtype == "str" else array).to_pandas().copy()
