"""What a setting's value may be, and how one is read: each a plain function, with a message that says what to write."""

import ipaddress
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from archiver.errors import SettingsError

_SCHEMES = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
# A URL begins after whitespace or a comma; a comma inside one, as between two recipients, parts nothing.
_URL_GAP = re.compile(r"[\s,]+(?=[a-z][a-z0-9+.-]*://)", re.IGNORECASE)
_NOTIFY_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_endpoint(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise ValueError("is no URL; write https://host") from None
    if not host or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must be https://host, with a port or a path prefix at most")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError("must begin with https:// (http:// only for this machine's loopback)")
    return value.rstrip("/")


def check_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"{value!r} is no time zone; write an IANA name such as Europe/Berlin") from None
    return value


def check_schedule(value: str) -> str:
    from archiver.nights import cron_trigger  # noqa: PLC0415 - the scheduler is loaded only where a schedule is read

    if cron_trigger(value, UTC).get_next_fire_time(None, datetime(2024, 1, 1, tzinfo=UTC)) is None:
        raise ValueError(f"{value!r} never falls due; write five fields such as '15 2 * * *'")
    return value


def check_identifier(value: str) -> str:
    if not _IDENTIFIER.fullmatch(value):
        raise ValueError(f"{value!r} is no schema name; use lower-case letters, digits and _")
    return value


def check_region(value: str | None) -> str | None:
    if value is not None and not _REGION.fullmatch(value):
        raise ValueError(f"{value!r} is no region; write one such as cn-north-4")
    return value


def check_database(value: SecretStr) -> SecretStr:
    # What it is instead is not shown: it can be a password in the wrong place.
    if value.get_secret_value().split(":", 1)[0] not in _SCHEMES:
        raise ValueError("must be sqlite:///FILE or postgresql+psycopg://…")
    return value


def split_ids(text: str) -> list[str]:
    parts = (part.strip() for part in text.split(","))
    return list(dict.fromkeys(part for part in parts if part))


def split_urls(text: str) -> list[str]:
    parts = (part.strip(" \t\r\n,") for part in _URL_GAP.split(text))
    return list(dict.fromkeys(part for part in parts if part))


def check_notify_urls(value: SecretStr | None) -> SecretStr | None:
    # They hold passwords and tokens: which one is wrong is told by its place.
    urls = split_urls(value.get_secret_value()) if value is not None else []
    for place, url in enumerate(urls, 1):
        if not _NOTIFY_URL.fullmatch(url):
            raise ValueError(
                f"holds no URL in place {place} of {len(urls)}: write scheme://…, parted by commas or whitespace"
            )
    return value if urls else None


def check_ping_url(value: SecretStr | None) -> SecretStr | None:
    # It holds a key, so it is not shown.
    if value is None:
        return None
    try:
        parts = urlsplit(value.get_secret_value())
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise ValueError("is no URL; write https://host/key") from None
    if not host or parts.fragment or re.search(r"\s", value.get_secret_value()):
        raise ValueError("is no URL; write https://host/key")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ValueError("must begin with https:// (http:// only for this machine's loopback)")
    return value


def read_secret(path: Path, name: str) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SettingsError(f"{name}: can't read {path}: {reason}") from None
