"""A migration that is killed, at each revision: the archive stands at a revision, whole, and the next start goes on."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from checker import SCHEMA, rows_of
from program import KILLED, Case
from upstream import Upstream

from archiver.database import open_writer
from archiver.migrate import SCRIPTS, _ddl_transaction, alembic_config

REVISIONS = [script.revision for script in ScriptDirectory(str(SCRIPTS)).walk_revisions()][::-1]
STEP = int(os.environ.get("FAULT_MIGRATION_STEP", "17"))  # it is killed at every so-many-th statement
NOWHERE = "http://127.0.0.1:9"


def bring_to(url, revision):
    """Bring an empty database to a revision, as a program of that time would have."""
    engine = open_writer(url, SCHEMA)
    with _ddl_transaction(engine, SCHEMA) as connection:
        command.upgrade(alembic_config(connection=connection, schema=SCHEMA), revision)
    engine.dispose()


def revision_of(url):
    """Return the revision that stands in the database; None where there is none."""
    if not any("alembic_version" in row.values() for row in structure(url)):
        return None
    rows = rows_of(url, "SELECT version_num FROM alembic_version")
    return rows[0]["version_num"] if rows else None


def structure(url):
    """Return every table, index and view as the database tells them."""
    if url.startswith("sqlite"):
        if not Path(url.removeprefix("sqlite:///")).exists():
            return []
        query = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name"
    else:
        query = (
            "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
            f"WHERE table_schema = '{SCHEMA}' ORDER BY table_name, column_name"
        )
    return rows_of(url, query)


def is_sound(url):
    """Ask SQLite for its own check; PostgreSQL has none to ask."""
    if not url.startswith("sqlite"):
        return True
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("place", range(len(REVISIONS)), ids=REVISIONS)
def test_a_migration_killed_at_each_revision_is_whole_or_not_there(archive_url, tmp_path, place):
    """Killed before its commit, then at one statement after the other, until it comes through."""
    case = Case(archive_url, Upstream(), tmp_path)
    before = REVISIONS[place - 1] if place else None
    if before is not None:
        bring_to(archive_url, before)
    structure_before = structure(archive_url)
    dooms = ["before-commit:1", *(f"statement:{number}" for number in range(1, 2_000, STEP))]
    codes = []

    for doom in dooms:
        code, _, err = case.run(NOWHERE, "database", "upgrade", doom=doom)
        codes.append(code)
        if code != KILLED:
            break
        assert revision_of(archive_url) == before, doom
        assert structure(archive_url) == structure_before, doom
        assert is_sound(archive_url), doom

    assert (codes[-1], set(codes[:-1])) == (0, {KILLED}), err
    assert revision_of(archive_url) == REVISIONS[-1]
    code, out, _ = case.run(NOWHERE, "database", "check")
    assert (code, out.strip()) == (0, "the database equals the models")


def test_a_migration_killed_after_its_commit_is_done(archive_url, tmp_path):
    case = Case(archive_url, Upstream(), tmp_path)

    code, _, err = case.run(NOWHERE, "database", "upgrade", doom="after-commit:1")

    assert code == KILLED, err
    assert revision_of(archive_url) == REVISIONS[-1]
    code, out, _ = case.run(NOWHERE, "database", "check")
    assert (code, out.strip()) == (0, "the database equals the models")


def test_an_archive_is_as_it_was_after_an_upgrade_that_was_killed(case, flawless):
    """It is at head already, and killed while it finds that out."""
    assert case.run_here().code == 0

    code, _, err = case.run(NOWHERE, "database", "upgrade", doom="statement:1")

    assert code == KILLED, err
    assert case.losses(flawless[1]) == []
