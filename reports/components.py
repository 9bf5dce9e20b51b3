"""One component's story: its releases, its failure rate by week, its rollbacks and what its failures said."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import pandas as pd

from reports.behind import releases_behind
from reports.columns import LABELS, Frames
from reports.failure_rates import failure_rates
from reports.failures import failure_templates
from reports.groups import Selection, matching, with_coverage
from reports.releases import releases_and_rollbacks
from reports.rollbacks import rollback_rates
from reports.tables import plain, records
from reports.window import Window

_COMPONENT = ["project_id", "component_id"]


@dataclass(frozen=True)
class ComponentStory:
    """What a window's weeks tell of one component.

    `total` is its failure rate of attempts over the window, `undone` its rollbacks, empty where no release started;
    `rates` holds the weeks in which it had attempts, `unarchived` those of which no night of its project was archived;
    `releases`, with the counts in which each stands, `rollbacks` and `templates` are the newest first; `beyond` are the
    releases that stand in these counts and began outside the window.
    """

    project_id: str
    component_id: str
    name: str
    labels: Mapping[str, str | None]
    total: Mapping[str, Any]
    undone: Mapping[str, Any]
    rates: pd.DataFrame
    unarchived: frozenset[str]
    releases: pd.DataFrame
    beyond: pd.DataFrame
    rollbacks: pd.DataFrame
    templates: pd.DataFrame

    @property
    def last_week(self) -> str | None:
        """The week of its newest release."""
        return None if self.releases.empty else str(self.releases["week"].iloc[0])

    @property
    def file_name(self) -> str:
        """A name that any file system takes, whatever the ids contain."""
        identity = f"{self.project_id}\n{self.component_id}".encode("utf-8", "surrogatepass")
        return f"{sha256(identity).hexdigest()[:16]}.html"


def component_stories(
    frames: Frames, failures: pd.DataFrame, window: Window, *, recheck_days: int
) -> Iterator[ComponentStory]:
    """Yield each component with an attempt in the window, by name, project and id.

    Needs FAILURES over all of history, so that a template's first sight is known.
    """
    if not window.weeks:
        return
    totals = failure_rates(frames, Selection(window, ("component",)))
    undone = _by_component(
        rollback_rates(
            frames, Selection(window, ("component",)), as_of=frames.last_run_ended_at, recheck_days=recheck_days
        )
    )
    rates = _by_component(failure_rates(frames, Selection(window, ("week", "component"))))
    unarchived = {project: _unarchived(frames, window, project) for project in totals["project_id"].unique()}
    releases, rollbacks = releases_and_rollbacks(frames.attempts, frames.rollbacks)
    inside = matching(releases, Selection(window))
    behind = releases_behind(frames, failures, window, failed_weeks=len(window.weeks))
    inner = behind["week"] != ""
    listed, beyond = _by_component(behind[inner][::-1]), _by_component(behind[~inner][::-1])
    newest = rollbacks[rollbacks["release"].isin(inside.index)].sort_values(
        ["started_at", "rollback_job_id"], ascending=False, kind="stable"
    )
    undoings = _by_component(newest)
    said = _by_component(failures)
    order = totals.sort_values(["component", *_COMPONENT], na_position="last", kind="stable")
    for row in records(order):
        key = (row["project_id"], row["component_id"])
        mine = listed.get(key, behind.head(0))
        failed = said.get(key, failures.head(0))
        yield ComponentStory(
            project_id=row["project_id"],
            component_id=row["component_id"],
            name=row["component"] or row["component_id"],
            labels=_labels(mine),
            total=row,
            undone=records(undone[key])[0] if key in undone else {},
            rates=rates[key],
            unarchived=unarchived[row["project_id"]],
            releases=mine,
            beyond=beyond.get(key, behind.head(0)),
            rollbacks=undoings.get(key, rollbacks.head(0)),
            templates=failure_templates(failed, Selection(window)).sort_values(
                "last_seen_at", ascending=False, kind="stable"
            ),
        )


def _by_component(table: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Part a table by component; rows of weeks in which nothing was name none, and are left out."""
    grouped = table.groupby(_COMPONENT, sort=False)
    return {(str(project), str(component)): rows for (project, component), rows in grouped}


def _unarchived(frames: Frames, window: Window, project: str) -> frozenset[str]:
    weeks = pd.DataFrame({"week": pd.Series([week.label for week in window.weeks], dtype="str")})
    table = with_coverage(weeks, frames.nights, Selection(window, where={"project": (project,)}))
    return frozenset(table.loc[table["coverage"] == "none", "week"])


def _labels(releases: pd.DataFrame) -> dict[str, str | None]:
    """Return the labels of the newest release."""
    return {name: plain(releases[name].iloc[0]) if len(releases) else None for name in LABELS}
