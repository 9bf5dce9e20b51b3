"""The independent checker: reads an archive with plain SQL and holds it against what the test's server served.

It knows the tables and the contract, and nothing of the program that wrote them.
"""

import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from datetime import date, datetime
from hashlib import sha256
from itertools import pairwise

import psycopg
import zstandard
from psycopg.rows import dict_row

SCHEMA = "release_archive"
FACTS = ("plans", "components", "job_attempts", "rollbacks", "status_changes")
TABLES = (*FACTS, "failures", "snapshots", "runs", "fetch_failures", "nights")
SIGHT = {"last_seen_at", "last_captured_at", "fetched_at"}
# What of a fact depends on when and by which run it was seen, and not on what the upstream said.
_CHANCE = {
    *("first_seen_at", "last_seen_at", "observed_at", "listed_at", "fetched_at", "recheck_from_at", "run_id"),
    *("list_snapshot_id", "deploy_snapshot_id", "first_snapshot_id", "last_snapshot_id", "status_change_key"),
}
_WHETHER = ("gone_at", "settled_at")  # when is chance, whether is not
_REFERENCES = (
    *(("components", "plan_key", "plans", "plan_key"), ("status_changes", "plan_key", "plans", "plan_key")),
    *(("job_attempts", "plan_key", "plans", "plan_key"), ("rollbacks", "plan_key", "plans", "plan_key")),
    ("failures", "plan_key", "plans", "plan_key"),
    *((table, column, "snapshots", "snapshot_id") for table, columns in (
        ("job_attempts", ("first_snapshot_id", "last_snapshot_id")),
        ("rollbacks", ("first_snapshot_id", "last_snapshot_id")),
        ("plans", ("list_snapshot_id", "deploy_snapshot_id")),
    ) for column in columns),
    *((table, column, "runs", "run_id") for table, column in (
        ("snapshots", "run_id"), ("snapshots", "gone_run_id"), ("status_changes", "run_id"),
        ("fetch_failures", "run_id"), ("nights", "run_id"),
    )),
)  # fmt: skip
_IDENTITIES = {
    "plans": ("project_id", "plan_id"),
    "components": ("project_id", "plan_id", "component_id", "batch"),
    "job_attempts": ("project_id", "plan_id", "component_id", "job_id", "started_at"),
    "rollbacks": ("project_id", "plan_id", "component_id", "rollback_job_id", "started_at"),
    "status_changes": (
        *("project_id", "plan_id", "component_id", "batch", "job_id", "subject", "old_status", "new_status"),
        "observed_at",
    ),
    "snapshots": ("project_id", "plan_id", "kind", "captured_at"),
    "fetch_failures": ("run_id", "plan_id"),
    "nights": ("project_id", "night_date"),
}


