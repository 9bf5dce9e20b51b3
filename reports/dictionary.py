"""The metric dictionary: every metric with its definition, its version and the SQL that gives it, as Markdown."""

import re
from collections.abc import Iterator

from reports.definition_sql import SQL
from reports.definitions import DEFINITIONS, Definition
from reports.quality import CHECKS

EXAMPLE_ZONE, EXAMPLE_WEEK = "UTC", "2026-W47"

# Tables that no command prints, and where they stand.
_ON_THE_PAGE = "the weekly report"
_COMMANDS = {
    "failure-rates": "`reports failure-rates`",
    "failure-rates --unit release": "`reports failure-rates --unit release`",
    "rollbacks": "`reports rollbacks`",
    "batch-timing": "`reports batch-timing`",
    "batch-trend": "`reports batch-timing --trend`",
    "delivery": "`reports delivery`",
    "failures": "`reports failures`",
    "quality": "`reports quality`",
}

INTRODUCTION = (
    "Weeks are ISO weeks in ARCHIVER_TIMEZONE; an attempt, a release or a batch belongs to the week it started in. "
    "Arithmetic is in whole milliseconds. A rate stands beside its counts, and is missing where nothing finished. A "
    "version is raised whenever the same facts would give other figures. The archive sees what was there when it "
    "looked: what was replaced in between is unknown, and said to be."
)
ABOUT_SQL = (
    "The SQL reads the archive's tables and views, on SQLite and PostgreSQL alike (there after "
    "`SET search_path TO release_archive`), for one zone and one week: put your own. The program's tests hold it "
    "against the figures of the reports."
)


def shown_in(definition: Definition) -> list[str]:
    """Say where a metric is shown: the commands that print it, else the weekly report."""
    commands = [_COMMANDS[table] for table in definition.columns if table in _COMMANDS]
    return [*commands, _ON_THE_PAGE]


def columns_of(definition: Definition) -> list[str]:
    """Name the columns that a definition defines, each once."""
    return list(dict.fromkeys(column for columns in definition.columns.values() for column in columns))


def sql_of(definition: Definition, zone: str = EXAMPLE_ZONE, week: str = EXAMPLE_WEEK) -> dict[str, str]:
    """Return the SQL for a zone and a week, under the name of the database, or of both where they are alike."""
    texts = SQL[definition.name]
    literals = {":time_zone": _literal(zone), ":week": _literal(week)}
    said = {
        database: re.sub(r":time_zone|:week", lambda found: literals[found[0]], text)
        for database, text in texts.items()
    }
    if len(set(said.values())) == 1:
        return {"SQLite and PostgreSQL": said["sqlite"]}
    return {"SQLite": said["sqlite"], "PostgreSQL": said["postgresql"]}


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def markdown_dictionary() -> str:
    """Write the whole dictionary as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from ("# Metric dictionary", "", "Made by `reports dictionary` from the program's own definitions.", "")
    yield from (INTRODUCTION, "", ABOUT_SQL, "", "| metric | version | unit | columns |", "|---|---|---|---|")
    for definition in DEFINITIONS:
        columns = ", ".join(f"`{name}`" for name in columns_of(definition))
        yield f"| [{definition.title}](#{definition.name}) | {definition.version} | {definition.unit} | {columns} |"
    for definition in DEFINITIONS:
        yield from _section(definition, EXAMPLE_ZONE, EXAMPLE_WEEK)


def markdown_section(definition: Definition, zone: str, week: str) -> str:
    """Write one definition as Markdown, its SQL for a zone and a week."""
    return "\n".join(_section(definition, zone, week)) + "\n"


def _section(definition: Definition, zone: str, week: str) -> Iterator[str]:
    yield from ("", f'<a id="{definition.name}"></a>', "", f"## {definition.title}", "")
    yield from (f"`{definition.name}`, version {definition.version}, {definition.unit}", "", definition.text, "")
    if definition.name == "quality":
        yield from (*(f"- `{check}`: {text}" for check, text in CHECKS.items()), "")
    if definition.numerator is not None:
        yield f"- Numerator: {definition.numerator}"
        yield f"- Denominator: {definition.denominator}"
    yield f"- Shown in {', '.join(shown_in(definition))}"
    if definition.see:
        titles = {one.name: one.title for one in DEFINITIONS}
        yield f"- See also {', '.join(f'[{titles[name]}](#{name})' for name in definition.see)}"
    for database, text in sql_of(definition, zone, week).items():
        yield from ("", f"SQL, {database}:", "", "```sql", f"{text};", "```")
    if definition.beside:
        yield from ("", definition.beside)
