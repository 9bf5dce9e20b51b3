"""Who may come in: ready tokens, tokens that IAM gives out, and requests signed with AK/SK.

The signature is verified after the vendor's recipe, written down here for itself: it shares nothing with the
archiver's signer.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from archiver.simulator.exchange import Request, Response, answer, iam_error

TOKEN_LIFE = timedelta(hours=24)
MAX_CLOCK_SKEW = timedelta(minutes=15)
_UNRESERVED = "-_.~"
_AUTHORIZATION = re.compile(r"SDK-HMAC-SHA256 Access=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the simulator accepts; with none of it set, everyone may come in."""

    tokens: tuple[str, ...] = field(default=(), repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    domain: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    security_token: str | None = field(default=None, repr=False)

    @property
    def are_asked_for(self) -> bool:
        """Whether anything is set."""
        return bool(self.tokens or self.user or self.access_key)


class Gate:
    """The door: it gives tokens out and turns requests away."""

    def __init__(
        self, credentials: Credentials, project_ids: Sequence[str], token_dies_after: int | None = None
    ) -> None:
        """Open it. Each token that is given out dies after so many requests, if that is set."""
        self._credentials = credentials
        self._project_ids = frozenset(project_ids)
        self._token_dies_after = token_dies_after
        self._ready = set(credentials.tokens)
        self._issued: dict[str, datetime] = {}
        self._uses: dict[str, int] = {}
        self.tokens_issued = 0

    def revoke_tokens(self) -> None:
        """Revoke every token given out so far."""
        self._issued.clear()

    def refusal(self, request: Request, now: datetime) -> tuple[str, str] | None:
        """Return why the request isn't let in, as a gateway code and message; None if it is."""
        if not self._credentials.are_asked_for:
            return None
        token = request.headers.get("x-auth-token")
        if token is not None:
            return self._token_refusal(token, now)
        if self._credentials.access_key is not None and "authorization" in request.headers:
            return signature_refusal(request, self._credentials, now)
        return "APIGW.0301", "Incorrect IAM authentication information: x-auth-token not found"

    def issue(self, request: Request, now: datetime, request_id: str) -> Response:
        """Give out a token for a user's password (IAM, "Obtaining a User Token")."""
        try:
            auth = json.loads(request.body)["auth"]
            identity = auth["identity"]
            user = identity["password"]["user"]
            told = (user["name"], user["password"], user["domain"]["name"])
            scope = auth["scope"]["project"]
            is_scoped = scope.get("id") in self._project_ids or bool(scope.get("name"))
            is_by_password = "password" in identity["methods"]
        except (ValueError, LookupError, TypeError, AttributeError):
            return iam_error(400, "The request body is invalid", "Bad Request", request_id)
        known = self._credentials
        if not is_by_password or (known.are_asked_for and told != (known.user, known.password, known.domain)):
            return iam_error(401, "The username or password is wrong.", "Unauthorized", request_id)
        if not is_scoped:
            return iam_error(404, f"Could not find project: {scope.get('id')}.", "Not Found", request_id)
        self.tokens_issued += 1
        token = _token(self.tokens_issued)
        self._issued[token] = now + TOKEN_LIFE
        content = {
            "token": {
                "expires_at": (now + TOKEN_LIFE).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "issued_at": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "methods": ["password"],
                "project": scope,
                "user": {"name": told[0], "domain": {"name": told[2]}},
            }
        }
        return answer(201, content, request_id, X_Subject_Token=token)

    def _token_refusal(self, token: str, now: datetime) -> tuple[str, str] | None:
        if token in self._ready:
            return None
        expires_at = self._issued.get(token)
        if expires_at is None:
            return "APIGW.0301", "Incorrect IAM authentication information: decrypt token fail"
        uses = self._uses[token] = self._uses.get(token, 0) + 1
        is_worn_out = self._token_dies_after is not None and uses > self._token_dies_after
        if now >= expires_at or is_worn_out:
            return "APIGW.0307", "The token must be updated."
        return None


def signature_refusal(request: Request, credentials: Credentials, now: datetime) -> tuple[str, str] | None:
    """Verify an AK/SK signature; return why it is refused, or None."""
    parsed = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if parsed is None:
        return "APIGW.0301", "Incorrect IAM authentication information: authorization format invalid"
    access_key, signed_headers, signature = parsed.groups()
    names = signed_headers.split(";")
    date = request.headers.get("x-sdk-date", "")
    reason = None
    if access_key != credentials.access_key or credentials.secret_key is None:
        reason = "Get secretKey failed,ak:unknown"
    elif not {"host", "x-sdk-date"} <= set(names) or names != sorted(names):
        reason = "signed headers must be sorted and hold host and x-sdk-date"
    elif not all(name in request.headers for name in names):
        reason = "a signed header is missing"
    elif not _is_near(date, now):
        reason = "Signature expired, check your clock"
    elif not hmac.compare_digest(signature, _signature(request, names, date, credentials.secret_key)):
        reason = "Verify aksk signature fail"
    elif request.headers.get("x-security-token") != credentials.security_token:
        reason = "security token is wrong"
    return None if reason is None else ("APIGW.0301", f"Incorrect IAM authentication information: {reason}")


def _signature(request: Request, names: list[str], date: str, secret_key: str) -> str:
    segments = [quote(unquote_to_bytes(segment), safe=_UNRESERVED) for segment in request.path.split("/")]
    path = "/".join(segments)
    pairs = sorted(parse_qsl(request.query, keep_blank_values=True))
    canonical = "\n".join(
        [
            request.method,
            path if path.endswith("/") else path + "/",
            "&".join(f"{quote(name, safe=_UNRESERVED)}={quote(value, safe=_UNRESERVED)}" for name, value in pairs),
            *(f"{name}:{request.headers[name].strip()}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    to_sign = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    return hmac.new(secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


def _is_near(date: str, now: datetime) -> bool:
    try:
        signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(signed_at - now) <= MAX_CLOCK_SKEW


def _token(number: int) -> str:
    blocks = b"".join(hashlib.sha256(f"token {number}/{block}".encode()).digest() for block in range(60))
    return "MIIF" + base64.b64encode(blocks).decode()