def rows_of(url, query):
    """Run one query in a connection of its own; return plain dicts, times as text."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]
    conninfo = url.replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(conninfo, row_factory=dict_row, connect_timeout=10) as connection:
        connection.execute(f"SET search_path TO {SCHEMA}")
        connection.execute("SET TIME ZONE 'UTC'")
        return [{name: _plain(value) for name, value in row.items()} for row in connection.execute(query)]


def _plain(value):
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03}Z"
    return value.isoformat() if isinstance(value, date) else value


def tables(url):
    """Read all tables that the checker knows."""
    return {table: rows_of(url, f"SELECT * FROM {table}") for table in TABLES}


def facts(url):
    """Return the facts without what depends on when they were seen: sorted rows by table, and the bodies stored."""
    found = {}
    content = tables(url)
    for table in FACTS:
        found[table] = sorted(repr(_by_the_upstream(row)) for row in content[table])
    bodies = {(row["plan_id"], row["kind"], row["content_sha256"]) for row in content["snapshots"]}
    found["bodies"] = sorted(map(repr, bodies))
    return found


def _by_the_upstream(row):
    """Keep of a fact what the upstream said. A job without id and start is keyed by when it was first seen."""
    chance = set(_CHANCE)
    if row.get("started_at") is None and row.get("rollback_job_id", row.get("job_id")) is None:
        chance |= {"attempt_key", "rollback_key"}
    return {
        name: (value is not None) if name in _WHETHER else value for name, value in row.items() if name not in chance
    }


def still_rows(url):
    """Return every row that a run which sees nothing new must leave as it is, without times of sight."""
    content = tables(url)
    return {
        table: sorted(repr({name: value for name, value in row.items() if name not in SIGHT}) for row in content[table])
        for table in (*FACTS, "snapshots", "fetch_failures")
    }


def problems(url, upstream, *, project_id, is_recovered=False, bodies=None, last_run_id=None, earlier=()):
    """List what is wrong with an archive whose last run saw `upstream` as it stands; nothing means sound.

    `is_recovered`: the last run met no fault, so that it must be complete. A run that was killed may still be open.
    `bodies` overrides what the upstream is held to have told (plan id → body); `last_run_id` says which run was the
    last where the clock went back between runs; `earlier` are the runs of before, which saw another upstream.
    """
    found = list(_integrity(url))
    content = tables(url)
    found += _doubles(content)
    found += [*_ranges(content), *_chains(content), *_times(content)]
    found += [*_hashes(content), *_failures(content)]
    runs = sorted(content["runs"], key=lambda row: (row["run_id"] == last_run_id, row["run_id"]))
    found += [*_books(content, runs, is_recovered=is_recovered), *_nights(content, runs)]
    mine = [run for run in runs if run["project_id"] == project_id and run["run_id"] not in earlier]
    found += _last_run(content, mine[-1] if mine else None, upstream, upstream.bodies if bodies is None else bodies)
    return found


def _integrity(url):
    if url.startswith("sqlite:///"):
        for row in rows_of(url, "PRAGMA integrity_check"):
            if row["integrity_check"] != "ok":
                yield f"integrity_check: {row['integrity_check']}"
        for row in rows_of(url, "PRAGMA foreign_key_check"):
            yield f"foreign_key_check: {row}"
    for child, column, parent, key in _REFERENCES:
        query = (
            f"SELECT c.{column} AS lost FROM {child} c LEFT JOIN {parent} p ON p.{key} = c.{column} "
            f"WHERE c.{column} IS NOT NULL AND p.{key} IS NULL"
        )
        for row in rows_of(url, query):
            yield f"orphan: {child}.{column} {row['lost']} is not in {parent}"


def _doubles(content):
    for table, names in _IDENTITIES.items():
        seen = Counter(tuple(row[name] for name in names) for row in content[table])
        for identity, count in seen.items():
            if count > 1:
                yield f"double: {count} rows of {table} are {identity}"


def _ranges(content):
    """Ranges of sight are ordered and do not overlap, and no body follows itself unless the plan had gone between."""
    groups = defaultdict(list)
    for row in content["snapshots"]:
        groups[row["project_id"], row["plan_id"], row["kind"]].append(row)
        if row["last_captured_at"] < row["captured_at"]:
            yield f"torn: snapshot {row['snapshot_id']} ends before it begins"
    for name, rows in groups.items():
        rows.sort(key=lambda row: row["captured_at"])
        for before, after in pairwise(rows):
            if after["captured_at"] <= before["last_captured_at"]:
                yield f"torn: ranges of {name} overlap at {after['captured_at']}"
            is_same = before["canonical_sha256"] == after["canonical_sha256"]
            if is_same and before["gone_at"] is None and name[2] == "list_item":
                yield f"double: {name} has the same body in two ranges"


def _chains(content):
    """Each status of a plan follows the one before."""
    chains = defaultdict(list)
    for row in content["status_changes"]:
        if row["subject"] == "plan":
            chains[row["project_id"], row["plan_id"]].append(row)
    for name, rows in chains.items():
        rows.sort(key=lambda row: row["observed_at"])
        for before, after in pairwise(rows):
            if before["new_status"] != after["old_status"]:
                yield f"torn: the plan {name} goes from {before['new_status']} on as {after['old_status']}"


def _times(content):
    """No duration is negative, and nothing was last seen before it was first seen."""
    for table in ("job_attempts", "rollbacks"):
        for row in content[table]:
            if (row["duration_seconds"] or 0) < 0 or row["last_seen_at"] < row["first_seen_at"]:
                yield f"torn: times of {table} run backwards: {row}"


def _hashes(content):
    for row in content["snapshots"]:
        if row["body"] is None:
            yield f"lost: the body of snapshot {row['snapshot_id']} is not there"
        elif sha256(zstandard.decompress(bytes(row["body"]))).hexdigest() != row["content_sha256"]:
            yield f"torn: the body of snapshot {row['snapshot_id']} is not that of its hash"


def _failures(content):
    """Each failed attempt and rollback stands among the failures, and nothing else does."""
    told = {(row["kind"], row["job_key"]) for row in content["failures"]}
    failed = {("attempt", row["attempt_key"]) for row in content["job_attempts"] if row["outcome"] == "failed"}
    failed |= {("rollback", row["rollback_key"]) for row in content["rollbacks"] if row["outcome"] == "failed"}
    for kind, key in sorted(told ^ failed):
        yield f"torn: the {kind} {key} is {'no failure' if (kind, key) in told else 'missing among the failures'}"


def _books(content, runs, *, is_recovered):
    """Each run that ended says how, its counts add up, and its failures are named one by one."""
    named = Counter(row["run_id"] for row in content["fetch_failures"] if row["plan_id"] is not None)
    everything = Counter(row["run_id"] for row in content["fetch_failures"])
    for run in runs:
        name, outcome = run["run_id"], run["outcome"]
        unanswered = run["plans_listed"] - run["plans_fetched"] - run["plans_skipped"] - run["plans_failed"]
        if outcome in ("complete", "partial"):
            if unanswered < 0:
                yield f"books: run {name} listed less than it fetched, skipped and failed"
            if named[name] != run["plans_failed"]:
                yield f"books: run {name} counts {run['plans_failed']} failures and names {named[name]}"
        if run["plans_fetched"] != run["plans_changed"] + run["plans_unchanged"]:
            yield f"books: run {name} fetched other than changed + unchanged"
        if outcome == "complete" and (everything[name] or run["error"] is not None):
            yield f"silent: run {name} is called complete and failed: {run['error']}"
        if outcome not in ("complete", "running") and run["error"] is None:
            yield f"silent: run {name} is {outcome} without a reason"
        if outcome == "running" and (is_recovered or run is not runs[-1]):
            yield f"silent: run {name} is over and still called running"
    if is_recovered and (not runs or runs[-1]["outcome"] != "complete"):
        outcome, error = (runs[-1]["outcome"], runs[-1]["error"]) if runs else ("missing", None)
        yield f"not recovered: the last run is {outcome}: {error}"


def _nights(content, runs):
    """A night is done or partial by a run that was, and a gap otherwise."""
    by_id = {run["run_id"]: run for run in runs}
    for night in content["nights"]:
        words = {"done": ("complete",), "partial": ("partial",)}.get(night["state"])
        outcome = by_id[night["run_id"]]["outcome"] if night["run_id"] else None
        if (words is None) != (outcome is None) or (words and outcome not in words):
            yield f"books: the night {night['night_date']} is {night['state']} by a run that is {outcome}"


def _last_run(content, run, upstream, bodies):
    """Stored + failed = served: each listed plan's body is the latest stored, or the plan is among the failures."""
    if run is None or run["outcome"] not in ("complete", "partial"):
        return
    failed = {row["plan_id"] for row in content["fetch_failures"] if row["run_id"] == run["run_id"]}
    stored = {}
    for row in sorted(content["snapshots"], key=lambda row: row["captured_at"]):
        if row["kind"] == "deploy_info":
            stored[row["plan_id"]] = row["content_sha256"]
    for plan_id, body in bodies.items():
        if stored.get(plan_id) != sha256(body).hexdigest() and plan_id not in failed:
            yield f"lost: plan {plan_id} was served, is neither stored nor named by run {run['run_id']}"
    gone = {row["plan_id"] for row in content["plans"] if row["gone_at"] is not None}
    is_clean = run["outcome"] == "complete"
    if is_clean and gone & bodies.keys():
        yield f"lost: plans are called gone and were served: {sorted(gone & bodies.keys())}"
    if is_clean:
        known = {row["plan_id"] for row in content["plans"]}
        for plan_id in (known - bodies.keys()) - gone:
            yield f"silent: plan {plan_id} has left a whole list, or answers 404, and is not called gone"
        unanswered = run["plans_listed"] - run["plans_fetched"] - run["plans_skipped"]
        if unanswered != len(upstream.missing):
            said_404 = len(upstream.missing)
            yield f"books: run {run['run_id']} has {unanswered} plans without an answer, {said_404} said 404"
