"""Archives of random rows, small and full of corners: missing times, moves, ties, unknown batches."""

import random
from datetime import UTC, date, datetime, timedelta

from report_builders import attempt, component, night, rollback

OUTCOMES = ("succeeded",) * 6 + ("failed",) * 3 + ("aborted", "running", "pending", "unknown")
BATCHES = (1, 1, 2, 2, 3, None)


def random_archive(seed, *, plans=25, first_day=date(2026, 10, 12), days=45):
    """Return attempts, rollbacks, components and nights as row dicts."""
    dice = random.Random(seed)
    begin = datetime.combine(first_day, datetime.min.time(), tzinfo=UTC)
    attempts, rollbacks, components = [], [], []
    for plan in range(plans):
        project, plan_id = dice.choice(["p1", "p2"]), f"plan-{plan}"
        executed_at = begin + timedelta(milliseconds=dice.randrange(days * 86_400_000))
        shared = {
            "project_id": project,
            "plan_id": plan_id,
            "creator": dice.choice(["ana", "bo", None]),
            "action": dice.choice(["create", "upgrade"]),
            "executed_at": dice.choice([executed_at, None]),
        }
        for name in dice.sample(["api", "web", "db", "cron", "mail"], dice.randrange(1, 5)):
            start = executed_at
            tries = []
            for batch in dict.fromkeys(dice.choices(BATCHES, k=dice.choice([1, 1, 1, 2]))):
                place = {
                    "project_id": project,
                    "plan_id": plan_id,
                    "component_id": name,
                    "batch": batch,
                }
                seen = executed_at + timedelta(hours=dice.randrange(-30, 30))
                gone = dice.choice([None] * 6 + [executed_at + timedelta(hours=dice.randrange(-5, 60))])
                components.append(component(**place, first_seen_at=seen, gone_at=gone))
                for rank in range(1, dice.choice([0, 1, 1, 1, 2, 3]) + 1):
                    start += timedelta(milliseconds=dice.randrange(1, 30_000_000))
                    tries.append(_attempt(dice, place | shared, start, rank))
            attempts += tries
            times = dice.choice([0, 0, 0, 1, 2])
            rollbacks += [_rollback(dice, place, tries, start, number) for number in range(times)]
    nights = [
        night(
            str(first_day + timedelta(days=day)),
            dice.choice(["done"] * 5 + ["partial", "missed", "due"]),
            project,
        )
        for day in range(days)
        for project in ("p1", "p2")
    ]
    return {"attempts": attempts, "rollbacks": rollbacks, "components": components, "nights": nights}


def _attempt(dice, shared, start, rank):
    has_start = dice.random() < 0.8
    took_ms = dice.choice([None, 0, dice.randrange(1, 5_000_000), dice.randrange(1, 5_000_000)])
    ended_at = None if took_ms is None else start + timedelta(milliseconds=took_ms)
    is_possible = has_start and took_ms is not None and dice.random() < 0.95
    return attempt(
        outcome=dice.choice(OUTCOMES),
        **shared,
        attempt=rank,
        job_id=dice.choice([*[f"job-{shared['batch']}-{rank}"] * 2, None]),
        version=dice.choice(["1", "2", None]),
        started_at=start if has_start else None,
        ended_at=ended_at,
        duration_seconds=took_ms / 1000 if is_possible else None,
        first_seen_at=start + timedelta(hours=dice.randrange(0, 20)),
    )


def _rollback(dice, place, tries, start, number):
    begin = start + timedelta(milliseconds=dice.randrange(-5_000_000, 20 * 86_400_000))
    jobs = [row["job_id"] for row in tries if row["job_id"]]
    return rollback(
        outcome=dice.choice(OUTCOMES),
        **(place | {"batch": dice.choice([place["batch"], place["batch"], 9])}),
        rollback_job_id=f"rb-{number}",
        job_id=dice.choice([*jobs, None, "job-unseen"]),
        started_at=dice.choice([begin, begin, None]),
        ended_at=dice.choice([begin + timedelta(milliseconds=dice.randrange(900_000)), None]),
        first_seen_at=begin + timedelta(hours=1),
    )
