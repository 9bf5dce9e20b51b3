"""The list as a run reads it: plans by id, and the items that can't be told apart."""

from archiver.api.client import Answer
from archiver.api.payloads import PlanItem, PlanList, WrongShapeError, decode
from archiver.errors import ApiError, GiveUpPlanError
from archiver.mapping import LOST, text
from archiver.store import Seen, body_of


def read_list(listing: PlanList, answer: Answer) -> tuple[dict[str, Seen], list[tuple[str | None, ApiError]]]:
    """Read the items, by plan id; the last one wins where a plan stands in the list twice.

    Items without an id, or with one of which letters are lost (they are U+FFFD: the API could not be asked for it, and
    others may look the same), come back as failures, named `missing:<name or position>`.
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
        if plan_id is None or LOST in plan_id:
            name = f"missing:{text(item.name) or position}"
            name = f"missing:{position}" if name in nameless else name
            while name in nameless:
                name += f", item {position}"
            what = "without an id" if plan_id is None else f"whose id {plan_id!r} is not as it was"
            nameless[name] = GiveUpPlanError(f"the list holds an item {what}", stage="list", body=content)
        else:
            listed[plan_id] = Seen(plan_id, item, body_of(content, answer.captured_at))
    return listed, list(nameless.items())
