"""Write `docs/datasette.yaml` anew: `python tests/docs/datasette_metadata.py`. From the models and the cookbook."""

import re
from typing import Any

import yaml
from archives import COOKBOOK
from cookbook import questions, texts
from fenced import ROOT
from sqlalchemy import Table

from archiver import schema
from archiver.views import TABLES

METADATA = ROOT / "docs" / "datasette.yaml"
# The file's name without `.db`.
DATABASE = "archive"
# What a person would only stumble over: books that the program keeps for itself.
HIDDEN = ("alembic_version", "leases", "label_rules", "plan_states", "sights")

_HEAD = "# Made by `make docs` from the models and the cookbook: datasette archive.db --metadata docs/datasette.yaml\n"
# What is asked for where nothing is: the last whole week that a run has seen, the eight up to it, and the last day.
_LAST_WEEK = "SELECT max(week) FROM weeks WHERE substr(ends_at, 1, 10) <= (SELECT date(max(started_at)) FROM runs)"
_FIRST_WEEK = _LAST_WEEK.replace("date(max(started_at))", "date(max(started_at), '-49 days')")
_UTC = "'UTC'"
_LAST_DAY = "SELECT date(max(started_at)) FROM job_attempts WHERE attempt = 1"


def _asked(parameter: str, otherwise: str) -> str:
    return f"COALESCE(NULLIF(:{parameter}, ''), {otherwise})"


def _last(parameter: str, statement: str) -> str:
    return _asked(parameter, f"(\n    {statement})")


# What of a question's SQL is asked for: what stands there, what takes its place, and the parameters in the order of the
# groups that hold what the cookbook has.
_PARAMETERS = (
    (
        re.compile(r"week BETWEEN '(\d{4}-W\d\d)' AND '(\d{4}-W\d\d)'"),
        f"week BETWEEN {_last('since_week', _FIRST_WEEK)} AND {_last('until_week', _LAST_WEEK)}",
        ("since_week", "until_week"),
    ),
    (re.compile(r"week = '(\d{4}-W\d\d)'"), f"week = {_last('week', _LAST_WEEK)}", ("week",)),
    (re.compile(r"time_zone = '(UTC)'"), f"time_zone = {_asked('time_zone', _UTC)}", ("time_zone",)),
    (re.compile(r">= '(\d{4}-\d\d-\d\d)T00:00:00\.000Z'"), f">= {_last('day', _LAST_DAY)}", ("day",)),
    (
        re.compile(r"< '\d{4}-\d\d-\d\dT00:00:00\.000Z'"),
        f"< date({_last('day', _LAST_DAY)}, '+1 day')",
        (),
    ),
)


def asked_for(statement: str) -> tuple[str, dict[str, str]]:
    """Return a question's SQL with parameters, and what the cookbook has in their place."""
    given: dict[str, str] = {}
    for pattern, _, names in _PARAMETERS:
        for match in pattern.finditer(statement):
            given |= dict(zip(names, match.groups(), strict=True))
    for pattern, instead, _ in _PARAMETERS:
        statement = pattern.sub(lambda _, instead=instead: instead, statement)  # type: ignore[misc]
    return statement.strip().removesuffix(";"), given


def name_of(number: int, question: str) -> str:
    """Return a canned query's name, which is its address: q01-how-often-did-deployments-fail."""
    words = re.findall(r"[a-z0-9]+", question.lower())
    return f"q{number:02}-{'-'.join(words[:5])}"


def metadata() -> dict[str, Any]:
    """Return what datasette is told of the archive."""
    tables = {str(table.name): _table(table) for table in (*TABLES.values(), *schema.metadata.tables.values())}
    for name in HIDDEN:
        tables.setdefault(name, {})["hidden"] = True
    said = texts(COOKBOOK.read_text("utf-8"))
    queries = {}
    for number, question, statement, _ in questions(COOKBOOK.read_text("utf-8")):
        sql, given = asked_for(statement)
        queries[name_of(number, question)] = {
            "title": question,
            "description": " ".join([said[number].replace("`", ""), _hint(given)]).strip(),
            "sql": sql + "\n",
            "params": list(given),
        }
    return {
        "title": "Release archive",
        "description": "Every deployment attempt and rollback that release-archiver ever saw. Ask the views first: "
        "they know the reports' rules. In weekly views choose one time_zone; add up counts, never rates.",
        "databases": {DATABASE: {"tables": tables, "queries": queries}},
    }


def _hint(given: dict[str, str]) -> str:
    """Say what an empty field means."""
    meant = {
        "since_week": "eight weeks",
        "week": "the last whole week",
        "day": "the last day with a release",
        "time_zone": "UTC",
    }
    parts = [meaning for name, meaning in meant.items() if name in given]
    written = " (a week is written 2026-W47)" if {"week", "since_week"} & given.keys() else ""
    return f"Empty fields mean {', '.join(parts)}{written}." if parts else ""


def _table(table: Table) -> dict[str, Any]:
    return {
        "description": table.comment or "",
        "columns": {str(column.name): (column.comment or "").replace("`", "") for column in table.columns},
    }


class _Dumper(yaml.SafeDumper):
    """Writes what has several lines as lines, so that SQL can be read."""


def _lines(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _lines)


def written() -> str:
    """Return the file's text."""
    return _HEAD + yaml.dump(metadata(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=116)


if __name__ == "__main__":
    METADATA.write_text(written(), "utf-8")
