"""Quality once more: random archives full of doubts, and the checks in plain Python, from their definitions."""

import random
from datetime import UTC, datetime, timedelta

from oracle import is_inside, iso_week, quantile, start_of, week_labels
from quality_builders import change, failure, night_run, snapshot
from random_archives import random_archive

from reports.quality import CHECKS, GAP

WORDS = {"SUCCEEDED": "succeeded", "FAILED": "failed", "RUNNING": "running", "CREATED": "pending"}


def random_doubts(seed):
    """Return random rows of every table that quality reads; snapshots are shared within a plan."""
    dice = random.Random(seed)
    rows = random_archive(seed, plans=40, days=30)
    begin = datetime(2026, 10, 12, tzinfo=UTC)

    def moment(days=30):
        return begin + timedelta(milliseconds=dice.randrange(days * 86_400_000))

    bodies = {}
    for row in [*rows["attempts"], *rows["rollbacks"]]:
        names = [f"{row['project_id']} {row['plan_id']} {number}" for number in range(4)]
        row["first_snapshot_id"], row["last_snapshot_id"] = dice.choice(names), dice.choice(names)
        row["last_seen_at"] = row["first_seen_at"] + timedelta(hours=dice.randrange(50))
        if "rollback_job_id" in row:
            row["rollback_job_id"] = dice.choice([row["rollback_job_id"], None])
        row["duration_seconds"] = dice.choice([None, 1.0]) if row["started_at"] and row["ended_at"] else None
        for name in names:
            bodies[name] = row
    for row in rows["attempts"]:
        row["job_status"] = dice.choice([*WORDS, "ODD", None, None]) if row["outcome"] == "unknown" else "WORD"
    for row in rows["components"]:
        row["component_id"] = dice.choice([row["component_id"]] * 4 + [f"missing:{row['component_id']}"])
    rows["runs"] = [
        night_run(
            f"{at:%Y-%m-%d %H:%M:%S}",
            dice.choice(["complete"] * 5 + ["partial", "failed", "interrupted"]),
            dice.choice(["scheduled"] * 5 + ["import"]),
            project,
            error=dice.choice([None, None, "the list is incomplete (count 1)", "no answer"]),
        )
        for project in ("p1", "p2")
        for at in sorted(moment() for _ in range(25))
    ]
    run_ids = {project: [r["run_id"] for r in rows["runs"] if r["project_id"] == project] for project in ("p1", "p2")}
    plans = sorted({(r["project_id"], r["plan_id"]) for r in rows["components"]})
    rows["snapshots"] = [
        snapshot(
            name,
            body=dice.choice([None, b"body"]),
            run_id=dice.choice(run_ids[row["project_id"]]),
            project_id=row["project_id"],
            captured_at=row["first_seen_at"] + timedelta(hours=dice.randrange(-40, 20)),
        )
        for name, row in bodies.items()
    ]
    times = {run["run_id"]: run["started_at"] for run in rows["runs"]}
    rows["failures"] = [
        failure(plan, f"{times[run_id] + timedelta(minutes=dice.randrange(240)):%Y-%m-%d %H:%M:%S}", run_id, project)
        for project, ids in run_ids.items()
        for run_id in ids
        for plan in dice.sample([*(plan for name, plan in plans if name == project), None], 2)
    ]
    rows["changes"] = [
        change(
            dice.choice(["RUNNING", "CREATED", "SUCCESS", "FAILED", None]),
            f"{times[run_id] + timedelta(minutes=1):%Y-%m-%d %H:%M:%S}",
            run_id,
            project_id=project,
            plan_id=plan,
        )
        for project, plan in plans
        for run_id in sorted(dice.sample(run_ids[project], 3))
    ] + [
        change(
            dice.choice([*WORDS, "ODD"]),
            f"{moment():%Y-%m-%d %H:%M:%S}",
            dice.choice(run_ids[row["project_id"]]),
            subject="component",
            **{name: row[name] for name in ("project_id", "plan_id", "component_id", "batch")},
        )
        for row in rows["attempts"]
    ]
    rows["plans"] = {}
    for project, plan in plans:
        mine = [row for row in rows["changes"] if row["subject"] == "plan" and row["plan_id"] == plan]
        last = max(mine, key=lambda row: row["observed_at"])
        settled = last["observed_at"] if last["new_status"] in ("SUCCESS", "FAILED") else None
        gone = last["observed_at"] if last["new_status"] is None else None
        rows["plans"][project, plan] = {"settled_at": settled, "gone_at": gone}
    return rows


