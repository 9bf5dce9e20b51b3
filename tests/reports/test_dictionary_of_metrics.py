"""The metric dictionary: every figure of the report is defined, and the written one is up to date."""

import re
from datetime import date
from pathlib import Path

import pytest
from report_builders import UTC_ZONE

from reports import cli
from reports.columns import Frames
from reports.definition_sql import DATABASES, SQL
from reports.definitions import DEFINITION_VERSIONS, DEFINITIONS, definition_of
from reports.dictionary import markdown_dictionary, sql_of
from reports.groups import GROUP_COLUMNS
from reports.quality import CHECKS
from reports.weekly import weekly_report

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
# What only says which thing a row is of.
IDENTITIES = {
    *(column for columns in GROUP_COLUMNS.values() for column in columns),
    *("plan_id", "is_cut", "outcome", "started_at", "is_start_inferred", "ended_at"),
}
# A table of releases one by one: its columns are those of the rows, not metrics.
LISTS = {"releases"}


def test_every_column_of_every_table_of_the_weekly_report_is_defined():
    report = weekly_report(Frames(), date(2026, 11, 16), UTC_ZONE, recheck_days=14)

    undefined = {
        (table, column)
        for table, frame in report.tables.items()
        if table not in LISTS
        for column in frame.columns
        if column not in IDENTITIES and definition_of(table, column) is None
    }
    assert undefined == set()
    assert len(report.tables) > 15


def test_a_definition_names_no_column_that_its_table_does_not_have():
    report = weekly_report(Frames(), date(2026, 11, 16), UTC_ZONE, recheck_days=14)

    unknown = {
        (table, column)
        for definition in DEFINITIONS
        for table, columns in definition.columns.items()
        if table in report.tables
        for column in columns
        if column not in report.tables[table]
    }
    assert unknown == set()


def test_a_ratio_has_both_its_sides_and_each_definition_its_own_name():
    assert all((one.numerator is None) == (one.denominator is None) for one in DEFINITIONS)
    assert all(one.numerator for one in DEFINITIONS if one.unit.startswith("rate"))
    assert len({one.name for one in DEFINITIONS}) == len(DEFINITIONS) == len(DEFINITION_VERSIONS)


def test_the_dictionary_in_the_docs_is_the_one_that_the_command_prints(capfdbinary):
    assert cli.run(["dictionary"]) == 0

    printed = capfdbinary.readouterr().out.decode()
    assert printed == DOCS.read_text("utf-8"), "stale: run `reports dictionary --output docs/metrics.md`"


def test_the_dictionary_is_written_to_a_file(tmp_path, capfdbinary):
    assert cli.run(["dictionary", "--output", str(tmp_path / "made" / "metrics.md")]) == 0

    assert (tmp_path / "made" / "metrics.md").read_text("utf-8") == markdown_dictionary()
    assert capfdbinary.readouterr().out == b""


def test_each_metric_has_an_anchor_that_its_links_find_and_its_version():
    text = markdown_dictionary()
    anchors = set(re.findall(r'<a id="([^"]+)"></a>', text))

    assert anchors == set(DEFINITION_VERSIONS)
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) == anchors
    assert all(f"`{name}`, version {version}" in text for name, version in DEFINITION_VERSIONS.items())
    assert all(f"`{check}`: {told}" in text for check, told in CHECKS.items())


@pytest.mark.parametrize("name", SQL)
def test_the_sql_is_for_both_databases_and_leaves_nothing_to_fill_in(name):
    definition = next(one for one in DEFINITIONS if one.name == name)

    said = sql_of(definition, "Etc/O'Higgins", "2026-W01")

    assert set(SQL[name]) == set(DATABASES)
    assert all("'Etc/O''Higgins'" in text and "'2026-W01'" in text for text in said.values())
    assert not any(re.search(r":[a-z_]+|[{}]", text) for text in said.values())


def test_a_column_that_only_names_a_group_has_no_definition():
    assert definition_of("delivery", "week") is None
    assert definition_of("delivery", "rework_rate").name == "rework"
    assert definition_of("no such table", "rework_rate") is None
