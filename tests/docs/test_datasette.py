"""Datasette on the archive: it is told of every table and column, and answers the cookbook's questions over HTTP."""

import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from archives import COOKBOOK, cell, markdown
from cookbook import questions
from datasette_metadata import DATABASE, METADATA, asked_for, metadata, name_of, written
from fenced import ROOT, blocks
from sqlalchemy import LargeBinary

from archiver import schema
from archiver.views import TABLES

ASKED = {
    name_of(number, question): (statement, told)
    for number, question, statement, told in questions(COOKBOOK.read_text())
}
DESCRIBED = [*TABLES, *schema.metadata.tables]


@pytest.fixture(scope="module")
def datasette(sqlite_docs):
    """Return a client of a datasette that serves the demo's archive, on a socket of its own."""
    with tempfile.TemporaryDirectory(prefix="ds") as scratch:  # a socket's path may be 100 characters long at most
        archive, socket = Path(scratch) / f"{DATABASE}.db", Path(scratch) / "socket"
        shutil.copy(sqlite_docs.url.database, archive)
        options = ["--metadata", str(METADATA), "--uds", str(socket), "--setting", "sql_time_limit_ms", "30000"]
        server = subprocess.Popen(
            [sys.executable, "-m", "datasette", "serve", "--immutable", str(archive), *options],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        try:
            said = []
            for line in server.stderr:
                said.append(line)
                if "Uvicorn running" in line:
                    break
            assert server.poll() is None, "".join(said)
            with httpx.Client(
                transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://datasette", timeout=60
            ) as client:
                yield client
        finally:
            server.terminate()
            server.communicate(timeout=30)


def _rows(datasette, name, **given):
    answer = datasette.get(f"/{DATABASE}/{name}.json", params={"_shape": "arrays", **given})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["ok"], found
    return found["columns"], [[cell(value) for value in row] for row in found["rows"]]


@pytest.mark.parametrize("name", ASKED)
def test_a_canned_query_gives_the_cookbook_s_answer_for_the_cookbook_s_weeks(datasette, name):
    statement, told = ASKED[name]

    columns, rows = _rows(datasette, name, **asked_for(statement)[1])

    assert markdown(columns, rows).rstrip("\n") == told


@pytest.mark.parametrize("name", [name for name, (_, told) in ASKED.items() if told != "*No rows.*"])
def test_a_canned_query_asked_without_anything_answers_for_the_last_weeks(datasette, name):
    _, rows = _rows(datasette, name)

    # The cookbook asks for new failures in a week that had some; the last one had none.
    assert rows or name.startswith("q05")


def test_left_empty_it_is_the_last_whole_week_that_a_run_has_seen(datasette):
    (name,) = [name for name in ASKED if name.startswith("q02")]

    assert _rows(datasette, name) == _rows(datasette, name, week="2026-W47") != _rows(datasette, name, week="2026-W46")


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_page_of_a_table_or_view_says_what_a_row_and_each_column_is(datasette, name):
    answer = datasette.get(f"/{DATABASE}/{quote(name)}")
    table = TABLES.get(name, schema.metadata.tables.get(name))

    assert answer.status_code == 200
    assert re.search(r"A row is [^<]+", answer.text)
    assert answer.text.count("<dt>") == len(table.columns)


def test_every_table_view_and_column_is_described():
    told = metadata()["databases"][DATABASE]["tables"]

    assert [name for name in DESCRIBED if not told[name]["description"]] == []
    assert [
        f"{name}.{column}" for name in DESCRIBED for column, said in told[name]["columns"].items() if not said
    ] == []


def test_every_question_is_a_canned_query_of_its_own_name():
    assert len(metadata()["databases"][DATABASE]["queries"]) == len(questions(COOKBOOK.read_text("utf-8"))) == 25


def test_the_metadata_is_in_step():
    assert METADATA.read_text("utf-8") == written(), "run `make docs`"


def test_what_the_page_takes_out_of_a_copy_is_all_that_holds_bodies(sqlite_docs, tmp_path):
    (block,) = [one for one in blocks("console", ROOT / "docs" / "tools" / "datasette.md") if "VACUUM" in one.text]
    statements = block.text.split('"')[1]
    held = [
        f"SELECT {column.name} FROM {table.name} WHERE {column.name} IS NOT NULL"
        for table in schema.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    ]
    shutil.copy(sqlite_docs.url.database, tmp_path / "shown.db")

    with closing(sqlite3.connect(tmp_path / "shown.db")) as shown:
        assert any(shown.execute(statement).fetchone() for statement in held)
        shown.executescript(statements)
        assert not any(shown.execute(statement).fetchone() for statement in held)
