"""No value reaches SQL but as a bound parameter: statements put together of text stand in few, named places."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Where SQL is put together of text, and why no value of a user, a file or the API is in it.
OURS = {
    "archiver/database.py": "pragmas of ours; the schema's name, which settings let be nothing but [a-z0-9_]",
    "archiver/migrate.py": "the schema's name",
    "archiver/viewing.py": "names and comments of our own views; grants as PostgreSQL itself quotes them",
    "archiver/granting.py": "names of roles, quoted as identifiers or literals in one place",
    "migrations/env.py": "the schema's name",
}
_RUNS_SQL = {"text", "execute", "exec_driver_sql", "executemany", "executescript", "scalar", "literal_column"}


def assembled(source):
    """Return the lines in which a text that is not a constant is handed to what runs SQL."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
        if name in _RUNS_SQL and any(_is_assembled(argument) for argument in node.args[:1]):
            found.append(node.lineno)
    return found


def _is_assembled(node):
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return _is_text(node.left) or _is_text(node.right) or _is_assembled(node.left) or _is_assembled(node.right)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "join")


def _is_text(node):
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_sql_is_put_together_in_the_named_places_alone():
    found = {
        str(path.relative_to(ROOT))
        for package in ("archiver", "reports", "migrations")
        for path in (ROOT / package).rglob("*.py")
        if assembled(path.read_text("utf-8"))
    }

    assert found <= OURS.keys()


@pytest.mark.parametrize(
    "line",
    [
        "connection.execute(text(f\"DELETE FROM runs WHERE run_id = '{run_id}'\"))",
        'connection.exec_driver_sql("DELETE FROM runs WHERE run_id = " + run_id)',
        'connection.execute(text("DELETE FROM runs WHERE run_id = %s" % run_id))',
        'connection.execute("DELETE FROM runs WHERE run_id = {}".format(run_id))',
        "literal_column(f\"'{value}'\")",
    ],
)
def test_what_puts_a_value_into_sql_is_found(line):
    assert assembled(line)


@pytest.mark.parametrize(
    "line", ['connection.execute(text("SELECT 1 WHERE x = :x"), {"x": x})', "execute(select(runs))"]
)
def test_bound_values_are_no_finding(line):
    assert not assembled(line)
