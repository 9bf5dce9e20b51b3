"""Where each setting came from: environment, a secret's file, the TOML file, the vendor's variables, or its default."""

import os
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from archiver.settings import FROM_FILE, PREFIX, Settings

_VENDOR = {
    "project_id": "PROJECT_ID",
    "iam_endpoint": "IAM_ENDPOINT",
    "access_key": "AK",
    "secret_key": "SK",
    "security_token": "SECURITY_TOKEN",
}


@dataclass(frozen=True, slots=True)
class Provenance:
    """A setting, what it is (a secret as stars), and where that came from."""

    name: str
    shown: str | None
    source: str


def provenance(settings: Settings, config: Path | None) -> list[Provenance]:
    """Tell every setting's value and source, in the order of the settings."""
    path = config or Path("archiver.toml")
    in_file: dict[str, Any] = {}
    with suppress(OSError, ValueError):  # what can't be read was said when the settings were loaded
        in_file = tomllib.loads(path.read_text("utf-8"))
    return [
        Provenance(PREFIX + name.upper(), _shown(name, getattr(settings, name)), _source(name, settings, in_file, path))
        for name in type(settings).model_fields
        if name != "targets"
    ] + [
        Provenance(f"[[targets]] {place}", f"{target.name or target.region or target.endpoint or ''}", str(path))
        for place, target in enumerate(settings.targets, 1)
    ]


def _source(name: str, settings: Settings, in_file: dict[str, Any], path: Path) -> str:
    variable = PREFIX + name.upper()
    if os.environ.get(variable):
        return "environment"
    if name in FROM_FILE and (secret_file := os.environ.get(f"{variable}_FILE")):
        return f"file {secret_file}"
    if in_file.get(name) not in (None, ""):
        return str(path)
    vendor = f"HUAWEICLOUD_SDK_{_VENDOR[name]}" if name in _VENDOR else ""
    if getattr(settings, name) is not None and vendor and os.environ.get(vendor):
        return f"environment, {vendor}"
    return "default"


def _shown(name: str, value: Any) -> str | None:
    if isinstance(value, SecretStr):
        # The default holds no secret, and is worth seeing.
        is_default = name == "database_url" and value == Settings.model_fields[name].default
        return value.get_secret_value() if is_default else "********"
    return None if value is None else str(value)
