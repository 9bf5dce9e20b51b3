"""An upstream of which every byte is known: two nights of plans, misfortune by the request, and what it served.

`first_night` and `second_night` are the same plans as they stand on two nights. Between them plans are deployed again,
rolled back, edited, finished, deleted, or left alone: whatever is lost, doubled or torn shows in the facts.
"""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from archiver.simulator import Credentials, Request, Response, WireFault, running
from archiver.simulator.access import Gate

PROJECT = "0123456789abcdef0123456789abcdef"
USER = {"iam_user": "archivist", "iam_password": "open sesame", "iam_domain": "library"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONG_AGO_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Call:
    """One request as the upstream reads it, and the answer that is right; `nth` counts the calls of its kind."""

    kind: str
    plan_id: str | None
    number: int
    nth: int
    good: Response


def nothing(_call):
    """Strike no request."""


@dataclass
class Upstream:
    """Serves plans as bytes. `strike(call)` returns another answer, or None for the right one.

    `missing` plans are listed and answer 404. `served` is what went out whole, by plan; `calls` what was asked.
    """

    items: list[bytes] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    strike: Callable[[Call], Response | None] = nothing
    count: int | None = None
    token_lives: int | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    served: dict[str, bytes] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    _counts: Counter = field(default_factory=Counter)

    def __post_init__(self):
        self.gate = Gate(self._credentials(), [PROJECT], self.token_lives)

    def _credentials(self):
        if self.token_lives is None:
            return Credentials()
        return Credentials(user=USER["iam_user"], password=USER["iam_password"], domain=USER["iam_domain"])

    def show(self, night):
        """Show what stands on a night: (list item, deploy-info body or None) by plan. Calls are counted anew."""
        self.calls.clear()
        self._counts.clear()
        self.items = [item for item, _ in night.values()]
        self.bodies = {plan_id: body for plan_id, (_, body) in night.items() if body is not None}
        self.missing = {plan_id for plan_id, (_, body) in night.items() if body is None}
        return self

    def handle(self, request: Request) -> Response:
        """Answer one request, as the simulator's socket server asks it."""
        kind, plan_id, good = self._right_answer(request)
        self._counts[kind] += 1
        call = Call(kind, plan_id, len(self.calls) + 1, self._counts[kind], good)
        self.calls.append(call)
        answer = self.strike(call) or good
        if kind == "deploy_info" and answer is good and good.status == 200:
            self.served[plan_id] = good.body
        return answer

    def _right_answer(self, request):
        parts = [unquote(part) for part in request.path.split("/")][1:]
        if request.method == "POST":
            return "token", None, self.gate.issue(request, self.now(), "r")
        kind = "list" if len(parts) == 4 else "deploy_info"
        plan_id = None if kind == "list" else parts[4]
        refusal = self.gate.refusal(request, self.now())
        if refusal is not None:
            return kind, plan_id, said(401, json.dumps({"error_code": refusal[0], "error_msg": refusal[1]}).encode())
        if kind == "list":
            count = len(self.items) if self.count is None else self.count
            return kind, None, said(200, b'{"count":%d,"release_plans":[%b]}' % (count, b",".join(self.items)))
        if plan_id not in self.bodies:
            return kind, plan_id, said(404, b'{"error_code":"SVCSTG.00100404","error_msg":"no such plan"}')
        return kind, plan_id, said(200, self.bodies[plan_id])

    @contextmanager
    def serving(self):
        """Serve from a thread of its own, and give the base URL."""
        with running(self) as base_url:
            yield base_url


def said(status, body=b'{"error_code":"APIGW.0203","error_msg":"not now"}', *, wire=None, **headers):
    """Build an answer; `wire` is what the socket does to it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"Content-Type": "application/json", **named}, body, wire)


def cut(good, at_byte, *, with_content_length):
    """Send the right answer up to a byte, and end the connection."""
    return Response(good.status, good.headers, good.body, WireFault("cut", at_byte, with_content_length))


def reset(good, at_byte=0):
    """Reset the connection after so many bytes of the body; at 0, before any answer."""
    return Response(good.status, good.headers, good.body, WireFault("reset", at_byte))


def drip(good, pause_seconds=1.0):
    """Send the body byte by byte."""
    return Response(good.status, good.headers, good.body, WireFault("drip", pause_seconds=pause_seconds))


def delay(good, seconds):
    """Send the right answer late."""
    return Response(good.status, good.headers, good.body, WireFault("delay", pause_seconds=seconds))


def sometimes(rate, answers, *, seed=1):
    """Strike a share of the requests, by seeded chance, with the answers in turn (functions of the right one)."""
    dice = random.Random(seed)
    answers = list(answers)
    struck = 0

    def strike(call):
        nonlocal struck
        if dice.random() >= rate:
            return None
        struck += 1
        return answers[struck % len(answers)](call.good)

    return strike


def item(plan_id, status, at_ms, **fields):
    """Build a list item whose plan was executed at an instant."""
    content = {"id": plan_id, "name": f"release {plan_id}", "action": "upgrade", "status": status, "creator": "wzh"}
    times = {"create_time": at_ms - 60_000, "execute_time": at_ms, "modify_time": 0}
    return json.dumps(content | times | fields).encode()


def part(name, *, job=None, status="SUCCESS", job_status="SUCCEEDED", seq=1, at_ms=0, **fields):
    """Build an item of `components`: not deployed, or deployed within 30 s from an instant."""
    content = {
        "id": f"id-{name}", "name": name, "seq": seq, "version": "1.0.1", "status": status if job else "CREATED",
        "job_id": job, "job_status": job_status if job else None, "start_time": at_ms,
        "end_time": at_ms and at_ms + 30_000, "fail_message": None,
        "rollback_job_id": None, "rollback_job_status": None, "rollback_start_time": 0,
        "rollback_end_time": 0, "rollback_fail_message": None,
    }  # fmt: skip
    return content | fields


def body(plan_id, parts: Iterable):
    """Build a deploy-info body."""
    return json.dumps({"id": plan_id, "components": list(parts)}).encode()


def _plan(number, at_ms, night, message):
    """Write plan `number` as it stands on a night (1 or 2)."""
    plan_id = f"plan-{number:02}"

    def parts(*, job="1", **first):
        return [
            part("web", job=f"{plan_id}-web-{job}", at_ms=at_ms, fail_message=message, **first),
            part("api", job=f"{plan_id}-api-1", at_ms=at_ms + 5_000),
            part("worker", job=f"{plan_id}-worker-1", at_ms=at_ms + 40_000, seq="2"),
        ]

    kind, later = number % 6, night == 2
    if kind == 0:  # deployed again: the first attempt is overwritten upstream
        if later:
            return item(plan_id, "SUCCESS", at_ms, modify_time=at_ms + 900_000), body(plan_id, parts(job="2"))
        return item(plan_id, "FAILED", at_ms), body(plan_id, parts(status="FAILED", job_status="FAILED"))
    if kind == 1:  # rolled back, of which the list says nothing
        shown = parts()
        if later:
            times = {"rollback_start_time": at_ms + 600_000, "rollback_end_time": at_ms + 660_000}
            shown[1] |= {"rollback_job_id": f"{plan_id}-back", "rollback_job_status": "ROLLBACKED", **times}
        return item(plan_id, "SUCCESS", at_ms), body(plan_id, shown)
    if kind == 2:  # edited before its release: web moves to batch 2, worker leaves
        shown = [part("web", seq=2 if later else 1), part("api"), *([] if later else [part("worker", seq="2")])]
        return item(plan_id, "CREATED", 0, create_time=at_ms), body(plan_id, shown)
    if kind == 3:  # over long ago: not due on the second night
        old = [part("web", job=f"{plan_id}-web-1", at_ms=_LONG_AGO_MS, fail_message=message)]
        return item(plan_id, "SUCCESS", _LONG_AGO_MS), body(plan_id, old)
    if kind == 4 and not later:  # under way
        shown = parts(status="RUNNING", job_status="RUNNING", end_time=0)
        return item(plan_id, "RUNNING", at_ms), body(plan_id, shown)
    return item(plan_id, "SUCCESS", at_ms), body(plan_id, parts())


@dataclass(frozen=True)
class Story:
    """Two nights of 33 plans: {plan id: (list item, body)}; a body of None answers 404."""

    first_night: dict
    second_night: dict


def story(now, message_bytes=200, seed=1):
    """Write the two nights; each plan was executed within the hour before `now`. Messages do not compress."""
    dice = random.Random(seed)
    at_ms = (now - _EPOCH - timedelta(hours=1)) // timedelta(milliseconds=1)
    messages = [f"error {number}: {dice.randbytes(message_bytes // 2).hex()}" for number in range(33)]

    def night(which, numbers):
        return {f"plan-{n:02}": _plan(n, at_ms + n * 60_000, which, messages[n]) for n in numbers}

    first, second = night(1, range(30)), night(2, [*range(28), 30, 31, 32])
    second["plan-26"] = (second["plan-26"][0], None)
    return Story(first, second)
