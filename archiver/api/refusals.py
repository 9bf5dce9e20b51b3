"""What an answer other than the asked one says, and the error that it becomes."""

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from archiver.errors import ApiError, GiveUpPlanError, GiveUpRunError

_REDACTED = b"***"
_ACCESS_KEY = re.compile(r"Access=([^,]+)")
_SECRET_HEADERS = ("x-auth-token", "x-security-token", "authorization")
_E = TypeVar("_E", bound=ApiError)

_SHORTEST_SECRET = 4  # anything shorter would blot out half of the text


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, read to its end. `is_delimited`: its head said where the body ends, so it is whole.

    `secrets` are credentials in the request's body, and `sent` are its headers, which hold others.

    `verdict`: a fresh token was refused, or one that was this request's own while others were served.
    """

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    is_delimited: bool = True
    verdict: Literal["refused", "refused here"] | None = None
    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    sent: httpx.Headers = field(default_factory=httpx.Headers, repr=False)

    @property
    def evidence(self) -> bytes:
        """The body without the credentials that the request carried, should the server have echoed them."""
        body = self.body
        words = [self.sent[name] for name in _SECRET_HEADERS if name in self.sent]
        # Gateways name the key alone: "Get secretKey failed, ak:…".
        words += _ACCESS_KEY.findall(self.sent.get("authorization", ""))
        for secret in (*self.secrets, *(word.encode() for word in words)):
            if len(secret) >= _SHORTEST_SECRET:
                # Some writers of JSON escape the slashes, of which a token is full.
                body = body.replace(secret, _REDACTED).replace(secret.replace(b"/", b"\\/"), _REDACTED)
        return body


class PassingError(ApiError):
    """Worth another try: at once (a renewed token), or `most_tries` times at most (a doubtful refusal).

    Passing are 408, 429, 5xx, resets, and bodies cut short. `retry_after_seconds` is what the server asked for.
    """

    retry_after_seconds: float | None = None
    is_at_once = False
    most_tries: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked for, and the error that says it won't be had."""

    stage: str
    name: str
    last_word: type[GiveUpPlanError | GiveUpRunError]

    def final(self, text: str, **facts: Any) -> ApiError:
        """Build the error that ends the tries."""
        return self.last_word(f"{self.name}: {text}", stage=self.stage, **facts)

    def passing(self, text: str, **facts: Any) -> PassingError:
        """Build the error after which it is tried again."""
        return PassingError(f"{self.name}: {text}", stage=self.stage, **facts)


def refusal(kind: type[_E], subject: Subject, reply: Reply, hint: str = "") -> _E:
    """Build an error of `kind` from an answer: one line, with the vendor's code, text and request id."""
    code, text, request_id = _vendor_words(reply)
    parts = f"HTTP {reply.status}"
    parts += f" {code}" if code and code != str(reply.status) else ""
    parts += f": {text}" if text else ""
    parts += f" (request id {request_id})" if request_id else ""
    parts += f"; {hint}" if hint else ""
    facts: dict[str, Any] = {"status": reply.status, "error_code": code, "request_id": request_id}
    return kind(f"{subject.name}: {parts}", stage=subject.stage, body=reply.evidence, **facts)


def is_passing(status: int) -> bool:
    """Whether a status speaks of the moment, not of the request."""
    return status in (408, 429) or status >= 500


def redirect_hint(reply: Reply) -> str:
    """Say where a redirect leads. It is never followed: the credentials are for the endpoint alone."""
    try:
        host = urlsplit(reply.headers.get("location", "")).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    return f"it redirects to {one_line(host) or 'the same host'} and redirects are refused; check the endpoint"


def one_line(text: str, longest: int = 300) -> str:
    """Make text of any origin safe to print: no control or format characters, single spaces, not too long."""
    if text.isascii() and text.isprintable() and "  " not in text and len(text) <= longest:
        return text.strip()
    printable = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in text[: longest * 4])
    line = re.sub(" +", " ", printable).strip()
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _vendor_words(reply: Reply) -> tuple[str | None, str, str | None]:
    """Find (error code, text, request id) in a body of ServiceStage, the gateway, IAM, or none of them."""
    request_id = reply.headers.get("x-request-id")
    try:
        content = msgspec.json.decode(reply.evidence)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        content = None
    if not isinstance(content, dict):
        text = one_line(reply.evidence[:2000].decode("utf-8", "replace"), 120)
        return None, text or "no body", _word(request_id)
    nested = content.get("error")
    words = nested if isinstance(nested, dict) else content
    code = words.get("error_code") or words.get("code")
    text = words.get("error_msg") or words.get("message") or words.get("title") or ""
    return _word(code), _word(text) or "", _word(content.get("request_id") or request_id)


def _word(value: Any) -> str | None:
    return None if value in (None, "") else one_line(str(value)) or None
