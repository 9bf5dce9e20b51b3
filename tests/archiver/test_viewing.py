"""Views: the same on both databases, refreshed where they differ, with their grants, and never over others' heads."""

import secrets
from types import SimpleNamespace

import pytest
from sqlalchemy import inspect, text

from archiver import migrate, viewing
from archiver.archive import open_reader
from archiver.database import open_writer
from archiver.errors import DatabaseError
from archiver.views import TABLES, VIEWS, create_statement

SCHEMA = "release_archive"


@pytest.fixture
def postgres(postgres_url):
    """Return a migrated PostgreSQL archive."""
    engine = open_writer(postgres_url, SCHEMA)
    migrate.upgrade(engine, postgres_url, SCHEMA)
    yield SimpleNamespace(url=postgres_url, engine=engine)
    engine.dispose()


def place_of(engine):
    return SCHEMA if engine.dialect.name == "postgresql" else None


def refresh(archive):
    migrate.upgrade(archive.engine, archive.url, SCHEMA)


def stale(archive):
    with archive.engine.connect() as connection:
        return viewing.stale_views(connection, SCHEMA)


def run(archive, *statements):
    with archive.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def ask(archive, query):
    with archive.engine.connect() as connection:
        return connection.execute(text(query)).all()


def make_older(archive, view, definition):
    """Put a view as an older version had it in place of one, and of those that read it."""
    names = [made.name for made in VIEWS]
    for name in reversed(names[names.index(view) :]):
        run(archive, f"DROP VIEW {name}")
    run(archive, f"CREATE VIEW {view} AS {definition}")


def test_the_views_have_the_registry_s_columns_in_its_order(archive):
    found = inspect(archive.engine)
    place = place_of(archive.engine)

    assert sorted(found.get_view_names(schema=place)) == sorted(TABLES)
    for name, table in TABLES.items():
        columns = found.get_columns(name, schema=place)
        assert [column["name"] for column in columns] == [column.name for column in table.columns]
        if place:
            wanted = [column.type.compile(archive.engine.dialect).lower() for column in table.columns]
            types = [str(column["type"].compile(archive.engine.dialect)).lower() for column in columns]
            assert types == wanted


def test_every_view_says_its_grain_its_columns_and_a_question_that_runs(archive):
    for view in VIEWS:
        assert view.grain
        assert view.question.endswith("?")
        assert all(column.comment for column in view.columns)
        assert ask(archive, view.example) == []
        assert [column.name for column in view.columns if column.name.endswith("_key")]


def test_postgresql_shows_the_comments(postgres):
    found = inspect(postgres.engine)
    for view in VIEWS:
        comments = {column["name"]: column["comment"] for column in found.get_columns(view.name, schema=SCHEMA)}
        assert comments == {column.name: column.comment for column in view.columns}
        assert found.get_table_comment(view.name, schema=SCHEMA)["text"].startswith(view.grain)


def test_an_archive_with_older_views_is_still_read_and_refreshed_by_an_upgrade(archive):
    make_older(archive, "coverage", "SELECT time_zone, week FROM weeks")
    assert stale(archive) == ["coverage"]

    open_reader(archive.url, SCHEMA).dispose()
    refresh(archive)

    assert stale(archive) == []
    columns = inspect(archive.engine).get_columns("coverage", schema=place_of(archive.engine))
    assert [column["name"] for column in columns] == [column.name for column in TABLES["coverage"].columns]


def test_a_check_names_views_that_are_not_the_program_s(archive):
    make_older(archive, "coverage", "SELECT 1 AS one")

    with archive.engine.connect() as connection:
        found = migrate.differences(connection, SCHEMA)

    assert found == ["view coverage is not this program's: run `archiver database upgrade`"]


def test_an_upgrade_of_fresh_views_writes_nothing(archive):
    is_postgresql = archive.engine.dialect.name == "postgresql"

    with archive.engine.connect() as connection:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY" if is_postgresql else "PRAGMA query_only=ON")
        viewing.refresh_views(connection, SCHEMA)  # would fail if it wrote


def test_grants_outlive_views_that_must_be_dropped(postgres):
    archive = postgres
    role = f"analyst_{secrets.token_hex(4)}"
    make_older(archive, "coverage", "SELECT week, time_zone FROM weeks")
    run(
        archive,
        f"CREATE ROLE {role}",
        f"GRANT SELECT ON batch_runs TO {role} WITH GRANT OPTION",
        f"GRANT SELECT (week) ON coverage TO {role}",
        "GRANT SELECT ON coverage TO PUBLIC",
        "ALTER VIEW coverage SET (security_barrier = true)",
    )
    try:
        refresh(archive)

        allowed = [
            ask(archive, f"SELECT has_table_privilege('{role}', 'batch_runs', 'SELECT WITH GRANT OPTION')"),
            ask(archive, f"SELECT has_column_privilege('{role}', 'coverage', 'week', 'SELECT')"),
            ask(archive, "SELECT has_table_privilege('public', 'coverage', 'SELECT')"),
        ]
        assert [row[0][0] for row in allowed] == [True, True, True]
        assert ask(archive, "SELECT reloptions FROM pg_class WHERE relname = 'coverage'") == [
            (["security_barrier=true"],)
        ]
        assert stale(archive) == []
    finally:
        run(archive, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.mark.parametrize(
    "foreign",
    [
        "CREATE VIEW mine AS SELECT time_zone FROM coverage",
        "CREATE MATERIALIZED VIEW mine AS SELECT time_zone FROM coverage",
        "CREATE FUNCTION mine() RETURNS SETOF coverage LANGUAGE sql AS 'SELECT * FROM release_archive.coverage'",
        "CREATE TABLE mine (whole coverage)",
    ],
)
def test_what_depends_on_a_view_that_must_be_dropped_is_named_and_nothing_changes(foreign, postgres):
    archive = postgres
    make_older(archive, "coverage", "SELECT week, time_zone FROM weeks")
    run(archive, foreign)

    with pytest.raises(DatabaseError, match=r"others depend on them \(.*mine.*nothing was changed"):
        refresh(archive)

    assert stale(archive) == ["coverage"]
    assert ask(archive, "SELECT * FROM coverage") == []


def test_a_view_that_only_grew_at_its_end_is_replaced_under_those_who_read_it(postgres):
    archive = postgres
    columns = [column.name for column in TABLES["coverage"].columns][:-1]
    wanted = create_statement(next(view for view in VIEWS if view.name == "coverage"), "postgresql")
    query = wanted.split(" AS\n", 1)[1]
    older = f"SELECT {', '.join(columns)} FROM ({query}) AS newer"  # noqa: S608 - our own view
    make_older(archive, "coverage", older)
    run(archive, "CREATE VIEW mine AS SELECT week FROM coverage")

    refresh(archive)

    assert stale(archive) == []
    assert ask(archive, "SELECT week FROM mine") == []
