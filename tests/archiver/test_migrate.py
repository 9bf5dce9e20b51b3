"""Migrations: up and down, against the models, with few rights, beside a run, and never without a copy."""

import contextlib
import io
import secrets
import shutil
import sqlite3
import subprocess
import sys

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from archiver import migrate, schema, viewing
from archiver.archive import open_reader
from archiver.database import open_writer
from archiver.errors import DatabaseError, LeaseHeldError
from archiver.lease import acquire

SCHEMA = "release_archive"
_SECOND = '''"""A second change, for the tests."""
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{head}"
branch_labels = depends_on = None


def upgrade():
    op.add_column("plans", sa.Column("colour", sa.Text(), comment="For the tests"))
{more}

def downgrade():
    op.drop_column("plans", "colour")
'''


@pytest.fixture
def engine(archive_url):
    engine = open_writer(archive_url, SCHEMA)
    yield engine
    engine.dispose()


@pytest.fixture
def second_migration(monkeypatch, tmp_path_factory):
    """Make the program one migration newer than the archive; return the new revision."""

    def write(more=""):
        scripts = tmp_path_factory.mktemp("scripts") / "migrations"
        head = migrate.head_revision()
        shutil.copytree(migrate.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
        (scripts / "versions" / "9999_second.py").write_text(_SECOND.format(revision="f" * 12, head=head, more=more))
        monkeypatch.setattr(migrate, "SCRIPTS", scripts)
        return "f" * 12

    return write


def columns(archive, table="plans"):
    place = SCHEMA if archive.engine.dialect.name == "postgresql" else None
    return {column["name"] for column in inspect(archive.engine).get_columns(table, schema=place)}


def test_up_down_and_up_again_ends_with_the_models(engine, archive_url):
    assert migrate.upgrade(engine, archive_url, SCHEMA) == (None, migrate.head_revision())
    with engine.begin() as connection:
        connection.dialect.default_schema_name = SCHEMA if connection.dialect.name == "postgresql" else "main"
        if connection.dialect.name == "postgresql":  # whoever migrates downwards by hand drops the views first
            viewing.drop_postgresql_views(connection, SCHEMA)
        else:
            viewing.drop_sqlite_views(connection)
        command.downgrade(migrate.alembic_config(connection=connection, schema=SCHEMA), "base")
    place = SCHEMA if engine.dialect.name == "postgresql" else None
    left = inspect(engine).get_table_names(schema=place)

    migrate.upgrade(engine, archive_url, SCHEMA)

    assert left == ["alembic_version"]
    with engine.connect() as connection:
        assert migrate.differences(connection, SCHEMA) == []


def test_the_newest_migration_is_the_one_alembic_names(second_migration):
    assert migrate.head_revision() == ScriptDirectory.from_config(migrate.alembic_config()).get_current_head()

    newer = second_migration()

    assert migrate.head_revision() == newer
    assert ScriptDirectory.from_config(migrate.alembic_config()).get_current_head() == newer


def test_no_command_loads_alembic_to_read_an_archive():
    loaded = "import archiver.archive, archiver.status_text, sys; print('alembic' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


def test_a_second_upgrade_changes_nothing(engine, archive_url):
    head = migrate.upgrade(engine, archive_url, SCHEMA)[1]

    assert migrate.upgrade(engine, archive_url, SCHEMA) == (head, head)


def test_alembic_itself_finds_no_drift(archive, monkeypatch):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", archive.url)
    config = Config(migrate.SCRIPTS.parent / "alembic.ini")
    config.print_stdout = lambda *_: None

    command.check(config)


def test_differences_are_told(archive):
    with archive.engine.begin() as connection:
        connection.execute(text("ALTER TABLE plans ADD COLUMN colour text"))
        assert any("colour" in line for line in migrate.differences(connection, SCHEMA))


def test_every_table_and_column_has_a_comment(archive):
    bare = [
        str(column)
        for table in schema.metadata.sorted_tables
        for column in (table, *table.columns)
        if not column.comment
    ]
    assert bare == []
    if archive.engine.dialect.name == "postgresql":
        found = inspect(archive.engine)
        for table in schema.metadata.sorted_tables:
            assert found.get_table_comment(table.name, schema=SCHEMA)["text"] == table.comment
            comments = {row["name"]: row["comment"] for row in found.get_columns(table.name, schema=SCHEMA)}
            assert comments == {column.name: column.comment for column in table.columns}


def test_every_table_has_a_primary_key_and_one_text_key(archive):
    for table in schema.metadata.sorted_tables:
        assert len(table.primary_key.columns) == 1
        assert [column.name for column in table.columns if column.primary_key] != []


def test_nothing_is_needed_in_public(postgres_url):
    """A role that owns a schema made for it, and has no other right, can migrate and write."""
    role = f"archiver_role_{secrets.token_hex(4)}"
    database = make_url(postgres_url).database
    owner = create_engine(postgres_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with owner.connect() as connection:
        for statement in (
            f"CREATE ROLE {role} LOGIN PASSWORD 'x'",
            f"REVOKE ALL ON DATABASE {database} FROM PUBLIC",
            f"GRANT CONNECT ON DATABASE {database} TO {role}",
            "REVOKE ALL ON SCHEMA public FROM PUBLIC",
            f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {role}",
        ):
            connection.execute(text(statement))
    url = make_url(postgres_url).set(username=role, password="x").render_as_string(hide_password=False)
    try:
        engine = open_writer(url, SCHEMA)
        migrate.upgrade(engine, url, SCHEMA)
        with engine.begin() as connection:
            acquire(connection, "project:p1")
        open_reader(url, SCHEMA).dispose()
        engine.dispose()
        assert inspect(owner).get_table_names(schema="public") == []
    finally:
        with owner.connect() as connection:
            connection.execute(text(f"DROP OWNED BY {role} CASCADE"))
            connection.execute(text(f"DROP ROLE {role}"))


def test_a_schema_can_have_another_name(postgres_url):
    engine = open_writer(postgres_url, "team_a")
    migrate.upgrade(engine, postgres_url, "team_a")
    engine.dispose()

    open_reader(postgres_url, "team_a").dispose()
    with pytest.raises(DatabaseError, match="archiver database upgrade"):
        open_reader(postgres_url, "team_b")


def test_the_printed_sql_makes_the_same_archive(postgres_url):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        migrate.upgrade_sql(SCHEMA)

    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.connection.driver_connection.execute(printed.getvalue())

    reader = open_reader(postgres_url, SCHEMA)
    with reader.connect() as connection:
        assert viewing.stale_views(connection, SCHEMA) == []
        assert migrate.differences(connection, SCHEMA) == []
    reader.dispose()


def test_an_older_archive_is_copied_then_migrated(archive, second_migration, tmp_path):
    with archive.engine.begin() as connection:
        acquire(connection, "project:p1")
        connection.execute(text("UPDATE leases SET is_released = true"))
    newer = second_migration()

    with pytest.raises(DatabaseError, match=f"needs {newer}: run `archiver database upgrade`"):
        open_reader(archive.url, SCHEMA)
    assert migrate.upgrade(archive.engine, archive.url, SCHEMA) == (archive.revision, newer)

    assert "colour" in columns(archive)
    assert {row["lease_name"] for row in archive.rows(schema.leases, is_released=True)} == {"archive", "project:p1"}
    copy = tmp_path / f"archive.db.before-{newer}"
    if archive.engine.dialect.name == "sqlite":
        assert copy.stat().st_mode & 0o777 == 0o600
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT lease_name FROM leases").fetchall() == [("project:p1",)]
            assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(archive.revision,)]


def test_a_migration_that_fails_changes_nothing(archive, second_migration):
    second_migration(more='    op.execute("SELECT nonsense FROM nowhere")\n')

    with pytest.raises(DatabaseError, match="failed and changed nothing"):
        migrate.upgrade(archive.engine, archive.url, SCHEMA)

    assert "colour" not in columns(archive)
    with archive.engine.connect() as connection:
        assert migrate.current_revision(connection, SCHEMA) == archive.revision
    assert archive.rows(schema.leases) == []


_REBUILDS = """    with op.batch_alter_table("nights") as batch:
        batch.alter_column("state", type_=sa.String(20))
"""


def test_a_migration_of_a_table_that_views_read_takes_them_out_of_its_way(archive, second_migration):
    newer = second_migration(more=_REBUILDS)

    assert migrate.upgrade(archive.engine, archive.url, SCHEMA) == (archive.revision, newer)

    with archive.engine.connect() as connection:
        assert viewing.stale_views(connection, SCHEMA) == []
        assert connection.execute(text("SELECT * FROM coverage")).all() == []


def test_a_migration_that_others_views_stand_in_the_way_of_names_them(archive, second_migration):
    with archive.engine.begin() as connection:
        connection.execute(text("CREATE VIEW mine AS SELECT week FROM coverage"))
    second_migration(more=_REBUILDS)

    with pytest.raises(DatabaseError, match=r"view (release_archive\.)?mine.*nothing was changed"):
        migrate.upgrade(archive.engine, archive.url, SCHEMA)

    assert "colour" not in columns(archive)
    with archive.engine.connect() as connection:
        assert connection.execute(text("SELECT week FROM mine")).all() == []


@pytest.mark.parametrize("archive", ["postgresql"], indirect=True)  # SQLite can't tell which table a view reads
def test_a_migration_that_leaves_the_views_be_leaves_those_of_others_be(archive, second_migration):
    with archive.engine.begin() as connection:
        connection.execute(text("CREATE VIEW mine AS SELECT week FROM coverage"))
    newer = second_migration()

    assert migrate.upgrade(archive.engine, archive.url, SCHEMA) == (archive.revision, newer)


def test_a_migration_waits_for_no_run_and_disturbs_none(archive, second_migration):
    with archive.engine.begin() as connection:
        acquire(connection, "project:p1")
    second_migration()

    with pytest.raises(LeaseHeldError, match="p1"):
        migrate.upgrade(archive.engine, archive.url, SCHEMA)

    assert "colour" not in columns(archive)


def test_an_archive_ahead_of_the_program_is_left_alone(archive):
    with archive.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'eeeeeeeeeeee'"))

    for attempt in (
        lambda: open_reader(archive.url, SCHEMA),
        lambda: migrate.upgrade(archive.engine, archive.url, SCHEMA),
    ):
        with pytest.raises(DatabaseError, match=r"eeeeeeeeeeee is newer .* install a newer release-archiver"):
            attempt()


def test_a_copy_that_can_not_be_made_stops_the_migration(sqlite_archive_file, second_migration, tmp_path):
    newer = second_migration()
    (tmp_path / f"archive.db.before-{newer}").mkdir()

    with pytest.raises(DatabaseError, match="the archive is as it was"):
        migrate.upgrade(sqlite_archive_file.engine, sqlite_archive_file.url, "")

    assert "colour" not in columns(sqlite_archive_file)
