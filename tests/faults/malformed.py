"""Bodies as no documentation has them: a good one, with something in it changed by seeded chance."""

import json
import random

_WRONG = (
    *(None, True, False, 0, -1, 1.5, 10**30, "", " ", "0", "1722933924962", "not a time", "SUCCESS", "naïve ✓ 中文"),
    *([], {}, [1, [2, [3]]], {"a": {"b": {}}}, [None], "x" * 5_000, 1e308, -(2**63), 2**63, "\uff11\uff12"),
)
_FIELDS = (
    *("id", "name", "seq", "version", "status", "job_id", "job_status", "start_time", "end_time", "fail_message"),
    *("rollback_job_id", "rollback_job_status", "rollback_start_time", "rollback_end_time", "rollback_fail_message"),
)


def malformed_bodies(count, *, seed):
    """Yield the bodies of plans p0000, p0001 and so on."""
    dice = random.Random(seed)
    for number in range(count):
        yield _malformed(dice, f"p{number:04}")


def _component(dice, place):
    started_ms = 1_722_933_924_962 + place * 1000
    content = {
        "id": f"c{place}", "name": f"n{place}", "seq": place, "version": "1.0", "status": "SUCCESS",
        "job_id": f"J{place}", "job_status": "SUCCEEDED",
        "start_time": started_ms, "end_time": started_ms + 25_000, "rollback_job_id": None,
    }  # fmt: skip
    return content | {name: dice.choice(_WRONG) for name in _FIELDS if dice.random() < 0.15}


def _malformed(dice, plan_id):
    components = [_component(dice, place) for place in range(dice.randrange(4))]
    content = {"id": plan_id, "components": components}
    change = dice.choice(("types", "missing", "extra", "nested", "duplicated", "top", "not components", "bytes"))
    if change == "missing":
        for component in components:
            for name in [name for name in component if dice.random() < 0.3]:
                del component[name]
    elif change == "extra":
        for component in components:
            component |= {f"more {place}": dice.choice(_WRONG) for place in range(3)}
        content |= {"": 1, "components2": components}
    elif change == "top":
        content = dice.choice(([], [content], "text", 5, None, {}, {"id": plan_id}, {"components": content}))
    elif change == "not components":
        content["components"] = dice.choice(
            (None, {}, "none", 7, [None], [1, 2], ["x"], [[]], [[components]], components)
        )
    text = json.dumps(content, ensure_ascii=dice.random() < 0.5)
    if change == "nested":
        depth = dice.choice((3, 50, 400, 900, 5_000, 100_000))
        where = dice.choice(('"extra": ', '"components": '))
        nest = "[" * depth + "]" * depth if dice.random() < 0.5 else '{"a":' * depth + "1" + "}" * depth
        text = text[:-1] + ("" if text == "{}" else ", ") + where + nest + "}"
    elif change == "duplicated":
        again = json.dumps(dice.choice((components, None, plan_id, [], components[::-1])))
        text = text[:-1] + f', "{dice.choice(("components", "id"))}": {again}' + "}"
        if components and dice.random() < 0.5:
            text = text.replace('"job_id":', '"job_id": "earlier", "job_id":')
    elif change == "bytes" and dice.random() < 0.7:
        place = dice.randrange(len(text))
        text = text[:place] + dice.choice(("}", "]", ",", '"', "\\", "\t", "//", "NaN", "'", "\u2028")) + text[place:]
    return text.encode()
