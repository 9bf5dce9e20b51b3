"""Views put in place: made anew where they differ from this program's, and out of the way of a migration."""

import hashlib
from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, bindparam, text

from archiver.errors import DatabaseError
from archiver.views import VIEWS, View, create_statement

_NAMES = [view.name for view in VIEWS]
_IN_SCHEMA = "n.nspname = :schema AND c.relkind = 'v' AND c.relname = ANY(:names)"
_OURS = f"SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_IN_SCHEMA}"

# Whatever else holds on to one of the views or to its row type: views, materialized views, functions, rules.
_DEPENDENTS = f"""
WITH ours AS ({_OURS})
SELECT DISTINCT CASE WHEN w.oid IS NULL THEN pg_describe_object(d.classid, d.objid, 0)
  ELSE pg_describe_object('pg_class'::regclass, w.ev_class, 0) END AS dependent
FROM pg_depend d LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
WHERE d.deptype IN ('n', 'a')
  AND (d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM ours)
    OR d.refclassid = 'pg_type'::regclass
      AND d.refobjid IN (SELECT t.oid FROM pg_type t WHERE t.typrelid IN (SELECT oid FROM ours)))
  AND COALESCE(w.ev_class, 0) NOT IN (SELECT oid FROM ours)
ORDER BY dependent"""

_GRANTS = f"""
SELECT format('GRANT %s ON %I TO %s%s', g.privilege_type || g.of_column, g.relname,
  COALESCE(quote_ident(r.rolname), 'PUBLIC'), CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM (
  SELECT c.relname, '' AS of_column, (aclexplode(c.relacl)).*
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_IN_SCHEMA}
  UNION ALL
  SELECT c.relname, format('(%I)', a.attname), (aclexplode(a.attacl)).*
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE {_IN_SCHEMA} AND a.attname = ANY(:kept)) AS g
LEFT JOIN pg_roles r ON r.oid = g.grantee
WHERE g.grantee = 0 OR r.oid IS NOT NULL"""

_OWNERS = f"""
SELECT format('ALTER VIEW %I OWNER TO %I', c.relname, r.rolname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
WHERE {_IN_SCHEMA} AND r.rolname <> current_user"""

_OPTIONS = f"""
SELECT format('ALTER VIEW %I SET (%s)', c.relname, array_to_string(c.reloptions, ', '))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_IN_SCHEMA} AND c.reloptions IS NOT NULL"""

_COLUMNS = f"""
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_IN_SCHEMA} AND a.attnum > 0 ORDER BY c.relname, a.attnum"""


def stale_views(connection: Connection, schema: str) -> list[str]:
    """Name the views that are missing, or made otherwise than this program makes them."""
    if connection.dialect.name == "sqlite":
        # SQLite keeps the statement as it came.
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
        made = {row[0]: row[1] for row in rows}
        return [view.name for view in VIEWS if made.get(view.name) != create_statement(view, "sqlite")]
    rows = connection.execute(
        text(
            "SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class c "
            f"JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_IN_SCHEMA}"
        ),
        {"schema": schema, "names": _NAMES},
    )
    comments = {row[0]: row[1] for row in rows}
    return [view.name for view in VIEWS if comments.get(view.name) != _comment(view)]


def refresh_views(connection: Connection, schema: str) -> None:
    """Make the views this program's, within the caller's transaction; nothing is written where they are.

    PostgreSQL replaces them in place where columns only grew at the end. Otherwise all are dropped and made
    anew, with their grants, owners and options; DatabaseError naming what depends on them, if anything does.
    """
    stale = stale_views(connection, schema)
    if not stale:
        return
    if connection.dialect.name == "sqlite":
        drop_sqlite_views(connection)
        for view in VIEWS:
            connection.exec_driver_sql(create_statement(view, "sqlite"))
        return
    if _can_replace(connection, schema):
        run_statements(connection, _replacing_statements())
        return
    kept = drop_postgresql_views(connection, schema)
    run_statements(connection, [*_replacing_statements(), *kept])


def drop_sqlite_views(connection: Connection) -> None:
    """Drop the views: on SQLite a table can't be rebuilt while one reads it."""
    for name in reversed(_NAMES):
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")


