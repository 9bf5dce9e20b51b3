"""What the archive must hold after some nights, worked out a second time, slowly, from the contract's words alone."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]
SETTLED = {"SUCCESS", "FAILED", "PARTIALLY_FAILED", "ABORTED", "ROLLBACK_SUCCEED", "ROLLBACK_FAILED"}
OUTCOMES = {
    "succeeded": {"SUCCEEDED", "SUCCESS"},
    "failed": {"FAILED", "PARTIALLY_FAILED", "ROLLBACK_FAILED"},
    "aborted": {"CANCELLED", "ABORTED"},
    "running": {"RUNNING", "TOGGLING", "ABORTING", "ROLLBACKING"},
    "pending": {"CREATED", "SUBMITTED", "SCHEDULED"},
}


@dataclass
class Night:
    """What one run saw: the list, and for each plan that was asked, its body or None for a 404."""

    listed_at: datetime
    items: list[Row]
    answers: dict[str, tuple[datetime, Row | None]]


@dataclass
class Model:
    """All rows, in the contract's columns; columns that only the model needs begin with `_`."""

    plans: dict[str, Row] = field(default_factory=dict)
    components: list[Row] = field(default_factory=list)
    job_attempts: list[Row] = field(default_factory=list)
    rollbacks: list[Row] = field(default_factory=list)
    status_changes: list[Row] = field(default_factory=list)

    def see_night(self, night: Night) -> None:
        for item in night.items:
            plan_id = text(item["id"])
            answered_at, body = night.answers.get(plan_id, (None, None))
            self.see_item(night.listed_at, item, is_answering=body is not None)
            if body is not None:
                self.see_body(answered_at, plan_id, body)
            elif answered_at is not None:
                self.see_gone(answered_at, plan_id)
        for plan_id in self.plans.keys() - {text(item["id"]) for item in night.items}:
            self.see_gone(night.listed_at, plan_id)

    def see_item(self, at: datetime, item: Row, *, is_answering: bool) -> None:
        plan_id = text(item["id"])
        is_new = plan_id not in self.plans
        plan = self.plans.setdefault(plan_id, new_plan(plan_id, at))
        # One that is gone and listed as before is back once it answers.
        is_back = plan["gone_at"] is not None and is_answering
        if written(item) == plan["_item"] and not is_back:
            return
        old_status = None if plan["gone_at"] else plan["status"]
        has_status_changed = is_new or plan["status"] != text(item.get("status"))
        plan["_item"] = written(item)
        for column in ("name", "action", "status", "creator"):
            plan[column] = text(item.get(column))
        for column, name in (("created", "create"), ("modified", "modify"), ("executed", "execute")):
            plan[f"{column}_at"] = instant(item.get(f"{name}_time"))
        plan |= {"gone_at": None, "last_seen_at": at}
        if plan["status"] not in SETTLED:
            plan["settled_at"] = None
        elif has_status_changed:
            plan["settled_at"] = at
        self.note(at, plan_id, "plan", old_status, plan["status"])

    def see_gone(self, at: datetime, plan_id: str) -> None:
        plan = self.plans[plan_id]
        if plan["gone_at"] is None:
            plan["gone_at"] = at
            self.note(at, plan_id, "plan", plan["status"], None)

    def see_body(self, at: datetime, plan_id: str, body: Row) -> None:
        plan = self.plans[plan_id]
        plan["last_seen_at"] = at
        if plan["_body"] == written(body):
            for row in self.of_plan(plan_id, self.components, self.job_attempts, self.rollbacks):
                if row["_body_number"] == plan["_body_number"]:
                    row["last_seen_at"] = at
            return
        is_first = plan["_body"] is None
        plan |= {"_body": written(body), "_body_number": plan["_body_number"] + 1}
        entries = [entry_of(raw, position) for position, raw in enumerate(body["components"])]
        self.see_places(at, plan, entries)
        before = {id(row): dict(row) for row in self.of_plan(plan_id, self.job_attempts, self.rollbacks)}
        for entry in entries:
            self.see_attempt(at, plan, entry)
            self.see_rollback(at, plan, entry)
        self.close_replaced(plan, {entry["component_id"] for entry in entries})
        rank(self.of_plan(plan_id, self.job_attempts))
        changed = [
            row
            for row in self.of_plan(plan_id, self.job_attempts, self.rollbacks)
            if facts(row) != facts(before.get(id(row), {}))
        ]
        for row in changed:
            subject = "rollback" if "rollback_job_id" in row else "job"
            prefix = "rollback_" if subject == "rollback" else ""
            old, new = before.get(id(row), {}).get(f"{prefix}job_status"), row[f"{prefix}job_status"]
            self.note(at, plan_id, subject, old, new, row["component_id"], row[f"{prefix}job_id"])
        if changed and not is_first and plan["status"] in SETTLED:
            plan["settled_at"] = at

    def of_plan(self, plan_id: str, *tables: list[Row]) -> list[Row]:
        return [row for table in tables for row in table if row["plan_id"] == plan_id]

    def see_places(self, at: datetime, plan: Row, entries: list[Row]) -> None:
        plan_id = plan["plan_id"]
        last = {(entry["component_id"], entry["batch"]): entry for entry in entries}
        for place, entry in last.items():
            found = [row for row in self.of_plan(plan_id, self.components) if place_of(row) == place]
            row = found[0] if found else new_row(plan_id, entry, at) | {"status": None, "gone_at": None}
            if not found:
                self.components.append(row)
            old_status = None if row["gone_at"] else row["status"]
            row |= {name: entry[name] for name in ("name", "version", "status")}
            row |= {"last_seen_at": at, "gone_at": None, "_body_number": plan["_body_number"]}
            self.note(at, plan_id, "component", old_status, row["status"], row["component_id"])
        for row in self.of_plan(plan_id, self.components):
            if place_of(row) not in last and row["gone_at"] is None:
                row["gone_at"] = at
                self.note(at, plan_id, "component", row["status"], None, row["component_id"])

    def see_attempt(self, at: datetime, plan: Row, entry: Row) -> None:
        result = outcome(entry["job_status"] or entry["status"])
        job_id, started_at = entry["job_id"], entry["started_at"]
        if job_id is None and started_at is None and result not in ("failed", "aborted"):
            return
        known = [row for row in self.job_attempts if is_of(row, plan, entry)]
        row = same_attempt(known, job_id, started_at, plan["_body_number"])
        if row is None:
            row = new_row(plan["plan_id"], entry, at) | {"job_id": None}
            self.job_attempts.append(row)
        row["job_id"] = job_id or row["job_id"]
        row |= {name: entry[name] for name in ("version", "job_status", "started_at", "ended_at", "fail_message")}
        row |= {"outcome": result, "last_seen_at": at, "_body_number": plan["_body_number"]}
        row["duration_seconds"] = duration(row, at)

    def see_rollback(self, at: datetime, plan: Row, entry: Row) -> None:
        rollback_id, started_at = entry["rollback_job_id"], entry["rollback_started_at"]
        if not (rollback_id or started_at or entry["rollback_job_status"] or entry["rollback_fail_message"]):
            return
        known = [row for row in self.rollbacks if is_of(row, plan, entry)]
        row = same_rollback(known, entry, plan["_body_number"])
        if row is None:
            row = new_row(plan["plan_id"], entry, at) | {"job_id": None, "rollback_job_id": None}
            self.rollbacks.append(row)
        row["rollback_job_id"] = rollback_id or row["rollback_job_id"]
        row["job_id"] = row["job_id"] or entry["job_id"]
        row |= {"rollback_job_status": entry["rollback_job_status"], "outcome": rollback_outcome(entry)}
        row |= {"started_at": started_at, "ended_at": entry["rollback_ended_at"]}
        row |= {"fail_message": entry["rollback_fail_message"]}
        row |= {"last_seen_at": at, "_body_number": plan["_body_number"]}
        row["duration_seconds"] = duration(row, at)

    def close_replaced(self, plan: Row, present: set[str]) -> None:
        for row in self.of_plan(plan["plan_id"], self.job_attempts):
            is_hidden = row["_body_number"] < plan["_body_number"] and row["component_id"] in present
            if is_hidden and row["outcome"] in ("running", "pending"):
                row["outcome"] = "unknown"

    def note(
        self,
        at: datetime,
        plan_id: str,
        subject: str,
        old_status: str | None,
        new_status: str | None,
        component_id: str | None = None,
        job_id: str | None = None,
    ) -> None:
        if old_status != new_status:
            change = {"plan_id": plan_id, "component_id": component_id, "job_id": job_id, "subject": subject}
            change |= {"old_status": old_status, "new_status": new_status, "observed_at": at}
            self.status_changes.append(change)


