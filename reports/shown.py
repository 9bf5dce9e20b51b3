"""Which tables a report shows people, under which words, and how much of each; the CSV and JSON files hold all."""

from collections.abc import Mapping

import pandas as pd

from reports.definitions import DEFINITIONS
from reports.tables import cell_text, plain
from reports.verdict import AGE_DAYS
from reports.weekly import WeeklyReport

SHOWN_CHANGES = 100

CAPTIONS: Mapping[str, str] = {
    "verdict": "This week and the weeks before, at equal age, with plan-clustered intervals",
    "rollback-failures": "Failed rollbacks that started this week, of releases of any week, one by one",
    "failures": "What failures said this week, new ones first",
    "flagged-components": "Components that changed against the weeks before, in plans that failed",
    "failure-rates-by-component": "Attempts by component, this week, most failures first",
    "failure-rates": "Attempts by week",
    "release-failures": "Finished component releases that failed in the end, by week",
    "release-rollbacks": f"Finished component releases rolled back within {AGE_DAYS} days, by week, as in the verdict",
    "rollbacks": "Finished component releases by week, and those rolled back, however late",
    "recovery": "Change failures by week, rolled back however late: recovered, and still open",
    "batch-timing-by-batch": "How long a batch's first pass took, by batch, this week",
    "slowest-components": "The component that most often took longest, by batch, this week",
    "batch-timing": "How long a batch's first pass took, by week",
    "batch-trend": "How the median of each batch moves, over the weeks",
    "batch-survival": "In which batch failures surface, and how much had shipped by then, over the weeks",
    "delivery": "Component releases by week, with change failures (however late) and rework",
    "delivery-by-team": "Component releases by team, this week, with change failures (however late) and rework",
    "flaky-components": "Components that failed and then succeeded unchanged, over the weeks",
    "releases": "This week's component releases",
    "coverage-by-project": "Nights archived by project, this week",
    "known-failures": "Plans that could not be archived, alike in three nights or more",
    "nights": "Nights that fell due, and the runs that served them, the latest first",
}
RESTATED_CAPTIONS: Mapping[str, str] = {
    "restated-figures": "Figures that are told otherwise now",
    "restated-facts": "Attempts and rollbacks that are known otherwise now, and why",
}


def break_sentences(report: WeeklyReport) -> list[str]:
    """Say from which week on the reports follow another definition, as the charts draw it."""
    titles = {one.name: one.title for one in DEFINITIONS}
    return [
        f"From {week} on, reports follow a newer definition of {titles[name]}; those issued on weeks before it told "
        "them by an older one. Here every week is told by the present one."
        for week, name in report.breaks
    ]


def captions(report: WeeklyReport) -> Mapping[str, str]:
    """Return the tables to show, in order; by team only where there is a team."""
    told = {name: words for name, words in CAPTIONS.items() if name != "delivery-by-team" or has_teams(report)}
    return told if report.restated is None else {**told, **RESTATED_CAPTIONS}


def has_teams(report: WeeklyReport) -> bool:
    """Say if any release of the week is labelled with its team."""
    return bool(report.tables["delivery-by-team"]["team"].notna().any())


def identifiers_last(table: pd.DataFrame) -> pd.DataFrame:
    """Put the name first, for people; identifiers last, where a narrow screen may leave them out of sight."""
    identifiers = [name for name in ("project_id", "component_id") if name in table]
    if "component" not in table:
        return table
    return table[["component", *table.columns.drop(["component", *identifiers]), *identifiers]]


def readable(changes: pd.DataFrame) -> pd.DataFrame:
    """Write restated figures by the unit of their name; leave identifiers to the CSV file."""
    if "figure" not in changes:
        return changes.drop(columns=["project_id", "component_id"])
    units = [str(name) for name in changes["figure"]]
    told = {
        side: [cell_text(plain(value), unit) for value, unit in zip(changes[side], units, strict=True)]
        for side in ("issued", "now")
    }
    return changes.assign(**told, figure=[unit.replace("_", " ") for unit in units])
