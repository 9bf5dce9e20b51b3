"""Rights on PostgreSQL: what a role needs that only reads, or that archives without making tables, as SQL."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, LargeBinary, Table, exc, text

from archiver.database import first_line
from archiver.errors import DatabaseError, SettingsError
from archiver.schema import metadata, snapshots
from archiver.viewing import run_statements
from archiver.views import VIEWS

_VERSION = "alembic_version"

# What PostgreSQL says when we may not ("Error Codes").
_NOT_ALLOWED = "42501"


@dataclass(frozen=True, slots=True)
class Grantee:
    """A role to give rights to, in a schema. Both may be any text."""

    role: str
    schema: str

    @property
    def name(self) -> str:
        """The role, as SQL names it."""
        return _identifier(self.role)

    def table(self, name: str) -> str:
        """Return a table or view of the schema, as SQL names it."""
        return f"{_identifier(self.schema)}.{name}"


def withheld_columns() -> dict[str, list[str]]:
    """Name the columns that no analyst reads, by table: whatever holds bodies as they came, or rows made of them."""
    held = {
        table.name: [column.name for column in table.columns if isinstance(column.type, LargeBinary)]
        for table in metadata.sorted_tables
    }
    return {name: columns for name, columns in held.items() if columns}


def analyst_statements(to: Grantee) -> Iterator[str]:
    """Yield what gives a role the right to read all but the bodies, and takes away any right to these.

    Each statement names the schema and may be run again. The first ones fail where the role is none, or is one that
    writes: taking the bodies from it would stop the archive.
    """
    yield _must_exist(to)
    writes = f"has_table_privilege({_literal(to.role)}, {_literal(to.table('runs'))}, 'INSERT')"
    said = f"role {to.name} writes the archive: an analyst is a role that only reads"
    yield _do(f"IF {writes} THEN {_refuse(said)} END IF;")
    held = withheld_columns()
    whole = [table.name for table in metadata.sorted_tables if table.name not in held]
    whole += [*(view.name for view in VIEWS), _VERSION]
    yield f"GRANT USAGE ON SCHEMA {_identifier(to.schema)} TO {to.name}"
    yield f"GRANT SELECT ON {', '.join(map(to.table, whole))} TO {to.name}"
    # Of the whole table, and thereby of each column: what a wider grant gave before goes away.
    yield f"REVOKE ALL ON {', '.join(map(to.table, held))} FROM {to.name}"
    for table in metadata.sorted_tables:
        if table.name in held and table is not snapshots:
            yield f"GRANT SELECT ({_shown(table, held[table.name])}) ON {to.table(table.name)} TO {to.name}"
    yield _later_tables(to, "SELECT")
    yield from (_must_not_read(to, table, column) for table in held for column in held[table])


def writer_statements(to: Grantee) -> Iterator[str]:
    """Yield what gives a role the right to archive: to read and change rows, not to make or alter tables."""
    yield _must_exist(to)
    rights = "SELECT, INSERT, UPDATE, DELETE"
    tables = [table.name for table in metadata.sorted_tables]
    yield f"GRANT USAGE ON SCHEMA {_identifier(to.schema)} TO {to.name}"
    yield f"GRANT {rights} ON {', '.join(map(to.table, tables))} TO {to.name}"
    yield f"GRANT SELECT ON {', '.join(map(to.table, [*(view.name for view in VIEWS), _VERSION]))} TO {to.name}"
    yield _later_tables(to, rights)


def no_jit_statement(to: Grantee) -> str:
    """Return what turns JIT off for a role in this database: compiling the weekly views takes longer than running."""
    command = f"ALTER ROLE {_of_format(to.name)} IN DATABASE %I SET jit = off"
    return _do(f"EXECUTE format({_literal(command)}, current_database());")


def grant_analyst(connection: Connection, to: Grantee) -> list[str]:
    """Make a role an analyst, in the caller's transaction; return what is so now, a line each.

    DatabaseError if there is no such role, it writes, we may not, or it reads the bodies by other rights all the same.
    """
    _run(connection, analyst_statements(to))
    held = withheld_columns()
    names = ["snapshots", *(f"{table}.{column}" for table in held if table != "snapshots" for column in held[table])]
    said = [f"{to.name} reads every table and view of {to.schema}, also later ones, but not {', '.join(names)}"]
    try:
        with connection.begin_nested():
            run_statements(connection, [no_jit_statement(to)])
    except exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _NOT_ALLOWED:
            raise
        said.append(
            "jit stays as it is for it, and slows the weekly views many times: let it, or a DBA, run "
            f"ALTER ROLE {to.name} IN DATABASE {_database(connection)} SET jit = off"
        )
    else:
        said.append(f"jit is off for it in {_database(connection)}, from its next connection on")
    return said


def grant_writer(connection: Connection, to: Grantee) -> list[str]:
    """Let a role archive, in the caller's transaction; return what is so now. DatabaseError as for an analyst."""
    _run(connection, writer_statements(to))
    return [f"{to.name} reads and changes the rows of {to.schema}, also of later tables, and makes no table"]


