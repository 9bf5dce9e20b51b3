"""The list as a run reads it: plans by id, those that are due, and the items that can't be told apart."""

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from archiver.api.client import Answer
from archiver.api.payloads import PlainItem, PlanItem, PlanList, WrongShapeError, decode, encode_sorted
from archiver.errors import ApiError, GiveUpPlanError
from archiver.mapping import LOST, text
from archiver.store import Seen, body_of

_PLAIN = msgspec.json.Decoder(PlainItem)


def read_list(
    listing: PlanList, answer: Answer, present: Mapping[str, str | None]
) -> tuple[dict[str, Seen | None], list[tuple[str | None, ApiError]]]:
    """Read the items, by plan id; the last one wins where a plan stands in the list twice.

    None stands for an item that is still as `present` knows it (see `due.load_present`): its plan is not due.

    Items without an id, or with one of which letters are lost (they are U+FFFD: the API could not be asked for it, and
    others may look the same), come back as failures, named `missing:<name or position>`.
    """
    listed: dict[str, Seen | None] = {}
    nameless: dict[str | None, ApiError] = {}
    for position, raw in enumerate(listing.release_plans):
        plan_id = _unchanged(raw, present)
        if plan_id is not None:
            listed[plan_id] = None
            continue
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
            body = body_of(content, answer.captured_at)
            is_unchanged = present.get(plan_id) == body.canonical_sha256
            listed[plan_id] = None if is_unchanged else Seen(plan_id, item, body)
    return listed, list(nameless.items())


def _unchanged(raw: msgspec.Raw, present: Mapping[str, str | None]) -> str | None:
    """Return the id of a plain item that is as it was; None of any other, to be looked at closely.

    Of most nights most items are, so no more is made of them than their hash.
    """
    try:
        item = _PLAIN.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    plan_id = item.id
    known = present.get(plan_id)
    if known is None or known != sha256(encode_sorted(item)).hexdigest() or LOST in plan_id:
        return None
    return plan_id
