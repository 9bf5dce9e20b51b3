"""The tables once more, in plain Python, written from the contract's text: no pandas, no package code."""

import math
from datetime import UTC, datetime, timedelta

Z = 1.959963984540054
MS = timedelta(milliseconds=1)


def iso_week(instant, zone):
    year, week, _ = instant.astimezone(zone).isocalendar()
    return f"{year}-W{week:02}"


def week_labels(since, until):
    labels = []
    day = since
    while day < until:
        year, week, _ = day.isocalendar()
        label = f"{year}-W{week:02}"
        if label not in labels:
            labels.append(label)
        day += timedelta(days=1)
    return labels


def quantile(values, q):
    values = sorted(values)
    if not values:
        return None
    position = q * (len(values) - 1)
    low = math.floor(position)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (position - low)


def interval(hits, total):
    """Wilson's bounds as the roots of (p - s)^2 = z^2 p (1 - p) / n."""
    if total == 0:
        return None, None
    share = hits / total
    a, b, c = 1 + Z * Z / total, -(2 * share + Z * Z / total), share * share
    root = math.sqrt(max(b * b - 4 * a * c, 0.0))
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def seconds(start, end):
    return (end - start) // MS / 1000


def start_of(attempt):
    if attempt["started_at"] is None and attempt["outcome"] == "failed":
        return attempt["executed_at"] or attempt["first_seen_at"]
    return attempt["started_at"]


def release_start(rows):
    return next((start_of(row) for row in rows if start_of(row)), None)


def place_of(row):
    return (row["project_id"], row["plan_id"], row["component_id"], row["batch"])


def is_inside(instant, since, until, zone):
    return instant is not None and since <= instant.astimezone(zone).date() < until


