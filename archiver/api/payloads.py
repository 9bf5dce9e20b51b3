"""The bodies of the API as it sends them: which fields, and nothing of what they mean.

Fields are documented as text or numbers and come as either (API reference, "Obtaining the Release Task
List" and "Obtaining the Deployment Information of a Release Task"), so every field is `Any` here; `mapping`
says what it means.
"""

import re
from typing import Any, TypeVar

import msgspec


class PlanItem(msgspec.Struct, frozen=True, gc=False):
    """One item of `release_plans`."""

    id: Any = None
    name: Any = None
    action: Any = None
    status: Any = None
    creator: Any = None
    create_time: Any = None
    execute_time: Any = None
    modify_time: Any = None


_Plain = str | int | float | None | msgspec.UnsetType


class PlainItem(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """An item of `release_plans` as nearly all are: the documented fields alone, each text, a number or null.

    `encode_sorted` makes of it what `canonical` makes of its body, in half the time.
    """

    id: str
    action: _Plain = msgspec.UNSET
    create_time: _Plain = msgspec.UNSET
    creator: _Plain = msgspec.UNSET
    execute_time: _Plain = msgspec.UNSET
    modify_time: _Plain = msgspec.UNSET
    name: _Plain = msgspec.UNSET
    status: _Plain = msgspec.UNSET


class PlanList(msgspec.Struct, frozen=True, gc=False):
    """The release task list. `release_plans` keeps each item's own bytes, for its snapshot."""

    release_plans: list[msgspec.Raw]
    count: Any = None

    @property
    def is_whole(self) -> bool:
        """Whether `count` is the number of items."""
        return str(self.count) == str(len(self.release_plans))


class ComponentItem(msgspec.Struct, frozen=True, gc=False):
    """One item of `components` in the deployment information."""

    id: Any = None
    name: Any = None
    seq: Any = None
    version: Any = None
    status: Any = None
    job_id: Any = None
    job_status: Any = None
    start_time: Any = None
    end_time: Any = None
    fail_message: Any = None
    rollback_job_id: Any = None
    rollback_job_status: Any = None
    rollback_start_time: Any = None
    rollback_end_time: Any = None
    rollback_fail_message: Any = None


class DeployInfo(msgspec.Struct, frozen=True, gc=False):
    """The deployment information of one plan."""

    components: list[ComponentItem]
    id: Any = None


class CutShortError(ValueError):
    """The body ends before its JSON does."""


class WrongShapeError(ValueError):
    """The body is whole, and not JSON of the documented shape."""


_T = TypeVar("_T", PlanList, DeployInfo, PlanItem)
_DECODERS = {kind: msgspec.json.Decoder(kind) for kind in (PlanList, DeployInfo, PlanItem)}
_ANY = msgspec.json.Decoder()

# Writes content with sorted keys and no spaces, so that equal content has equal bytes.
encode_sorted = msgspec.json.Encoder(order="sorted").encode


def _is_cut_short(error: Exception, body: bytes) -> bool:
    """Whether a body's JSON ends early; inside a number, msgspec calls it an invalid number at the end."""
    return "truncated" in str(error) or str(error).endswith(f"invalid number (byte {len(body)})")


def decode(body: bytes, kind: type[_T]) -> _T:
    """Decode a body. What JSON forbids but servers send is first replaced visibly (see `cleaned`).

    Raises CutShortError where the JSON ends early, WrongShapeError where it is none, or of another shape.
    """
    decoder: Any = _DECODERS[kind]
    try:
        result: _T = decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # once more, cleaned: half a surrogate pair near the end looks like a cut
    else:
        return result
    clean = cleaned(body)
    try:
        result = decoder.decode(clean)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if _is_cut_short(error, clean):
            raise CutShortError("the body is empty" if not body.strip() else "its JSON ends early") from None
        raise WrongShapeError(str(error)) from None
    return result


def canonical(body: bytes) -> bytes:
    """Write a decodable body again with sorted keys and no spaces, so that equal content has equal bytes.

    One that is nested too deep to be taken apart is compared as it came.
    """
    try:
        try:
            content = _ANY.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            content = _ANY.decode(cleaned(body))
        return encode_sorted(content)
    except RecursionError:
        return body


# A string that the body's end cuts off is a string still: what looks like a number in it is none. None of it is tried
# otherwise (`++`, `*+`): to be able to, the engine would note 100 bytes for each letter of a message.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|-?(?:NaN|Infinity|\d[\d.eE+-]*)', re.DOTALL)
_SURROGATES = re.compile(
    r"(?<!\\)((?:\\\\)*+)(?:(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(\\u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)


def cleaned(body: bytes) -> bytes:
    """Replace what is no JSON and yet is sent: invalid UTF-8 and lone surrogates by U+FFFD, NaN, Infinity and
    numbers past a double's range by their own text. A byte order mark before it all is left out (RFC 8259, 8.1).
    """
    return _TOKEN.sub(_clean_token, body.decode("utf-8", "replace").removeprefix("\N{BYTE ORDER MARK}")).encode()


def _clean_token(match: re.Match[str]) -> str:
    token = match[0]
    if token[0] == '"':
        return _SURROGATES.sub(lambda found: f"{found[1]}{found[2] or chr(0xFFFD)}", token) if "\\u" in token else token
    try:
        is_finite = token.lstrip("-")[0].isdigit() and abs(float(token)) != float("inf")
    except ValueError:
        return token
    return token if is_finite else f'"{token}"'
