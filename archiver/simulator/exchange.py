"""A request and a response, without a socket."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

JSON = "application/json;charset=utf8"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came: the path and the query still encoded, header names in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class WireFault:
    """What a socket server is to do to a response; without a socket it is a hint only.

    `cut` ends the connection after `at_byte` bytes of the body, `reset` resets it there (at 0: before any
    answer), `drip` waits `pause_seconds` after each byte of the body, `delay` waits once before the answer.
    """

    kind: Literal["cut", "reset", "drip", "delay"]
    at_byte: int = 0
    with_content_length: bool = True
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Response:
    """A response: Content-Length is left to whoever sends it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    fault: WireFault | None = None


def encoded(content: Any) -> bytes:
    """Write JSON as the upstream does: compact, UTF-8, not escaped."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def answer(status: int, content: Any, request_id: str, **headers: str) -> Response:
    """Answer with JSON."""
    extra = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"Content-Type": JSON, "X-Request-Id": request_id} | extra, encoded(content))


def service_error(status: int, code: str, message: str, request_id: str) -> Response:
    """Answer as ServiceStage itself fails."""
    return answer(status, {"error_code": code, "error_msg": message}, request_id)


def gateway_error(status: int, code: str, message: str, request_id: str) -> Response:
    """Answer as the gateway in front fails."""
    return answer(status, {"error_code": code, "error_msg": message, "request_id": request_id}, request_id)


def iam_error(status: int, message: str, title: str, request_id: str) -> Response:
    """Answer as IAM fails."""
    return answer(status, {"error": {"code": status, "message": message, "title": title}}, request_id)
