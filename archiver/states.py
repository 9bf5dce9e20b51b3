"""The state of a plan whose older bodies were pruned: all its rows as they were then, from which a fold goes on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import zstandard

from archiver.history import PlanHistory


@dataclass(frozen=True, slots=True)
class State:
    """A plan as it was known at `known_until`, kept when its bodies were pruned at `recorded_at`."""

    known_until: datetime
    recorded_at: datetime
    content: bytes

    def history(self, project_id: str, plan_id: str) -> PlanHistory:
        """Return a history that goes on from the state. Raises ZstdError or msgspec.DecodeError on damage."""
        kept: dict[str, Any] = msgspec.msgpack.decode(zstandard.decompress(self.content))
        history = PlanHistory(project_id, plan_id, plan=kept["plan"])
        history.components.update({(row["component_id"], row["batch"]): row for row in kept["components"]})
        for jobs, rows in ((history.attempts, kept["attempts"]), (history.rollbacks, kept["rollbacks"])):
            for row in rows:
                jobs.add(row)
        history.changes.extend(kept.get("changes", ()))  # the first states kept none
        return history


def content_of(history: PlanHistory) -> bytes:
    """Write a history's rows for `State.content`."""
    rows = {
        "plan": history.plan,
        "components": list(history.components.values()),
        "attempts": list(history.attempts.rows()),
        "rollbacks": list(history.rollbacks.rows()),
        "changes": history.changes,
    }
    return zstandard.compress(msgspec.msgpack.encode(rows))
