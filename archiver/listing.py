"""The list as a run reads it: plans by id, and the items that can't be told apart."""

from archiver.api.client import Answer
from archiver.api.payloads import PlanItem, PlanList, WrongShapeError, decode
from archiver.errors import ApiError, GiveUpPlanError
from archiver.mapping import text
from archiver.store import Seen, body_of


def read_list(listing: PlanList, answer: Answer) -> tuple[dict[str, Seen], list[tuple[str | None, ApiError]]]:
    """Read the items, by plan id; the last one wins where a plan stands in the list twice.

    Items without an id come back as failures, named `missing:<name or position>`.
    """
    listed: dict[str, Seen] = {}
    nameless: dict[str | None, ApiError] = {}
    for position, raw in enumerate(listing.release_plans):
        content = bytes(raw)
        try:
            item = decode(content, PlanItem)
            plan_id = text(item.id)
        except WrongShapeError:
            item, plan_id = PlanItem(), None
        if plan_id is None:
            name = f"missing:{text(item.name) or position}"
            error = GiveUpPlanError("the list holds an item without an id", stage="list", body=content)
            nameless[f"missing:{position}" if name in nameless else name] = error
        else:
            listed[plan_id] = Seen(plan_id, item, body_of(content, answer.captured_at))
    return listed, list(nameless.items())
