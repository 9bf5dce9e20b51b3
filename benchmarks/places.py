"""Places to write to: an SQLite file or a PostgreSQL database, copied from a prepared one for each run."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from archiver.database import open_writer
from archiver.migrate import upgrade

SCHEMA = "release_archive"
SERVER = os.environ.get("ARCHIVER_TEST_POSTGRES_URL") or "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"


class SqlitePlace:
    """A file, and the one it is copied from."""

    kind = "SQLite"

    def __init__(self, directory: Path, name: str) -> None:
        self.path, self.template = directory / f"{name}.db", directory / f"{name}.template.db"
        self.url = f"sqlite:///{self.path}"
        self.raw = str(self.path)

    def migrate(self):
        """Make an archive's tables."""
        upgrade(open_writer(self.url, SCHEMA), self.url, SCHEMA)

    def keep(self):
        """Make what is there now the template."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(self.path, self.template)

    def renew(self):
        """Go back to the template, or to nothing."""
        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink()
        if self.template.exists():
            shutil.copy(self.template, self.path)

    def count(self, table):
        """Count rows."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    def drop(self):
        """Leave nothing behind: the directory is thrown away."""


class PostgresqlPlace:
    """A database, and the one it is made from."""

    kind = "PostgreSQL"

    def __init__(self, _: Path, name: str) -> None:
        self.name = f"bench_{os.getpid()}_{name}"
        url = make_url(SERVER).set(database=self.name)
        self.url = url.render_as_string(hide_password=False)
        parts = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
        self.raw = f"dbname={self.name} " + " ".join(f"{key}={value}" for key, value in parts.items() if value)
        self.has_template = False
        self._do(f"CREATE DATABASE {self.name}")

    def _do(self, *statements):
        server = create_engine(SERVER, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with server.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def migrate(self):
        """Make an archive's tables."""
        engine = open_writer(self.url, SCHEMA)
        upgrade(engine, self.url, SCHEMA)
        engine.dispose()

    def keep(self):
        """Make what is there now the template."""
        self.has_template = True
        self._do(f"CREATE DATABASE {self.name}_template TEMPLATE {self.name}")

    def renew(self):
        """Go back to the template, or to nothing."""
        of_template = f" TEMPLATE {self.name}_template" if self.has_template else ""
        self._do(f"DROP DATABASE {self.name} WITH (FORCE)", f"CREATE DATABASE {self.name}{of_template}")

    def count(self, table):
        """Count rows."""
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text(f"SET search_path TO {SCHEMA}, public"))
            return connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()

    def drop(self):
        """Leave nothing behind."""
        self._do(*(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in (self.name, f"{self.name}_template")))


def has_postgresql():
    """Whether the tests' server answers."""
    try:
        create_engine(SERVER, poolclass=NullPool, connect_args={"connect_timeout": 3}).connect().close()
    except Exception:  # noqa: BLE001 - whatever keeps it away
        return False
    return True