class PlainQuality:
    """The checks written anew from their definitions."""

    def __init__(self, rows):
        self.rows = rows
        self.captured = {row["snapshot_id"]: row["captured_at"] for row in rows["snapshots"]}

    def findings(self):
        """Yield project, check and instant (or date) of each finding."""
        rows = self.rows
        places = {(r["plan_id"], r["component_id"], r["batch"]): r for r in rows["components"]}.values()
        plans = [{"project_id": project} | row for (project, _), row in rows["plans"].items()]
        # Of each table: the time that a finding counts by, and the checks that hold for a row.
        checked = [
            (rows["nights"], lambda r: r["night_date"], self.of_night),
            (rows["runs"], lambda r: r["started_at"], self.of_run),
            (rows["failures"], lambda r: r["failed_at"], self.of_failure),
            (rows["attempts"], lambda r: start_of(r) or r["first_seen_at"], self.of_attempt),
            (rows["rollbacks"], lambda r: r["started_at"] or r["first_seen_at"], self.of_rollback),
            (places, lambda r: r["first_seen_at"], self.of_place),
            (places, lambda r: r["gone_at"], lambda r: {"components_gone": r["gone_at"] is not None}),
            (plans, lambda r: r["gone_at"], lambda r: {"plans_gone": r["gone_at"] is not None}),
            (rows["snapshots"], lambda r: r["captured_at"], lambda r: {"bodies_pruned": r["body"] is None}),
        ]
        for table, when, checks in checked:
            for row in table:
                yield from ((row["project_id"], check, when(row)) for check, holds in checks(row).items() if holds)

    def of_night(self, row):
        return {"nights_missed": row["state"] == "missed", "nights_partial": row["state"] == "partial"}

    def of_run(self, row):
        return {
            "runs_failed": row["outcome"] in ("failed", "interrupted"),
            "lists_incomplete": (row["error"] or "").startswith("the list is incomplete"),
        }

    def of_failure(self, row):
        return {"plans_not_fetched": row["plan_id"] is not None, "lists_failed": row["plan_id"] is None}

    def of_place(self, row):
        return {
            "batches_not_numeric": row["batch"] is None,
            "components_without_id": row["component_id"].startswith("missing:"),
        }

    def of_attempt(self, row):
        same = [other for other in self.rows["attempts"] if self.place(other) == self.place(row)]
        mine = {row["first_snapshot_id"], row["last_snapshot_id"]}
        word = row["job_status"] or self.component_word(row)
        is_open = WORDS.get(word) in ("running", "pending")
        return {
            "unfinished_attempts": row["outcome"] in ("running", "pending"),
            "unknown_outcomes": row["outcome"] == "unknown",
            "unknown_status_words": row["outcome"] == "unknown" and not is_open,
            "attempts_replaced_unseen": row["outcome"] == "unknown" and is_open,
            "attempts_without_start": row["started_at"] is None,
            "starts_inferred": row["started_at"] is None and row["outcome"] == "failed",
            "attempts_without_job_id": row["job_id"] is None,
            "impossible_times": self.is_impossible(row),
            "components_twice_in_batch": any(
                mine & {other["first_snapshot_id"], other["last_snapshot_id"]} and other["attempt"] < row["attempt"]
                for other in same
            ),
        }

    def of_rollback(self, row):
        return {
            "unfinished_rollbacks": row["outcome"] in ("running", "pending"),
            "unknown_rollback_outcomes": row["outcome"] == "unknown",
            "rollbacks_without_id": row["rollback_job_id"] is None,
            "impossible_times": self.is_impossible(row),
        }

    def place(self, row):
        return (row["project_id"], row["plan_id"], row["component_id"], row["batch"])

    def component_word(self, row):
        said = [
            one
            for one in self.rows["changes"]
            if one["subject"] == "component"
            and one["observed_at"] <= row["last_seen_at"]
            and self.place(one)[:3] == self.place(row)[:3]
        ]
        latest = max((one["observed_at"] for one in said), default=None)
        words = sorted((one["status_change_key"], one["new_status"]) for one in said if one["observed_at"] == latest)
        return words[0][1] if words else None

    def is_impossible(self, row):
        start, end = row["started_at"], row["ended_at"]
        if start and end:
            return row["duration_seconds"] is None
        only = start or end
        return only is not None and only - self.captured[row["last_snapshot_id"]] > timedelta(hours=24)

    def gaps(self):
        """Yield project, instant and hours: walk every plan through every look at it, in the order of time."""
        missed = {(row["run_id"], row["plan_id"]) for row in self.rows["failures"]}
        runs = {row["run_id"]: row for row in self.rows["runs"]}
        for project, plan in self.rows["plans"]:
            told = [r for r in self.rows["changes"] if (r["subject"], r["plan_id"]) == ("plan", plan)]
            looks = {}
            for row in runs.values():
                is_look = row["project_id"] == project and row["kind"] != "import"
                if is_look and row["outcome"] in ("complete", "partial") and (row["run_id"], plan) not in missed:
                    looks[row["started_at"]] = "as before"
            for row in told:
                run = runs[row["run_id"]]
                looks[row["observed_at"] if run["kind"] == "import" else run["started_at"]] = row["new_status"]
            before = None
            for instant in sorted(looks):
                if before is not None:
                    yield project, instant, (instant - before).total_seconds() / 3600
                is_open = (
                    before is not None if looks[instant] == "as before" else looks[instant] in ("RUNNING", "CREATED")
                )
                before = instant if is_open else None

    def table(self, since, until, zone):
        """Return the count, or the hours, of each project, week and check."""
        counts = {(p, w, c): 0 for p in ("p1", "p2") for w in week_labels(since, until) for c in CHECKS}
        for project, check, when in self.findings():
            day = when.astimezone(zone).date() if isinstance(when, datetime) else when
            if since <= day < until:
                year, week, _ = day.isocalendar()
                counts[project, f"{year}-W{week:02}", check] += 1
        hours = {}
        for project, instant, gap in self.gaps():
            if is_inside(instant, since, until, zone):
                hours.setdefault((project, iso_week(instant, zone), GAP), []).append(gap)
        for key in counts:
            if key[2] == GAP:
                counts[key] = quantile(hours.get(key, []), 0.9)
        return counts
