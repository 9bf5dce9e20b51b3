"""The data dictionary: nothing of the archive is left out of it."""

import re
from pathlib import Path

import pytest

from archiver import schema
from archiver.cli import main
from archiver.dictionary import dictionary, export_dictionary
from archiver.exported import EXPORTED
from archiver.views import TABLES, VIEWS

DOCS = Path(__file__).parents[2] / "docs" / "schema.md"


def sections():
    """Return the names of each heading's columns."""
    found, name = {}, None
    for line in dictionary():
        if line.startswith("### "):
            name = line.removeprefix("### ")
            found[name] = []
        elif line.startswith("| `"):
            found[name].append(line.split("`")[1])
    return found


def test_every_table_and_view_is_there_with_every_column_in_order():
    everything = {**TABLES, **schema.metadata.tables}

    assert sections() == {name: [column.name for column in table.columns] for name, table in everything.items()}


def test_every_row_of_a_table_has_as_many_cells_as_its_head():
    widths = set()
    for line in dictionary():
        if line.startswith("|---"):
            widths = {line.count("|")}
        elif line.startswith("| `"):
            assert line.replace("\\|", "").count("|") in widths, line


def test_each_table_and_view_stands_in_the_overview_with_a_link_that_finds_it():
    text = "\n".join(dictionary())

    links = re.findall(r"^\| \[(\w+)\]\(#(\w+)\) \| A row is ", text, re.MULTILINE)
    assert links == [(name, name) for name in [*TABLES, *schema.metadata.tables]]


def test_the_diagram_has_every_reference_and_every_key():
    text = "\n".join(dictionary()).split("```mermaid")[1].split("```")[0]

    lines = re.findall(r"^  (\w+) (?:\|\||\|o)--o[{|] (\w+) : (\w+)$", text, re.MULTILINE)
    references = [
        (key.column.table.name, table.name, key.parent.name)
        for table in schema.metadata.tables.values()
        for key in table.foreign_keys
    ]
    assert sorted(lines) == sorted(references)
    assert set(re.findall(r"^    text (\w+) PK", text, re.MULTILINE)) == {
        column.name for table in schema.metadata.tables.values() for column in table.primary_key.columns
    }


def test_units_stand_beside_the_types():
    text = "\n".join(dictionary())

    assert "| `recovery_seconds` | float (seconds) |" in text
    assert "| `failure_rate` | float (rate, 0 to 1) |" in text
    assert "| `failed` | integer |" in text


def test_an_example_is_the_view_s_own_on_several_lines():
    text = " ".join("\n".join(dictionary()).split())

    assert all(f"```sql {' '.join(view.example.split())}; ```" in text for view in VIEWS)


def test_the_dictionary_in_the_docs_is_the_one_that_the_command_prints():
    assert "\n".join(dictionary()) + "\n" == DOCS.read_text("utf-8"), "stale: run `make docs`"


def test_the_command_prints_it(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["archiver", "database", "dictionary"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert not ended.value.code
    assert "### weekly_failure_rates" in capsys.readouterr().out


def test_the_written_description_of_the_data_set_is_up_to_date(capsys, monkeypatch):
    """Otherwise: archiver database dictionary --export > docs/export.md."""
    monkeypatch.setattr("sys.argv", ["archiver", "database", "dictionary", "--export"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert not ended.value.code
    assert capsys.readouterr().out == (Path(__file__).parents[2] / "docs" / "export.md").read_text()


def test_every_table_of_facts_and_every_view_by_release_is_in_the_data_set():
    names = {one.table.name for one in EXPORTED}
    left_out = {
        "snapshots",
        "sights",
        "troubles",
        "plan_states",
        "weeks",
        "leases",
        "issued_reports",
        "label_rules",
        "component_labels",
    }

    assert names | left_out >= {table.name for table in schema.metadata.sorted_tables}
    assert names >= {"component_releases", "rollback_releases", "batch_runs"}
    assert {"| `body` |" in line for line in export_dictionary()} == {False}