class Oracle:
    """Answers for one archive and one window."""

    def __init__(self, attempts, rollbacks, components, *, since, until, zone):
        self.attempts, self.rollbacks, self.components = attempts, rollbacks, components
        self.since, self.until, self.zone = since, until, zone

    def groups(self, rows, by):
        """Put (start, row) pairs into groups; the weeks of the window all have one."""
        found = {}
        for start, row in rows:
            if is_inside(start, self.since, self.until, self.zone):
                key = tuple(iso_week(start, self.zone) if name == "week" else row[name] for name in by)
                found.setdefault(key, []).append(row)
        if "week" in by:
            place = by.index("week")
            for label in week_labels(self.since, self.until):
                if not any(key[place] == label for key in found):
                    found[tuple(label if name == "week" else None for name in by)] = []
        return found

    def releases(self, within_days=None):
        places = {}
        for row in self.attempts:
            places.setdefault(place_of(row), []).append(row)
        for rows in places.values():
            rows.sort(key=lambda row: row["attempt"])
        releases = []
        for place, rows in places.items():
            held = [r for r in self.rollbacks if self._release_of(r, places) == place]
            if within_days is not None:
                end = rows[-1]["ended_at"]
                held = [
                    r
                    for r in held
                    if end is not None
                    and r["started_at"] is not None
                    and r["started_at"] - end <= timedelta(days=within_days)
                ]
            releases.append(
                rows[0]
                | {
                    "start": release_start(rows),
                    "outcome": rows[-1]["outcome"],
                    "version": rows[-1]["version"],
                    "held": held,
                    "recovery": self._recovery(held, rows),
                    "attempts": len(rows),
                }
            )
        return releases

    def _release_of(self, rollback, places):
        for attempt in self._jobs(rollback):
            return place_of(attempt)
        if place_of(rollback) in places:
            return place_of(rollback)
        own = {place: release_start(rows) for place, rows in places.items() if place[:3] == place_of(rollback)[:3]}
        begin = rollback["started_at"]
        before = [place for place, start in own.items() if begin and start and start < begin]
        early = datetime.min.replace(tzinfo=UTC)
        return max(before or own, key=lambda p: (own[p] or early, p[3] is None, p[3] or 0), default=None)

    def _jobs(self, rollback):
        if rollback["job_id"] is None:
            return []
        return [
            a for a in self.attempts if a["job_id"] == rollback["job_id"] and place_of(a)[:3] == place_of(rollback)[:3]
        ]

    def _recovery(self, held, rows):
        far = datetime.max.replace(tzinfo=UTC)
        good = [r for r in held if r["outcome"] == "succeeded"]
        if not good:
            return None
        first = min(
            good,
            key=lambda r: (r["started_at"] or r["ended_at"] or far, r["first_seen_at"], r["rollback_job_id"] or "~"),
        )
        if first["job_id"] is not None:
            undone = self._jobs(first)
        else:
            undone = [a for a in rows if start_of(a) and first["started_at"] and start_of(a) < first["started_at"]]
            undone = sorted(undone, key=lambda a: (start_of(a), a["attempt"]))[-1:]
        if not undone or undone[0]["ended_at"] is None or first["ended_at"] is None:
            return None
        took = seconds(undone[0]["ended_at"], first["ended_at"])
        return took if took >= 0 else None

    def failure_rates(self, by=("week",), unit="attempt"):
        if unit == "attempt":
            rows = [(start_of(a), a) for a in self.attempts]
        else:
            rows = [(r["start"], r) for r in self.releases()]
        table = {}
        for key, group in self.groups(rows, by).items():
            words = [row["outcome"] for row in group]
            failed, finished = words.count("failed"), words.count("failed") + words.count("succeeded")
            low, high = interval(failed, finished)
            table[key] = {
                "finished": finished,
                "failed": failed,
                "failure_rate": failed / finished if finished else None,
                "ci_low": low,
                "ci_high": high,
                "unfinished": words.count("running") + words.count("pending"),
                "aborted": words.count("aborted"),
                "unknown": words.count("unknown"),
            }
        return table

    def rollback_rates(self, by=("week",), within_days=None):
        rows = [(r["start"], r) for r in self.releases(within_days) if r["outcome"] in ("succeeded", "failed")]
        table = {}
        for key, group in self.groups(rows, by).items():
            hits = sum(bool(r["held"]) for r in group)
            low, high = interval(hits, len(group))
            times = [r["recovery"] for r in group if r["recovery"] is not None]
            table[key] = {
                "finished": len(group),
                "rolled_back": hits,
                "rollback_rate": hits / len(group) if group else None,
                "ci_low": low,
                "ci_high": high,
                "rollbacks": sum(len(r["held"]) for r in group),
                "rollbacks_failed": sum(b["outcome"] == "failed" for r in group for b in r["held"]),
                "recovery_p50_seconds": quantile(times, 0.5),
                "recovery_p90_seconds": quantile(times, 0.9),
            }
        return table

    def passes(self):
        """First pass of each (project, plan, batch): start, end, is_finished."""
        known = {}
        for row in [*self.components, *self.attempts]:
            known.setdefault((row["project_id"], row["plan_id"], row["batch"]), {})[row["component_id"]] = None
        passes = {}
        for batch, ids in known.items():
            attempts = [a for a in self.attempts if (a["project_id"], a["plan_id"], a["batch"]) == batch]
            places = [c for c in self.components if (c["project_id"], c["plan_id"], c["batch"]) == batch]
            firsts = {
                i: min((a for a in attempts if a["component_id"] == i), key=lambda a: a["attempt"], default=None)
                for i in ids
            }
            starts = [a["started_at"] for a in firsts.values() if a and a["started_at"]]
            start = min(starts, default=None)
            bodies = [r for r in [*self.attempts, *self.components] if (r["project_id"], r["plan_id"]) == batch[:2]]
            looks = [r["first_seen_at"] for r in bodies if start and r["first_seen_at"] >= start]
            first_look = min(looks, default=None)
            gone = {
                c["component_id"]
                for c in places
                if (c["gone_at"] and (start is None or c["gone_at"] <= start))
                or (first_look and c["first_seen_at"] > first_look)
            }
            there = [firsts[i] for i in ids if i not in gone]
            if not there:
                continue
            is_finished = all(
                a and a["outcome"] in ("succeeded", "failed", "aborted") and a["duration_seconds"] is not None
                for a in there
            )
            passes[batch] = {
                "is_finished": is_finished,
                **{label: self.shared(there, label) for label in ("team", "environment", "tier")},
                "start": min(a["started_at"] for a in there) if is_finished else start,
                "end": max(a["ended_at"] for a in there) if is_finished else None,
            }
        return passes

    def shared(self, attempts, label):
        words = {attempt and attempt[label] for attempt in attempts}
        return words.pop() if len(words) == 1 else None

    def batch_timing(self, by=("week", "batch")):
        passes = self.passes()
        rows = []
        for (project, plan, batch), one in passes.items():
            if not one["is_finished"]:
                continue
            lower = [b for p, n, b in passes if (p, n) == (project, plan) and None not in (b, batch) and b < batch]
            before = passes[(project, plan, max(lower))] if lower else {"is_finished": False}
            gap = seconds(before["end"], one["start"]) if before["is_finished"] else None
            rows.append(
                (
                    one["start"],
                    {
                        "project_id": project,
                        "batch": batch,
                        "took": seconds(one["start"], one["end"]),
                        "gap": gap,
                        **{label: one[label] for label in ("team", "environment", "tier")},
                    },
                )
            )
        table = {}
        for key, group in self.groups(rows, by).items():
            took = [row["took"] for row in group]
            table[key] = {
                "batches": len(took),
                "p50_seconds": quantile(took, 0.5),
                "p90_seconds": quantile(took, 0.9),
                "p99_seconds": quantile(took, 0.99),
                "mean_seconds": sum(took) / len(took) if took else None,
                "max_seconds": max(took, default=None),
                "gap_p50_seconds": quantile([row["gap"] for row in group if row["gap"] is not None], 0.5),
            }
        return table
