"""The words views are made of: what SQLite has no function for is computed as exactly as with one."""

import math
import sqlite3

import pytest

from archiver.views import VIEWS
from archiver.views.words import SQLITE, wilson, wilson_spread

MATH_FUNCTIONS = {"sqrt", "pow", "power", "ceil", "floor", "exp", "ln", "log"}


@pytest.mark.parametrize("value", [0.96, 1.0, 2.0, 1234.5, 250_000.96, 3.3e9])
def test_a_root_by_newton_s_method_is_the_root(value):
    with sqlite3.connect(":memory:") as connection:
        (found,) = connection.execute(f"SELECT {SQLITE.root('v')} FROM (SELECT {value!r} AS v)").fetchone()  # noqa: S608 - our own words

    assert found == pytest.approx(math.sqrt(value), rel=1e-14)


def test_wilson_s_interval_of_a_million_is_that_of_the_textbook():
    # Wilson (1927) by its other form: the roots of (p - s)^2 = z^2 p (1 - p) / n, worked with 50 digits.
    expected = (0.03066210120433473775, 0.03134150207019724260)
    low, high = wilson("h", "n", "s")
    spread = wilson_spread(SQLITE, "h", "n")
    rows = f"SELECT h, n, {spread} AS s FROM (SELECT 31000 AS h, 1000000 AS n)"  # noqa: S608 - our own words

    with sqlite3.connect(":memory:") as connection:
        found = connection.execute(f"SELECT {low}, {high} FROM ({rows})").fetchone()  # noqa: S608 - our own words

    assert found == pytest.approx(expected, abs=1e-14)


def test_the_views_need_no_sqlite_with_mathematical_functions(sqlite_archive_file):
    used = set()

    def note(action, _, function, *_rest):
        if action == sqlite3.SQLITE_FUNCTION:
            used.add(function)
        return sqlite3.SQLITE_OK

    with sqlite_archive_file.engine.connect() as connection:
        connection.connection.dbapi_connection.set_authorizer(note)
        for view in VIEWS:
            connection.exec_driver_sql(f"SELECT * FROM {view.name}")  # noqa: S608 - our own views

    assert "julianday" in used
    assert used & MATH_FUNCTIONS == set()