def new_plan(plan_id: str, at: datetime) -> Row:
    hidden = {"_item": None, "_body": None, "_body_number": 0}
    return hidden | {"plan_id": plan_id, "status": None, "first_seen_at": at, "gone_at": None, "settled_at": None}


def new_row(plan_id: str, entry: Row, at: datetime) -> Row:
    return {"plan_id": plan_id, "component_id": entry["component_id"], "batch": entry["batch"], "first_seen_at": at}


def is_of(row: Row, plan: Row, entry: Row) -> bool:
    return row["plan_id"] == plan["plan_id"] and row["component_id"] == entry["component_id"]


def place_of(row: Row) -> tuple[str, int | None]:
    return row["component_id"], row["batch"]


def same_attempt(known: list[Row], job_id: str | None, started_at: datetime | None, body_number: int) -> Row | None:
    """Which known attempt of this component is shown: by id, else by start, else the open one."""
    without_id = [row for row in known if row["job_id"] is None]
    if job_id is not None:
        with_id = [row for row in known if row["job_id"] == job_id]
        with_start = [row for row in without_id if started_at and row["started_at"] == started_at]
        before = [row for row in without_id if row["_body_number"] == body_number - 1 and not started_at]
        return newest(with_id or with_start or before, "job_id")
    if started_at is not None:
        return newest([row for row in known if row["started_at"] == started_at], "job_id")
    return newest([row for row in without_id if row["started_at"] is None], "job_id")


