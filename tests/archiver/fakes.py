"""A release task API without a network: a test puts items and bodies in, errors and waits included."""

import inspect
import json
from dataclasses import dataclass, field

from builders import deploy_info

from archiver.api.client import Answer
from archiver.api.limits import Counts
from archiver.api.payloads import DeployInfo, PlanList, decode
from archiver.clock import ManualClock
from archiver.errors import GiveUpPlanError, PlanGoneError


@dataclass
class FakeApi:
    """Answers with `items`, and for a plan with what `infos` holds: bytes, an error, or an (async) function of none.

    A plan without an entry answers with one component. `count` overrides the list's own; `list_error` is raised.
    """

    clock: ManualClock
    items: list = field(default_factory=list)
    infos: dict = field(default_factory=dict)
    count: int | None = None
    list_error: Exception | None = None
    counts: Counts = field(default_factory=Counts)
    asked: list = field(default_factory=list)

    async def list_release_plans(self):
        """Answer the list call."""
        self.counts.requests += 1
        if self.list_error is not None:
            raise self.list_error
        count = len(self.items) if self.count is None else self.count
        body = json.dumps({"count": count, "release_plans": self.items}).encode()
        return decode(body, PlanList), Answer(body, self.clock.now())

    async def fetch_deploy_info(self, plan_id):
        """Answer for one plan."""
        self.counts.requests += 1
        self.asked.append(plan_id)
        found = self.infos.get(plan_id, deploy_info(plan_id))
        if callable(found):
            found = found()
        if inspect.isawaitable(found):
            found = await found
        if isinstance(found, Exception):
            raise found
        return decode(found, DeployInfo), Answer(found, self.clock.now())


def gone():
    """Build the error of a plan that answers 404."""
    return PlanGoneError("it does not exist", stage="deploy_info", status=404, error_code="SVCSTG.00100404")


def refused(body=None):
    """Build the error of a plan that answers 403."""
    return GiveUpPlanError("not allowed", stage="deploy_info", status=403, error_code="APIGW.0302", body=body)
