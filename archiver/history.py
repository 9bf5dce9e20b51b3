"""The rules of the archive: how one plan's past grows by one observation. Pure; live run and replay are one fold.

An observation is a new list item, a new deployment information, or the plan's absence. Rows are dicts by column name.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from archiver.api.payloads import DeployInfo, PlanItem
from archiver.attempts import Jobs, Sighting, attempt_jobs, rollback_jobs
from archiver.mapping import SETTLED, Entry, Row, epoch_ms, key_of, map_component, map_plan

Place = tuple[str, int | None]

_MARKS = (
    *("gone_at", "settled_at", "recheck_from_at", "list_snapshot_id", "list_item_sha256", "listed_at"),
    *("deploy_snapshot_id", "deploy_info_sha256", "fetched_at"),
)


@dataclass(slots=True)
class PlanHistory:
    """All that the archive knows of one plan, as rows, and which of them the observations since have touched."""

    project_id: str
    plan_id: str
    plan: Row | None = None
    components: dict[Place, Row] = field(default_factory=dict)
    attempts: Jobs = field(default_factory=attempt_jobs)
    rollbacks: Jobs = field(default_factory=rollback_jobs)
    changes: list[Row] = field(default_factory=list)
    touched_components: dict[str, Row] = field(default_factory=dict)
    plan_key: str = field(init=False)

    def __post_init__(self) -> None:
        """Make the key that every row of the plan carries."""
        self.plan_key = key_of(self.project_id, self.plan_id)

    def see_item(self, item: PlanItem, sighting: Sighting) -> None:
        """The list showed the plan, for the first time, otherwise than before, or again after it had gone."""
        at = sighting.captured_at
        row = self._known_plan(at)
        mapped = map_plan(item)
        is_first = row["listed_at"] is None
        is_back = row["gone_at"] is not None
        was, now = row["status"], mapped["status"]
        row.update(mapped)
        row["last_seen_at"] = max(at, row["last_seen_at"])
        row["gone_at"] = None
        # The same item over two ranges of sight, as an import leaves it, is no new item.
        if is_back or row["list_item_sha256"] != sighting.canonical_sha256:
            row["listed_at"] = at
        row["list_snapshot_id"], row["list_item_sha256"] = sighting.snapshot_id, sighting.canonical_sha256
        if is_first or is_back or was != now:
            self._change("plan", None if is_first or is_back else was, now, sighting)
        self._settle(row, at, is_first=is_first, is_changed=was != now)

    def has_failed(self) -> bool:
        """Whether an attempt or a rollback has failed, as far as is known."""
        return any(row["outcome"] == "failed" for jobs in (self.attempts, self.rollbacks) for row in jobs.rows())

    def see_gone(self, at: datetime, run_id: str) -> bool:
        """A complete list no longer held the plan, or it answered 404. Return whether that is news."""
        row = self.plan
        if row is None or row["gone_at"] is not None:
            return False
        # Should the clock have been set back, it still left after it was last seen.
        at = row["gone_at"] = max(at, row["last_seen_at"])
        self._change("plan", row["status"], None, Sighting("", "", at, run_id))
        return True

    def see_deploy_info(self, info: DeployInfo, sighting: Sighting) -> None:
        """A new body of the plan's deployment information."""
        at = sighting.captured_at
        row = self._known_plan(at)
        is_first, previous = row["fetched_at"] is None, row["deploy_snapshot_id"]
        entries = [map_component(item, position, at) for position, item in enumerate(info.components)]
        self._place_components(entries, sighting)
        is_changed = False
        for jobs in (self.attempts, self.rollbacks):
            changes = jobs.observe(entries, previous, sighting, self._birth(sighting))
            is_changed |= changes.is_changed
            for job, old, new in changes.statuses:
                self._change(jobs.subject, old, new, sighting, job, jobs.id_column)
        row["last_seen_at"] = max(at, row["last_seen_at"])
        row["deploy_snapshot_id"], row["deploy_info_sha256"] = sighting.snapshot_id, sighting.canonical_sha256
        row["fetched_at"] = at
        # What a plan's first body shows is no change of what was known.
        if is_changed and not is_first and row["settled_at"] is not None:
            row["settled_at"] = row["recheck_from_at"] = at

    def see_again(self, at: datetime) -> None:
        """The plan was fetched at that time and its deployment information was the same: times of sight move."""
        row = self._known_plan(at)
        row["last_seen_at"] = max(at, row["last_seen_at"])
        row["fetched_at"] = max(at, row["fetched_at"] or at)
        shown = (row for row in self.components.values() if row["gone_at"] is None)
        for seen in (
            *shown,
            *self.attempts.shown_by(row["deploy_snapshot_id"]),
            *self.rollbacks.shown_by(row["deploy_snapshot_id"]),
        ):
            seen["last_seen_at"] = max(at, seen["last_seen_at"])

    def _known_plan(self, at: datetime) -> Row:
        if self.plan is None:
            identity = {"plan_key": self.plan_key, "project_id": self.project_id, "plan_id": self.plan_id}
            self.plan = (
                identity | map_plan(PlanItem()) | {"first_seen_at": at, "last_seen_at": at} | dict.fromkeys(_MARKS)
            )
        return self.plan

    def _birth(self, sighting: Sighting) -> Row:
        """Return the columns that every new row of a job has alike."""
        return {
            "plan_key": self.plan_key,
            "project_id": self.project_id,
            "plan_id": self.plan_id,
            "first_seen_at": sighting.captured_at,
            "first_snapshot_id": sighting.snapshot_id,
        }

    @staticmethod
    def _settle(row: Row, at: datetime, *, is_first: bool, is_changed: bool) -> None:
        """Move `settled_at` and the start of the recheck window after a list item."""
        if row["status"] not in SETTLED:
            row["settled_at"] = row["recheck_from_at"] = None
            return
        # Settled when first seen, and as it was then: the window counts from the plan's own latest time.
        is_as_first_seen = is_first or (not is_changed and row["recheck_from_at"] != row["settled_at"])
        if row["settled_at"] is None or is_changed:
            row["settled_at"] = row["recheck_from_at"] = at
        if is_as_first_seen:
            own = [row[name] for name in ("modified_at", "executed_at", "created_at") if row[name] is not None]
            row["recheck_from_at"] = max(own, default=at)

    def _place_components(self, entries: Iterable[Entry], sighting: Sighting) -> None:
        at = sighting.captured_at
        # A component twice in one place: the last entry is the row.
        places = {(entry.component_id, entry.batch): entry for entry in entries}
        for place, row in self.components.items():
            if row["gone_at"] is None and place not in places:
                row["gone_at"] = at
                self.touched_components[row["component_key"]] = row
                self._change("component", row["status"], None, sighting, row)
        for place, entry in places.items():
            found = self.components.get(place)
            row = found or self._new_component(entry, at)
            was = None if found is None or row["gone_at"] is not None else row["status"]
            self.components[place] = row
            is_new = found is None or row["gone_at"] is not None
            row.update(name=entry.name, version=entry.version, status=entry.status, gone_at=None)
            row["last_seen_at"] = max(at, row["last_seen_at"])
            self.touched_components[row["component_key"]] = row
            if is_new or was != entry.status:
                self._change("component", was, entry.status, sighting, row)

    def _new_component(self, entry: Entry, at: datetime) -> Row:
        return {
            "component_key": key_of(self.project_id, self.plan_id, entry.component_id, entry.batch),
            "plan_key": self.plan_key,
            "project_id": self.project_id,
            "plan_id": self.plan_id,
            "component_id": entry.component_id,
            "batch": entry.batch,
            "first_seen_at": at,
            "last_seen_at": at,
            "gone_at": None,
        }

    def _change(
        self,
        subject: str,
        old: str | None,
        new: str | None,
        sighting: Sighting,
        row: Row | None = None,
        id_column: str | None = None,
    ) -> None:
        """Note a transition of a status; from nothing to nothing is none."""
        if old == new:
            return
        about = row or {}
        component_id, batch = about.get("component_id"), about.get("batch")
        job_id = about[id_column] if id_column else None
        identity = about.get("attempt_key") or about.get("rollback_key")
        observed_ms = epoch_ms(sighting.captured_at)
        self.changes.append(
            {
                "status_change_key": key_of(
                    *(self.project_id, self.plan_id, subject, component_id, batch, identity, observed_ms, old, new)
                ),
                "plan_key": self.plan_key,
                "project_id": self.project_id,
                "plan_id": self.plan_id,
                "component_id": component_id,
                "batch": batch,
                "job_id": job_id,
                "subject": subject,
                "old_status": old,
                "new_status": new,
                "observed_at": sighting.captured_at,
                "run_id": sighting.run_id,
            }
        )
