"""An archive of the first released schema, with rows, views, grants and views of others on top, comes up to today's."""

import json
import secrets
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from alembic import command
from sqlalchemy import MetaData, create_engine, insert, inspect, select, text

from archiver import migrate
from archiver.database import open_writer
from archiver.schema import metadata
from archiver.simulator import Simulator, build_history, running

FIRST = "0001"
SCHEMA = "release_archive"
ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
HISTORY = build_history(7, ends_at=ENDS_AT, weeks=1, projects=1, plans_per_week=6)
# Views as an older version may have had them: one with fewer columns at its end, one that must be dropped.
OLDER_VIEWS = (
    "CREATE VIEW rollback_releases AS SELECT rollback_key, plan_key, project_id, plan_id FROM rollbacks",
    "CREATE VIEW coverage AS SELECT week, time_zone FROM weeks",
)


@pytest.fixture(scope="module")
def filled(program, tmp_path_factory):
    """Return the URL of an archive of today, which the installed program made."""
    folder = tmp_path_factory.mktemp("today")
    with running(Simulator(HISTORY, now=lambda: ENDS_AT)) as endpoint:
        cloud = {"ENDPOINT": endpoint, "PROJECT_ID": HISTORY.project_ids[0], "TOKEN": "any"}
        code, _, err = program.run("archiver", "run", cwd=folder, **cloud)
    assert code == 0, err
    return f"sqlite:///{folder / 'archive.db'}"


@pytest.fixture
def old(archive_url, filled):
    """Return an archive of the first schema with the same rows, so far as it had their tables and columns."""
    engine = open_writer(archive_url, SCHEMA)
    is_postgresql = engine.dialect.name == "postgresql"
    with engine.begin() as connection:
        if is_postgresql:
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
            connection.dialect.default_schema_name = SCHEMA
        command.upgrade(migrate.alembic_config(connection=connection, schema=SCHEMA), FIRST)
    tables = MetaData()
    tables.reflect(engine, schema=SCHEMA if is_postgresql else None)
    source = create_engine(filled)
    with source.connect() as reader, engine.begin() as writer:
        for table in tables.sorted_tables:
            if table.name not in metadata.tables:
                continue
            columns = [column for column in metadata.tables[table.name].columns if column.name in table.columns]
            rows = [dict(row) for row in reader.execute(select(*columns)).mappings()]
            if rows:
                writer.execute(insert(metadata.tables[table.name]), rows)
        for view in OLDER_VIEWS:
            writer.execute(text(view))
    source.dispose()
    yield SimpleNamespace(url=archive_url, engine=engine, is_postgresql=is_postgresql)
    engine.dispose()


def ask(archive, query):
    with archive.engine.connect() as connection:
        return connection.execute(text(query)).all()


def run(archive, *statements):
    with archive.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def rows(archive):
    """Return how many rows each table of the first schema has, and what stands in the facts."""
    facts = ask(archive, "SELECT attempt_key, outcome, duration_seconds, fail_message FROM job_attempts ORDER BY 1")
    tables = (
        "plans",
        "components",
        "job_attempts",
        "rollbacks",
        "status_changes",
        "snapshots",
        "runs",
        "nights",
        "weeks",
    )
    return facts, {name: ask(archive, f"SELECT count(*) FROM {name}") for name in tables}


def upgraded(program, archive, tmp_path):
    return program.run("archiver", "database", "upgrade", cwd=tmp_path, DATABASE_URL=archive.url)


def test_every_row_is_kept_and_all_is_as_if_made_today(old, program, filled, tmp_path):
    before = rows(old)
    assert before[0]
    role = f"analyst_{secrets.token_hex(4)}"
    if old.is_postgresql:
        run(old, f"CREATE ROLE {role}", f"GRANT SELECT ON coverage, rollback_releases, plans TO {role}")
        run(old, "CREATE VIEW mine AS SELECT plan_id FROM plans")
    try:
        code, out, err = upgraded(program, old, tmp_path)

        assert (code, err) == (0, "")
        assert out == f"schema migrated from {FIRST} to {migrate.head_revision()}\n"
        assert rows(old) == before
        settings = {"DATABASE_URL": old.url}
        for arguments in (("check",), ("database", "check")):
            code, out, err = program.run("archiver", *arguments, cwd=tmp_path, **settings)
            assert code == 0, out + err
        asked = ("failure-rates", "--since", "2026-11-16", "--until", "2026-11-23", "--format", "json")
        told = program.run("reports", *asked, cwd=tmp_path, **settings)
        assert told == program.run("reports", *asked, cwd=tmp_path, DATABASE_URL=filled)
        assert json.loads(told[1])
        if old.is_postgresql:
            assert len(ask(old, "SELECT plan_id FROM mine")) == before[1]["plans"][0][0]
            for name in ("coverage", "rollback_releases", "plans"):
                assert ask(old, f"SELECT has_table_privilege('{role}', '{name}', 'SELECT')") == [(True,)]
        else:
            copy = tmp_path / f"archive.db.before-{migrate.head_revision()}"
            assert copy.stat().st_mode & 0o777 == 0o600
    finally:
        if old.is_postgresql:
            run(old, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_view_of_others_on_top_is_named_and_nothing_is_changed(old, program, tmp_path):
    before = rows(old)
    run(old, "CREATE VIEW theirs AS SELECT week FROM coverage")

    code, out, err = upgraded(program, old, tmp_path)

    assert (code, out, len(err.splitlines())) == (3, "", 1)
    assert "theirs" in err
    assert rows(old) == before
    assert ask(old, "SELECT version_num FROM alembic_version") == [(FIRST,)]
    place = SCHEMA if old.is_postgresql else None
    assert [column["name"] for column in inspect(old.engine).get_columns("coverage", schema=place)] == [
        "week",
        "time_zone",
    ]

    run(old, "DROP VIEW theirs")
    assert upgraded(program, old, tmp_path)[0] == 0


def test_a_view_of_others_on_one_that_only_grew_is_kept(old, program, tmp_path):
    if not old.is_postgresql:
        pytest.skip("SQLite can't replace a view under another")
    run(old, "DROP VIEW coverage", "CREATE VIEW theirs AS SELECT plan_id FROM rollback_releases")
    count = ask(old, "SELECT count(*) FROM theirs")

    code, _, err = upgraded(program, old, tmp_path)

    assert (code, err) == (0, "")
    assert ask(old, "SELECT count(*) FROM theirs") == count


def test_the_sql_that_is_printed_for_a_dba_does_the_same(old, program, tmp_path):
    if not old.is_postgresql:
        pytest.skip("SQLite is migrated by whoever opens it, never by printed SQL")
    before = rows(old)
    run(old, "GRANT SELECT ON coverage TO PUBLIC")
    code, printed, _ = program.run("archiver", "database", "upgrade", "--sql", "--from", FIRST, cwd=tmp_path)
    assert code == 0

    engine = create_engine(old.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.connection.driver_connection.execute(printed)
    engine.dispose()

    assert rows(old) == before
    code, out, _ = program.run("archiver", "database", "check", cwd=tmp_path, DATABASE_URL=old.url)
    assert (code, out) == (0, "the database equals the models\n")
    assert ask(old, "SELECT has_table_privilege('public', 'coverage', 'SELECT')") == [(True,)]
