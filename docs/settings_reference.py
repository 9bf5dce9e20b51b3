"""Writes the settings reference, `docs/settings.md`, from the settings themselves (`make docs`)."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from annotated_types import Ge, Gt, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from archiver.settings import FROM_FILE, PREFIX, Settings, Target

_INTRODUCTION = f"""# Settings

Made by `make docs` from the settings themselves. Each is an environment variable, or the same name in lower case
without `{PREFIX}` in `archiver.toml` (in the working directory, or named by `--config FILE`); the environment wins, and
an empty text is no value. What is marked *file* is also read from the file that `<NAME>_FILE` names, afresh
at each run. Secrets are never printed, logged, stored, or taken from a command line.

`archiver doctor` tells what each setting is, and where that came from.
"""
# What each is for; all else is read from the settings.
_MEANINGS: dict[str, dict[str, str]] = {
    "What is archived": {
        "project_id": "One project ID, or several parted by commas",
        "region": "Such as `cn-north-4`: builds the endpoints of ServiceStage and IAM, and is the IAM token's scope",
        "endpoint": "ServiceStage's base URL, for partner clouds; wins over the region. https, loopback aside",
        "iam_endpoint": "IAM's base URL, likewise",
    },
    "Credentials: one kind of three": {
        "access_key": "AK/SK signing: the access key",
        "secret_key": "AK/SK signing: the secret key",
        "security_token": "AK/SK signing: for temporary keys",
        "iam_user": "Password: the user; tokens are fetched and renewed",
        "iam_password": "Password: the password",
        "iam_domain": "Password: the account's name",
        "token": "A ready token, which is not renewed",
    },
    "The archive": {
        "database_url": "`sqlite:///FILE` or `postgresql+psycopg://…`",
        "database_schema": "PostgreSQL schema of all tables and views",
    },
    "A run": {
        "concurrency": "Requests in flight",
        "requests_per_second": "Ceiling over all requests; 0 is none",
        "timeout_seconds": "Longest time of a whole request",
        "list_timeout_seconds": "The same for the list of plans",
        "retry_seconds": "Longest time spent on one request with its retries",
        "run_seconds": "Longest time of a run, which then ends as partial: the next begins with the rest",
        "recheck_days": "How long a settled plan is fetched again every night: rollbacks come late",
        "sweep_days": "After that, each is fetched once in so many days; 0 is never",
        "proxy": "For every connection. Without it `HTTPS_PROXY` and `NO_PROXY` hold",
        "ca_bundle": "Certificates to trust beside the system's, a PEM file. Verification can't be turned off",
    },
    "The schedule": {
        "schedule": "When a night falls due, as a cron expression",
        "timezone": "IANA zone of nights and of report weeks",
        "watch_minutes": "Between nights, `schedule` looks this often for what is unsettled or changed; 0 is off",
        "report_schedule": "When `schedule` issues the report of the week before",
        "report_directory": "Where that report's files go; without it, it is only kept in the archive",
    },
    "Who is told": {
        "notify_urls": "[Apprise](https://appriseit.com/services) URLs, parted by commas or whitespace: where the "
        "report and troubles are sent",
        "ping_url": "Asked for at the start of a run (`/start`) and at its end (as it is, or `/fail`)",
    },
}
_TARGETS = """## Several regions or accounts

`targets` in `archiver.toml`: a `[[targets]]` each. Credentials are named there, never written: by an environment
variable (`…_env`) or a file (`…_file`).

| name | |
|---|---|
| `name` | What `status` and errors call it |
| `endpoint`, `region`, `iam_endpoint` | As above; without any of them those above hold |
| `project_id` | Must be given: a list, or IDs parted by commas. A project stands in one target |"""
_VENDOR = """## The vendor's names

`HUAWEICLOUD_SDK_AK`, `HUAWEICLOUD_SDK_SK`, `HUAWEICLOUD_SDK_SECURITY_TOKEN`, `HUAWEICLOUD_SDK_PROJECT_ID` and
`HUAWEICLOUD_SDK_IAM_ENDPOINT` are taken where the settings above are missing; keys only as a set of their own."""
_KINDS: dict[type[Any], str] = {SecretStr: "text", str: "text", int: "whole number", float: "number", Path: "path"}
_OPEN = ("database_url",)  # kept as a secret for the password that it can hold; its default holds none


def lines() -> Iterator[str]:
    """Yield the reference's lines: each group of settings, then targets and the vendor's names."""
    yield from _INTRODUCTION.splitlines()
    for group, meanings in _MEANINGS.items():
        yield from ("", f"## {group}", "", "| variable | meaning | kind | default |", "|---|---|---|---|")
        for name, meaning in meanings.items():
            field = Settings.model_fields[name]
            yield f"| `{PREFIX}{name.upper()}` | {meaning} | {_kind(name, field)} | {_default(name, field)} |"
    yield from ("", *_TARGETS.splitlines())
    for name in _named_credentials():
        yield f"| `{name}_env`, `{name}_file` | As `{PREFIX}{name.upper()}` |"
    yield from ("", *_VENDOR.splitlines())


def _named_credentials() -> list[str]:
    return [name.removesuffix("_env") for name in Target.model_fields if name.endswith("_env")]


def _plain(field: FieldInfo) -> Any:
    """Return a field's type without NULL."""
    kind = field.annotation
    if isinstance(kind, UnionType):
        return next(one for one in get_args(kind) if one is not type(None))
    return get_args(kind)[0] if get_args(kind) and type(None) in get_args(kind) else kind


def _kind(name: str, field: FieldInfo) -> str:
    words = [_KINDS[_plain(field)]]
    limits = {type(one): one for one in field.metadata}
    if Gt in limits:
        words.append(f"over {limits[Gt].gt:g}")
    elif Ge in limits and Le in limits:
        words.append(f"{limits[Ge].ge:g} to {limits[Le].le:g}")
    elif Ge in limits:
        words.append(f"from {limits[Ge].ge:g}")
    if _plain(field) is SecretStr and name not in _OPEN:
        words.append("secret")
    return ", ".join([*words, *(["file"] if name in FROM_FILE else [])])


def _default(name: str, field: FieldInfo) -> str:
    value = field.default
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        value = value.get_secret_value() if name in _OPEN else ""
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
