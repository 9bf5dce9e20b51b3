"""Scripted misfortune: which request meets which fault, by counting requests, never by chance."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from urllib.parse import unquote

from archiver.simulator.exchange import Request, Response, WireFault, encoded, gateway_error

_GATEWAY_CODES = {
    401: ("APIGW.0301", "Incorrect IAM authentication information: decrypt token fail"),
    403: ("APIGW.0302", "The app is not authorized to access the API."),
    413: ("APIGW.0201", "Request entity too large"),
    429: (
        "APIGW.0308",
        "The throttling threshold has been reached: policy user over ratelimit,limit:20,time:1 second",
    ),
    502: ("APIGW.0201", "Bad gateway"),
    503: ("APIGW.0203", "Service unavailable"),
    504: ("APIGW.0201", "Backend timeout"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule. It concerns the requests that all of its conditions fit, and strikes some by their number.

    Conditions: `match` (a pattern searched for in the still encoded path), `plan_id`, `since` and `until` (on
    the simulator's clock). Of those requests the first `after` go free, then each `every`-th is struck,
    `times` at most.
    """

    kind: Literal["status", "cut", "reset", "drip", "delay", "wrong_json", "wrong_count"]
    match: str = ""
    plan_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: int = 0
    every: int = 1
    times: int | None = None
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None  # of `status` and `wrong_json`; else one that looks right
    at_byte: int = 0
    with_content_length: bool = True
    pause_seconds: float = 0.0

    def concerns(self, request: Request, now: datetime) -> bool:
        """Say whether the request meets the conditions."""
        return (
            (self.since is None or now >= self.since)
            and (self.until is None or now < self.until)
            and (self.plan_id is None or self.plan_id in map(unquote, request.path.split("/")))
            and re.search(self.match, request.path) is not None
        )

    @property
    def is_answer(self) -> bool:
        """Whether the fault is an answer of its own, given before anyone looks at the request."""
        return self.kind == "status"


class Faults:
    """Rules with their counters. The first rule that strikes wins; each counts all the requests it concerns.

    `token_dies_after`: every token that IAM gave out answers so many requests, and is refused from then on.
    """

    def __init__(self, rules: Sequence[Fault] = (), *, token_dies_after: int | None = None) -> None:
        """Start all counters at zero."""
        self.token_dies_after = token_dies_after
        self._rules = tuple(rules)
        self._seen = [0] * len(self._rules)
        self._struck = [0] * len(self._rules)

    def strike(self, request: Request, now: datetime) -> Fault | None:
        """Count the request and return the fault that it meets."""
        struck = None
        for place, rule in enumerate(self._rules):
            if not rule.concerns(request, now):
                continue
            self._seen[place] += 1
            number = self._seen[place] - rule.after
            is_due = number > 0 and number % rule.every == 0
            if struck is None and is_due and (rule.times is None or self._struck[place] < rule.times):
                self._struck[place] += 1
                struck = rule
        return struck


def own_answer(fault: Fault, request_id: str) -> Response:
    """Answer in the upstream's stead."""
    code, message = _GATEWAY_CODES.get(fault.status, ("SVCSTG.00100500", "Internal error, please try again later."))
    response = gateway_error(fault.status, code, message, request_id)
    body = response.body if fault.body is None else fault.body
    return replace(response, headers={**response.headers, **fault.headers}, body=body)


def spoil(fault: Fault, response: Response) -> Response:
    """Spoil an answer: the body of a good one, or the way any is sent."""
    headers = {**response.headers, **fault.headers}
    if fault.kind in {"wrong_json", "wrong_count"} and response.status != 200:
        return response
    if fault.kind == "wrong_json":
        body = b'{"components":"see attachment"}' if fault.body is None else fault.body
        return replace(response, headers=headers, body=body)
    if fault.kind == "wrong_count":
        return replace(response, headers=headers, body=_with_wrong_count(response.body))
    if fault.kind in {"cut", "reset", "drip", "delay"}:
        wire: Any = fault.kind
        hint = WireFault(wire, fault.at_byte, fault.with_content_length, fault.pause_seconds)
        return replace(response, headers=headers, fault=hint)
    return response


def _with_wrong_count(body: bytes) -> bytes:
    content = json.loads(body)
    if isinstance(content, dict) and isinstance(content.get("count"), int):
        content["count"] += 1
        return encoded(content)
    return body