def refuse_sqlite_dependents(connection: Connection) -> None:
    """Raise DatabaseError naming the views and triggers of others: a table can't be rebuilt while one reads it."""
    query = text(
        "SELECT type || ' ' || name FROM sqlite_master WHERE type IN ('view', 'trigger') AND name NOT IN :names"
    )
    found = connection.execute(query.bindparams(bindparam("names", _NAMES, expanding=True))).scalars().all()
    _refuse(list(found))


def drop_postgresql_views(connection: Connection, schema: str) -> list[str]:
    """Drop the views and return the statements that give them back their grants, owners and options.

    DatabaseError naming what else depends on them; never CASCADE.
    """
    ours = {"schema": schema, "names": _NAMES}
    _refuse(list(connection.execute(text(_DEPENDENTS), ours).scalars().all()))
    columns = [column.name for view in VIEWS for column in view.columns]
    kept = list(connection.execute(text(_GRANTS), ours | {"kept": columns}).scalars().all())
    for query in (_OPTIONS, _OWNERS):  # the owner last: whoever gives a view away can't change it any more
        kept += connection.execute(text(query), ours).scalars().all()
    run_statements(connection, [f"DROP VIEW IF EXISTS {name}" for name in reversed(_NAMES)])
    return kept


def keeping_statements(schema: str) -> tuple[list[str], list[str]]:
    """Return what drops the views, printed for a DBA, and what gives back their grants, owners and options after.

    What is given back is kept in a setting of the transaction: a DBA may lack the right to make a temporary table.
    """
    names, columns = (
        "ARRAY[" + ", ".join(map(_quoted, found)) + "]"
        for found in (_NAMES, sorted({column.name for view in VIEWS for column in view.columns}))
    )
    # In their order: the owner last, since whoever gives a view away can't change it any more.
    queries = [
        query.replace(":schema", _quoted(schema)).replace(":names", names).replace(":kept", columns)
        for query in (_GRANTS, _OPTIONS, _OWNERS)
    ]
    gathered = " || ".join(f"ARRAY({query})" for query in queries)
    keep = f"PERFORM set_config('archiver.kept', array_to_json({gathered})::text, true);"
    each = "json_array_elements_text(current_setting('archiver.kept')::json)"
    give = "EXECUTE statement; END LOOP; END"
    before = [f"DO {_quoted(f'BEGIN {keep} END')}"]
    before += [f"DROP VIEW IF EXISTS {name}" for name in reversed(_NAMES)]
    loop = f"DECLARE statement text; BEGIN FOR statement IN SELECT {each} LOOP {give}"
    return before, [f"DO {_quoted(loop)}"]


def view_statements() -> Iterator[str]:
    """Yield the statements that make every view on PostgreSQL, with its comments."""
    for view in VIEWS:
        yield create_statement(view, "postgresql")
        yield f"COMMENT ON VIEW {view.name} IS {_quoted(_comment(view))}"
        for column in view.columns:
            yield f"COMMENT ON COLUMN {view.name}.{column.name} IS {_quoted(column.comment)}"


def _replacing_statements() -> list[str]:
    return [statement.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1) for statement in view_statements()]


def _can_replace(connection: Connection, schema: str) -> bool:
    there: dict[str, list[tuple[str, str]]] = {}
    for name, column, type_ in connection.execute(text(_COLUMNS), {"schema": schema, "names": _NAMES}):
        there.setdefault(name, []).append((column, type_))
    dialect = connection.dialect
    for view in VIEWS:
        wanted = [(column.name, column.type.compile(dialect).lower()) for column in view.columns]
        found = there.get(view.name, [])
        if wanted[: len(found)] != found:
            return False
    return True


def _comment(view: View) -> str:
    """Return the view's comment: its grain, and the fingerprint by which this program knows its own."""
    said = [create_statement(view, "postgresql"), *(column.comment for column in view.columns)]
    return f"{view.grain}\n[view {hashlib.sha256(chr(0).join(said).encode()).hexdigest()[:12]}]"


def _refuse(dependents: list[str]) -> None:
    if dependents:
        raise DatabaseError(
            f"the views can't be made anew while others depend on them ({', '.join(dependents)}): "
            "drop those, run `archiver database upgrade`, and make them again; nothing was changed"
        )


def run_statements(connection: Connection, statements: Iterable[str]) -> None:
    """Run statements as they stand: a `%`, as a role's name can hold, is no parameter."""
    for statement in statements:
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