def check_role(role: str) -> None:
    """Raise SettingsError for what can be no role: PostgreSQL would shorten it, or take it for everyone."""
    if not role or "\0" in role or len(role.encode()) > 63:
        raise SettingsError(f"{role[:80]!r} is no role: a name has 1 to 63 bytes")
    if role in ("public", "none"):
        raise SettingsError(f"{role!r} is no role of its own: name one that people or programs connect as")


def _run(connection: Connection, statements: Iterator[str]) -> None:
    try:
        run_statements(connection, statements)
    except exc.DBAPIError as error:
        raise DatabaseError(f"no right was given: {first_line(error)}") from None


def _database(connection: Connection) -> str:
    return _identifier(connection.execute(text("SELECT current_database()")).scalar_one())


def _must_exist(to: Grantee) -> str:
    # As text: a name would be cut to 63 bytes, and could then be another's.
    there = f"SELECT FROM pg_catalog.pg_roles WHERE rolname::text = {_literal(to.role)}"
    said = f"there is no role {to.name}: make it with CREATE ROLE, or name another"
    return _do(f"IF NOT EXISTS ({there}) THEN {_refuse(said)} END IF;")


def _refuse(said: str) -> str:
    return f"RAISE EXCEPTION USING MESSAGE = {_literal(said)};"


def _must_not_read(to: Grantee, table: str, column: str) -> str:
    said = (
        f"role {to.name} reads {table}.{column} by other rights (of PUBLIC, or of a role it belongs to): "
        "take those away first"
    )
    asked = f"{_literal(to.role)}, {_literal(to.table(table))}, {_literal(column)}, 'SELECT'"
    return _do(f"IF has_column_privilege({asked}) THEN {_refuse(said)} END IF;")


def _later_tables(to: Grantee, rights: str) -> str:
    """Give the same rights on what the owner of the tables makes later, whoever runs this."""
    command = (
        f"ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA {_of_format(_identifier(to.schema))} "
        f"GRANT {rights} ON TABLES TO {_of_format(to.name)}"
    )
    place = f"schemaname = {_literal(to.schema)} AND tablename = 'runs'"
    owner = f"(SELECT tableowner FROM pg_catalog.pg_tables WHERE {place})"
    return _do(f"EXECUTE format({_literal(command)}, {owner});")


def _shown(table: Table, held: list[str]) -> str:
    return ", ".join(column.name for column in table.columns if column.name not in held)


def _do(body: str) -> str:
    return f"DO {_literal(f'BEGIN {body} END')}"


def _of_format(words: str) -> str:
    return words.replace("%", "%%")


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str) -> str:
    """Quote a text; one with a backslash as such, whatever `standard_conforming_strings` says."""
    quoted = "'" + value.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in value else quoted
