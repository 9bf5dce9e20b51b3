"""Data sets of any size, as `archiver export` writes them, made without an archive: a week of a project at a time."""

import io
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from archiver.dataset import opened
from archiver.exported import EXPORTED
from archiver.masking import MASKING_VERSION, template_id
from archiver.partitions import ROWS_IN_GROUP, arrow_schema

LAST_MONDAY = date(2026, 11, 16)
WEEKS = 26
BATCHES, IN_BATCH = 4, 5
COMPONENTS = 200  # of a project
_WEEK_MS = 7 * 86_400_000
_SCHEMAS = {exported.table.name: arrow_schema(exported) for exported in EXPORTED}
_COUNTED = ("requests", "retries")
_TEMPLATES = ("exit code <n>", "timed out after <n> s", "(no message)")


def write_data_set(directory: Path, attempts: int, projects: int = 4) -> int:
    """Write some `attempts` of 26 weeks; return how many. Plans have 4 batches of 5 components; 8 % fail at first."""
    plans = -(-attempts // (projects * WEEKS * BATCHES * IN_BATCH))
    written = 0
    with opened(directory, "UTC", is_whole=True) as data_set:
        for project in (f"project-{number}" for number in range(projects)):
            for number in range(WEEKS):
                monday = LAST_MONDAY - timedelta(weeks=WEEKS - 1 - number)
                dice = np.random.default_rng([number, int.from_bytes(project.encode())])
                tables = _week(project, monday, plans, dice)
                written += tables["job_attempts"].num_rows
                for name, rows in tables.items():
                    content = io.BytesIO()
                    pq.write_table(rows, content, compression="zstd", row_group_size=ROWS_IN_GROUP)
                    week = f"{monday.isocalendar().year}-W{monday.isocalendar().week:02d}"
                    data_set.put(content, name, project, week, rows.num_rows, always=True)
        data_set.commit(list(_SCHEMAS), None)
    return written


def _week(project, monday, plans, dice):
    """Return the tables of a project's week."""
    begin = int(datetime.combine(monday, datetime.min.time(), UTC).timestamp()) * 1000
    plan_starts = begin + dice.integers(0, _WEEK_MS - 86_400_000, plans)
    plan_ids = np.array([f"plan-{monday:%m%d}-{number}" for number in range(plans)])
    plan_keys = np.array([blake2b(f"{project}\n{one}".encode(), digest_size=16).hexdigest() for one in plan_ids])
    places = np.repeat(np.arange(plans), BATCHES * IN_BATCH)
    batch = np.tile(np.repeat(np.arange(1, BATCHES + 1), IN_BATCH), plans)
    component = (
        np.repeat(dice.integers(0, COMPONENTS, plans), BATCHES * IN_BATCH) + np.arange(len(places))
    ) % COMPONENTS
    component_id = np.array([f"component-{number}" for number in range(COMPONENTS)])[component]
    start = plan_starts[places] + batch * 1_200_000 + dice.integers(0, 60_000, len(places))
    end = start + dice.integers(1_000, 900_000, len(places))
    is_failed = dice.random(len(places)) < 0.08
    place = {"plan_key": plan_keys[places], "plan_id": plan_ids[places], "component_id": component_id, "batch": batch}
    seen = np.full(len(places), begin + _WEEK_MS)
    first = place | _times(start, end) | {"attempt": np.ones(len(places), dtype="int64"), "first_seen_at": seen}
    first |= {"outcome": np.where(is_failed, "failed", "succeeded"), "version": np.full(len(places), "1.0")}
    first["job_id"] = np.char.add("job-1-", np.arange(len(places)).astype("str"))
    first["attempt_key"] = _keys(place, "attempt-1")
    is_again = is_failed & (dice.random(len(places)) < 0.5)
    again = {name: values[is_again] for name, values in first.items()}
    begins = again["ended_at"] + 60_000
    again |= _times(begins, begins + dice.integers(1_000, 900_000, len(begins)))
    again |= {"attempt": again["attempt"] + 1, "outcome": np.full(len(begins), "succeeded")}
    again["job_id"] = np.char.add("job-2-", np.arange(len(begins)).astype("str"))
    again["attempt_key"] = _keys({name: values[is_again] for name, values in place.items()}, "attempt-2")
    is_bad = is_failed & ~is_again & (dice.random(len(places)) < 0.7)
    back = {name: values[is_bad] for name, values in place.items()}
    back |= {"job_id": first["job_id"][is_bad], "first_seen_at": seen[is_bad], "rollback_key": _keys(back, "rollback")}
    back |= _times(end[is_bad] + 30_000, end[is_bad] + 30_000 + dice.integers(1_000, 300_000, is_bad.sum()))
    back["outcome"] = np.where(dice.random(is_bad.sum()) < 0.1, "failed", "succeeded")
    back["rollback_job_id"] = np.char.add("rollback-", np.arange(is_bad.sum()).astype("str"))
    attempts = {name: np.concatenate([first[name], again[name]]) for name in first}
    times = {"first_seen_at": seen, "last_seen_at": seen}
    names = np.char.add("component ", component.astype("str"))
    plan = {"plan_key": plan_keys, "plan_id": plan_ids, "created_at": plan_starts, "executed_at": plan_starts}
    plan |= {"creator": np.full(plans, "ana"), "action": np.full(plans, "upgrade")}
    last = np.where(is_failed & ~is_again, "failed", "succeeded")
    tables = {
        "plans": plan,
        "components": place | times | {"component_key": _keys(place, "component"), "name": names},
        "job_attempts": attempts,
        "component_releases": place | {"component": names, "outcome": last, "started_at": start},
        "rollbacks": back,
        "failures": _failures(attempts, back, dice),
        **_books(project, monday),
    }
    return {name: _table(name, columns) for name, columns in tables.items() if len(next(iter(columns.values())))}


def _times(start, end):
    return {"started_at": start, "ended_at": end, "duration_seconds": (end - start) / 1000}


def _keys(place, what):
    parts = zip(place["plan_key"], place["component_id"], place["batch"], strict=True)
    return np.array([f"{key}{component}{batch}{what}" for key, component, batch in parts], dtype="str")


def _failures(attempts, rollbacks, dice):
    shared = ("plan_key", "plan_id", "component_id", "batch", "started_at")
    kinds = []
    for kind, rows, key in (("attempt", attempts, "attempt_key"), ("rollback", rollbacks, "rollback_key")):
        failed = rows["outcome"] == "failed"
        count = int(failed.sum())
        template = np.array(_TEMPLATES)[dice.integers(0, len(_TEMPLATES), count)]
        found = {name: rows[name][failed] for name in shared} | {"job_key": rows[key][failed], "template": template}
        found["failure_key"] = np.char.add(f"{kind}/", found["job_key"])
        found["template_id"] = np.array([template_id(one) for one in template], dtype="str")
        kinds.append(found | {"kind": np.full(count, kind), "masking_version": np.full(count, MASKING_VERSION)})
    return {name: np.concatenate([one[name] for one in kinds]) for name in kinds[0]}


def _books(project, monday):
    nights = [monday + timedelta(days=day) for day in range(7)]
    ends = [datetime.combine(night, datetime.min.time(), UTC) + timedelta(days=1, hours=2) for night in nights]
    runs = [f"{project}-{night}" for night in nights]
    same = {"night_date": nights, "run_id": runs}
    said = {"kind": "scheduled", "outcome": "complete", "archiver_version": "0", "schema_revision": "0"}
    return {
        "nights": same | {"night_key": runs, "planned_at": ends, "state": ["done"] * 7},
        "runs": same
        | {"run_key": runs, "started_at": ends, "ended_at": ends, "mapping_version": [1] * 7}
        | {name: [word] * 7 for name, word in said.items()}
        | {name: [0] * 7 for name in _SCHEMAS["runs"].names if name.startswith("plans_") or name in _COUNTED},
    }


def _table(name, columns):
    schema = _SCHEMAS[name]
    rows = len(next(iter(columns.values())))
    arrays = [
        pa.array(columns[one.name]).cast(one.type) if one.name in columns else pa.nulls(rows, one.type)
        for one in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
