"""Which deployment or rollback an entry speaks of: the identity of jobs, kept while upstream overwrites them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from archiver.mapping import Entry, Row, epoch_ms, key_of

_UNFINISHED = ("running", "pending")
_SIGHT = ("last_seen_at", "last_snapshot_id")


@dataclass(frozen=True, slots=True)
class Sighting:
    """Which snapshot was seen, when, and by which run."""

    snapshot_id: str
    canonical_sha256: str
    captured_at: datetime
    run_id: str


@dataclass(slots=True)
class Changes:
    """What one body changed: whether any row's content, and which statuses (row, old, new)."""

    is_changed: bool = False
    statuses: list[tuple[Row, str | None, str | None]] = field(default_factory=list)


@dataclass(slots=True)
class Jobs:
    """The jobs of one kind (deployments or rollbacks) of one plan, and those that were touched since."""

    subject: str
    key_column: str
    id_column: str
    status_column: str
    by_component: dict[str, list[Row]] = field(default_factory=dict)
    touched: dict[str, Row] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Take in a row that the archive already has."""
        self.by_component.setdefault(row["component_id"], []).append(row)

    def rows(self) -> Iterable[Row]:
        """Return all rows."""
        return (row for rows in self.by_component.values() for row in rows)

    def shown_by(self, snapshot_id: str | None) -> Iterable[Row]:
        """Return the rows that a snapshot shows last."""
        return (row for row in self.rows() if row["last_snapshot_id"] == snapshot_id)

    def observe(self, entries: list[Entry], previous: str | None, sighting: Sighting, birth: Row) -> Changes:
        """Take in one body's entries. `previous` is the snapshot before, `birth` what new rows have alike."""
        # The rows shown, as they were before. Entry by entry, so that a component twice in a body keeps both its jobs;
        # compared at the end, since of a job that is twice in it the last entry counts.
        before: dict[str, Row | None] = {}  # None: it was not there
        for entry in entries:
            fields = self._fields(entry)
            if fields is None:
                continue
            row = self._find(entry, fields, previous)
            if row is None:
                row = self._create(entry, fields, sighting, birth)
                before[row[self.key_column]] = None
            elif row[self.key_column] not in before:
                before[row[self.key_column]] = dict(row)
            self._update(row, entry, fields, sighting)
        changes = Changes()
        for key, was in before.items():
            row = self.touched[key]
            old, new = None if was is None else was[self.status_column], row[self.status_column]
            if was is None or any(row[name] != was.get(name) for name in row if name not in _SIGHT):
                changes.is_changed = True
            if old != new:
                changes.statuses.append((row, old, new))
        if self.subject == "job":
            self._close_replaced({entry.component_id for entry in entries}, before.keys(), changes)
            self._rank({self.touched[key]["component_id"] for key in before})
        return changes

    def _fields(self, entry: Entry) -> Row | None:
        return entry.attempt if self.subject == "job" else entry.rollback

    def _id(self, entry: Entry) -> str | None:
        return entry.job_id if self.subject == "job" else entry.rollback_job_id

    def _find(self, entry: Entry, fields: Row, previous: str | None) -> Row | None:
        """Return the known row that the entry shows again.

        By its id; without id by its start; without either it is the one open job of its component. A row without id
        is taken over by an id that appears with the same start, or without a start while the row is the latest shown
        (by the snapshot before, and not yet again by this one).
        """
        mine = self.by_component.get(entry.component_id)
        if not mine:
            return None
        own_id, start = self._id(entry), fields["started_at"]
        without_id = [row for row in mine if row[self.id_column] is None]
        if own_id is not None:
            known = [row for row in mine if row[self.id_column] == own_id]
            known = known or [row for row in without_id if start is not None and row["started_at"] == start]
        elif start is not None:
            known = [row for row in mine if row["started_at"] == start]
        else:
            known = [row for row in without_id if row["started_at"] is None]
        if not known and (own_id is not None or self.subject == "rollback"):
            latest = [row for row in without_id if row["last_snapshot_id"] == previous]
            known = [row for row in latest if self._is_same_job(row, entry, start)]
        return max(known, key=self._recency, default=None)

    def _is_same_job(self, row: Row, entry: Entry, start: datetime | None) -> bool:
        """Whether a row without id, the latest shown, may be the job that now shows more of itself."""
        if self.subject == "job":
            return start is None
        # A rollback that was first seen by its status alone gets its start and its id later.
        is_beside = None in (row["job_id"], entry.job_id) or row["job_id"] == entry.job_id
        return is_beside and (start is None or row["started_at"] is None)

    def _recency(self, row: Row) -> tuple[Any, ...]:
        first_seen_at = row["first_seen_at"]
        return first_seen_at, row["started_at"] or first_seen_at, row[self.id_column] or "", row[self.key_column]

    def _create(self, entry: Entry, fields: Row, sighting: Sighting, birth: Row) -> Row:
        own_id, start = self._id(entry), fields["started_at"]
        identity: tuple[str, Any] = (
            ("id", own_id)
            if own_id is not None
            else ("start", epoch_ms(start))
            if start is not None
            else ("open", epoch_ms(sighting.captured_at))
        )
        place = (birth["project_id"], birth["plan_id"], entry.component_id)
        mine = self.by_component.setdefault(entry.component_id, [])
        taken = {row[self.key_column] for row in mine}
        key = key_of(*place, *identity)
        while key in taken:
            key = key_of(*place, *identity, key)
        row = birth | {
            self.key_column: key,
            "component_id": entry.component_id,
            "batch": entry.batch,
            self.id_column: own_id,
            self.status_column: None,
            # Until it is ranked, and never seen: `_update` sets all else.
            **({"attempt": 0} if self.subject == "job" else {"job_id": entry.job_id}),
            "last_snapshot_id": sighting.snapshot_id,
        }
        mine.append(row)
        return row

    def _update(self, row: Row, entry: Entry, fields: Row, sighting: Sighting) -> None:
        fields = dict(fields)
        if row[self.id_column] is None:
            fields[self.id_column] = self._id(entry)
        if self.subject == "rollback" and row["job_id"] is None:
            fields["job_id"] = entry.job_id
        row.update(fields)
        row["last_seen_at"] = max(sighting.captured_at, row.get("last_seen_at", sighting.captured_at))
        row["last_snapshot_id"] = sighting.snapshot_id
        self.touched[row[self.key_column]] = row

    def _close_replaced(self, component_ids: set[str], shown: Iterable[str], changes: Changes) -> None:
        """An attempt whose component is there and shows another: its end will never be seen."""
        shown = set(shown)
        for component_id in component_ids:
            for row in self.by_component.get(component_id, ()):
                if row["outcome"] in _UNFINISHED and row[self.key_column] not in shown:
                    row["outcome"] = "unknown"
                    changes.is_changed = True
                    self.touched[row[self.key_column]] = row

    def _rank(self, component_ids: set[str]) -> None:
        """Number the attempts of each place: by start (none last), first sighting and job."""
        for component_id in component_ids:
            mine = self.by_component[component_id]
            if len(mine) == 1:
                self._set_rank(mine[0], 1)
                continue
            places: dict[int | None, list[Row]] = {}
            for row in mine:
                places.setdefault(row["batch"], []).append(row)
            for rows in places.values():
                if len(rows) > 1:
                    rows.sort(key=_rank_key)
                for rank, row in enumerate(rows, 1):
                    self._set_rank(row, rank)

    def _set_rank(self, row: Row, rank: int) -> None:
        if row["attempt"] != rank:
            row["attempt"] = rank
            self.touched[row[self.key_column]] = row


def _rank_key(row: Row) -> tuple[Any, ...]:
    start = row["started_at"]
    return (
        start is None,
        start or row["first_seen_at"],
        row["first_seen_at"],
        row["job_id"] is None,
        row["job_id"] or "",
    )


def attempt_jobs() -> Jobs:
    """Begin with no attempts."""
    return Jobs("job", "attempt_key", "job_id", "job_status")


def rollback_jobs() -> Jobs:
    """Begin with no rollbacks."""
    return Jobs("rollback", "rollback_key", "rollback_job_id", "rollback_job_status")
