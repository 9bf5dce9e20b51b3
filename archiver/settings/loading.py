"""Where settings come from: the environment, secret files, `archiver.toml`, the vendor SDK's variables."""

import os
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, TomlConfigSettingsSource
from pydantic_settings.exceptions import SettingsError as SourceError

from archiver.errors import SettingsError
from archiver.settings.fields import CREDENTIAL_NAMES, OPTIONAL, Settings, check_credentials, given_of, variable_of
from archiver.settings.values import check_endpoint, read_secret

FROM_FILE = (
    "database_url",
    *CREDENTIAL_NAMES,
    "notify_urls",
    "ping_url",
)


class _SecretFiles(PydanticBaseSettingsSource):
    """`ARCHIVER_<NAME>_FILE`: the value is what the file holds, read afresh each time settings are loaded.

    Credentials that can't be read are noted in `unread`, and the other settings load all the same.
    """

    def __init__(self, settings_cls: type[BaseSettings], unread: list[SettingsError]) -> None:
        """Begin with what can't be read so far."""
        super().__init__(settings_cls)
        self._unread = unread

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Read one field's file."""
        del field
        variable = f"{variable_of(field_name)}_FILE"
        path = os.environ.get(variable) if field_name in FROM_FILE else None
        if not path:
            return None, field_name, False
        if os.environ.get(variable_of(field_name)):
            raise SettingsError(f"{variable} and {variable_of(field_name)} are both set: keep one")
        try:
            value = read_secret(Path(path), variable)
        except SettingsError as error:
            if field_name not in CREDENTIAL_NAMES:
                raise
            self._unread.append(error)
            return None, field_name, False
        if not value and field_name in CREDENTIAL_NAMES and field_name not in OPTIONAL:
            self._unread.append(SettingsError(f"{variable}: {path} is empty"))
        return value, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return what the files give."""
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value}


class _TomlFile(TomlConfigSettingsSource):
    """`archiver.toml`, in which an empty text is no value, as in the environment."""

    def __call__(self) -> dict[str, Any]:
        """Return what the file gives."""
        return {name: value for name, value in super().__call__().items() if value != ""}


def load_settings(config: Path | None = None) -> Settings:
    """Load the settings: environment, then secret files, then the TOML file, then the vendor SDK's variables.

    Raises SettingsError naming the variable and what to do.
    """
    path = config or Path("archiver.toml")
    if config is not None and not config.is_file():
        raise SettingsError(f"--config: there is no file {config}")

    unread: list[SettingsError] = []

    class Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del dotenv_settings, file_secret_settings
            return (
                init_settings,
                env_settings,
                _SecretFiles(settings_cls, unread),
                _TomlFile(settings_cls, toml_file=path),
            )

    try:
        settings: Settings = Sourced()
    except ValidationError as error:
        raise SettingsError(_one_line(error, path)) from None
    except (ValueError, SourceError, OSError) as error:
        raise SettingsError(f"{path}: can't be read: {str(error).splitlines()[0]}") from None
    if unread:
        settings.unread_credentials = unread[0]
    else:
        check_credentials(settings)
    _check_targets(settings)
    return _with_vendor_names(settings)


def _with_vendor_names(settings: Settings) -> Settings:
    """Fill what is missing from the variables that the vendor's SDK reads; keys only as a set of their own."""
    names = {"project_id": "PROJECT_ID", "iam_endpoint": "IAM_ENDPOINT"}
    found: dict[str, Any] = {
        name: value
        for name, variable in names.items()
        if getattr(settings, name) is None and (value := os.environ.get(f"HUAWEICLOUD_SDK_{variable}"))
        if name != "project_id" or not settings.targets
    }
    if "iam_endpoint" in found:
        try:
            found["iam_endpoint"] = check_endpoint(found["iam_endpoint"])
        except ValueError as error:
            raise SettingsError(f"HUAWEICLOUD_SDK_IAM_ENDPOINT {error}") from None
    if settings.credential_kind is None and settings.unread_credentials is None:
        keys = {"access_key": "AK", "secret_key": "SK", "security_token": "SECURITY_TOKEN"}
        for name, variable in keys.items():
            if value := os.environ.get(f"HUAWEICLOUD_SDK_{variable}"):
                found[name] = SecretStr(value)
    settings = settings.model_copy(update=found)
    given = given_of(settings, "key")
    if given and (settings.access_key is None or settings.secret_key is None):
        raise SettingsError("HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK go together: set both, or neither")
    return settings


def _line_of_target(loc: tuple[int | str, ...], kind: str, message: str, path: Path) -> str:
    place = f" {loc[0] + 1}" if loc and isinstance(loc[0], int) else ""
    where = f"{path}: target{place}"
    field = str(loc[1]) if len(loc) > 1 else "it"
    if kind == "extra_forbidden":
        if field in CREDENTIAL_NAMES:
            return (
                f"{where}: {field} may not stand in the file: name where it is found with {field}_env or {field}_file"
            )
        return f"{where}: unknown setting {field!r}; the README names them"
    message = message.removeprefix("Value error, ")
    return f"{where}: {field} {message[:1].lower()}{message[1:]}"


def _one_line(error: ValidationError, path: Path) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    if name == "targets":
        return _line_of_target(first["loc"][1:], first["type"], first["msg"], path)
    if first["type"] == "extra_forbidden":
        return f"{path}: unknown setting {name!r}; the names are those of the README's settings table"
    message = first["msg"].removeprefix("Value error, ")
    return f"{variable_of(name)} {message[:1].lower()}{message[1:]}"


def _check_targets(settings: Settings) -> None:
    """Refuse a project that stands in two targets: the archive knows it by its ID alone."""
    seen = set(settings.own_project_ids)
    for target in settings.targets:
        twice = [project_id for project_id in target.project_ids if project_id in seen]
        if twice:
            raise SettingsError(f"[[targets]]: project {twice[0]} stands in two targets: name it in one")
        if not target.project_ids:
            raise SettingsError("[[targets]]: one names no project: set its project_id")
        seen.update(target.project_ids)