def same_rollback(known: list[Row], entry: Row, body_number: int) -> Row | None:
    """Which known rollback of this component is shown.

    The contract leaves the identity of one without id open: as with attempts, but whatever the latest body showed
    beside the same job may gain or lose its start.
    """
    rollback_id, started_at = entry["rollback_job_id"], entry["rollback_started_at"]
    without_id = [row for row in known if row["rollback_job_id"] is None]
    if rollback_id is not None:
        exact = [row for row in known if row["rollback_job_id"] == rollback_id]
        exact = exact or [row for row in without_id if started_at and row["started_at"] == started_at]
    elif started_at is not None:
        exact = [row for row in known if row["started_at"] == started_at]
    else:
        exact = [row for row in without_id if row["started_at"] is None]
    before = [
        row
        for row in without_id
        if row["_body_number"] == body_number - 1
        and (row["job_id"] == entry["job_id"] or not row["job_id"] or not entry["job_id"])
        and not (started_at and row["started_at"])
    ]
    return newest(exact or before, "rollback_job_id")


def newest(rows: list[Row], id_column: str) -> Row | None:
    def age(row: Row) -> tuple[datetime, datetime, str]:
        return row["first_seen_at"], row["started_at"] or row["first_seen_at"], row[id_column] or ""

    return max(rows, key=age, default=None)


def entry_of(raw: Row, position: int) -> Row:
    component_id = text(raw.get("id")) or f"missing:{text(raw.get('name')) or position}"
    entry = {"component_id": component_id, "batch": whole_number(raw.get("seq"))}
    texts = ("name", "version", "status", "job_id", "job_status", "fail_message")
    texts += ("rollback_job_id", "rollback_job_status", "rollback_fail_message")
    entry |= {name: text(raw.get(name)) for name in texts}
    for prefix in ("", "rollback_"):
        entry[f"{prefix}started_at"] = instant(raw.get(f"{prefix}start_time"))
        entry[f"{prefix}ended_at"] = instant(raw.get(f"{prefix}end_time"))
    return entry


def written(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def whole_number(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    is_number = not isinstance(value, bool) and re.fullmatch(r"-?[0-9]+", str(value).strip())
    return int(value) or None if is_number else None


def instant(value: Any) -> datetime | None:
    milliseconds = whole_number(value)
    if milliseconds is None or milliseconds < 0:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def outcome(status: str | None) -> str:
    return next((word for word, statuses in OUTCOMES.items() if status in statuses), "unknown")


def rollback_outcome(entry: Row) -> str:
    status = entry["rollback_job_status"]
    if status is None:
        words = ("ROLLBACKING", "ROLLBACK_SUCCEED", "ROLLBACK_FAILED")
        status = entry["status"] if entry["status"] in words else None
    return "succeeded" if status in ("ROLLBACKED", "ROLLBACK_SUCCEED") else outcome(status)


def duration(row: Row, at: datetime) -> float | None:
    started_at, ended_at = row["started_at"], row["ended_at"]
    if started_at is None or ended_at is None or ended_at < started_at or ended_at > at + timedelta(hours=24):
        return None
    return (ended_at - started_at) / timedelta(seconds=1)


def rank(attempts: list[Row]) -> None:
    """Number the attempts of one plan within each place."""
    end = datetime.max.replace(tzinfo=UTC)
    for row in attempts:
        beside = [other for other in attempts if place_of(other) == place_of(row)]
        beside.sort(key=lambda o: (o["started_at"] or end, o["first_seen_at"], o["job_id"] is None, o["job_id"] or ""))
        row["attempt"] = next(n for n, other in enumerate(beside, 1) if other is row)


def facts(row: Row) -> Row:
    """Return a row without the model's own columns and the times of sight, to tell whether it changed."""
    return {name: value for name, value in row.items() if name != "last_seen_at" and not name.startswith("_")}
