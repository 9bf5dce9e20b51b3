"""The settings: the only reader of the environment, of `archiver.toml` and of secret files."""

import ipaddress
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings.exceptions import SettingsError as SourceError

from archiver.errors import SettingsError

PREFIX = "ARCHIVER_"
FROM_FILE = (
    "database_url",
    "token",
    "iam_user",
    "iam_password",
    "iam_domain",
    "access_key",
    "secret_key",
    "security_token",
    "notify_urls",
    "ping_url",
)
_SCHEMES = ("sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg")
_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
# A URL begins after whitespace or a comma; a comma inside one, as between two recipients, parts nothing.
_URL_GAP = re.compile(r"[\s,]+(?=[a-z][a-z0-9+.-]*://)", re.IGNORECASE)
_NOTIFY_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)

CredentialKind = Literal["token", "password", "key"]
_KINDS: dict[CredentialKind, tuple[str, ...]] = {
    "token": ("token",),
    "password": ("iam_user", "iam_password", "iam_domain"),
    "key": ("access_key", "secret_key", "security_token"),
}
_OPTIONAL = ("security_token",)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_endpoint(value: str | None) -> str | None:
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


def _check_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"{value!r} is no time zone; write an IANA name such as Europe/Berlin") from None
    return value


def _check_schedule(value: str) -> str:
    from archiver.nights import cron_trigger  # noqa: PLC0415 - the scheduler is loaded only where a schedule is read

    if cron_trigger(value, UTC).get_next_fire_time(None, datetime(2024, 1, 1, tzinfo=UTC)) is None:
        raise ValueError(f"{value!r} never falls due; write five fields such as '15 2 * * *'")
    return value


def _check_identifier(value: str) -> str:
    if not _IDENTIFIER.fullmatch(value):
        raise ValueError(f"{value!r} is no schema name; use lower-case letters, digits and _")
    return value


def _check_region(value: str | None) -> str | None:
    if value is not None and not _REGION.fullmatch(value):
        raise ValueError(f"{value!r} is no region; write one such as cn-north-4")
    return value


def _check_database(value: SecretStr) -> SecretStr:
    # What it is instead is not shown: it can be a password in the wrong place.
    if value.get_secret_value().split(":", 1)[0] not in _SCHEMES:
        raise ValueError("must be sqlite:///FILE or postgresql+psycopg://…")
    return value


def _split_ids(text: str) -> list[str]:
    parts = (part.strip() for part in text.split(","))
    return list(dict.fromkeys(part for part in parts if part))


def _split_urls(text: str) -> list[str]:
    parts = (part.strip(" \t\r\n,") for part in _URL_GAP.split(text))
    return list(dict.fromkeys(part for part in parts if part))


def _check_notify_urls(value: SecretStr | None) -> SecretStr | None:
    # They hold passwords and tokens: which one is wrong is told by its place.
    urls = _split_urls(value.get_secret_value()) if value is not None else []
    for place, url in enumerate(urls, 1):
        if not _NOTIFY_URL.fullmatch(url):
            raise ValueError(
                f"holds no URL in place {place} of {len(urls)}: write scheme://…, parted by commas or whitespace"
            )
    return value if urls else None


def _check_ping_url(value: SecretStr | None) -> SecretStr | None:
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


Endpoint = Annotated[str | None, AfterValidator(_check_endpoint)]


class Target(BaseModel):
    """One of `[[targets]]`: an endpoint or a region, projects, and where its credentials are found; never they."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: str | None = None
    endpoint: Endpoint = None
    region: Annotated[str | None, AfterValidator(_check_region)] = None
    iam_endpoint: Endpoint = None
    project_id: str | list[str]
    token_env: str | None = None
    token_file: Path | None = None
    iam_user_env: str | None = None
    iam_user_file: Path | None = None
    iam_password_env: str | None = None
    iam_password_file: Path | None = None
    iam_domain_env: str | None = None
    iam_domain_file: Path | None = None
    access_key_env: str | None = None
    access_key_file: Path | None = None
    secret_key_env: str | None = None
    secret_key_file: Path | None = None
    security_token_env: str | None = None
    security_token_file: Path | None = None

    @property
    def project_ids(self) -> list[str]:
        """The projects, in the order given, each once."""
        return _split_ids(self.project_id if isinstance(self.project_id, str) else ",".join(self.project_id))

    def credential(self, name: str) -> SecretStr | None:
        """Read a credential afresh; None if nothing is said of it. SettingsError if it is not where it should be."""
        variable, path = getattr(self, f"{name}_env"), getattr(self, f"{name}_file")
        if variable is not None and path is not None:
            raise SettingsError(f"{name}_env and {name}_file are both set: keep one")
        if variable is not None:
            value = os.environ.get(variable)
            if not value:
                raise SettingsError(f"{name}_env: there is no environment variable {variable}")
            return SecretStr(value)
        return None if path is None else SecretStr(_read_secret(path, f"{name}_file"))


class Settings(BaseSettings):
    """All settings, each `ARCHIVER_<NAME>` or `<name>` in `archiver.toml`. Secrets show as stars."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", hide_input_in_errors=True
    )

    database_url: Annotated[SecretStr, AfterValidator(_check_database)] = SecretStr("sqlite:///archive.db")
    database_schema: Annotated[str, AfterValidator(_check_identifier)] = "release_archive"
    endpoint: Endpoint = None
    region: Annotated[str | None, AfterValidator(_check_region)] = None
    project_id: str | None = None
    token: SecretStr | None = None
    iam_endpoint: Endpoint = None
    iam_user: SecretStr | None = None
    iam_password: SecretStr | None = None
    iam_domain: SecretStr | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    security_token: SecretStr | None = None
    concurrency: int = Field(8, ge=1, le=256)
    requests_per_second: float = Field(20, ge=0)
    timeout_seconds: float = Field(30, gt=0)
    list_timeout_seconds: float = Field(300, gt=0)
    retry_seconds: float = Field(120, ge=0)
    run_seconds: float = Field(14400, gt=0)
    recheck_days: int = Field(14, ge=0, le=36500)
    sweep_days: int = Field(30, ge=0, le=36500)
    watch_minutes: int = Field(0, ge=0)
    schedule: Annotated[str, AfterValidator(_check_schedule)] = "15 2 * * *"
    timezone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    report_schedule: Annotated[str, AfterValidator(_check_schedule)] = "0 6 * * mon"
    report_directory: Path | None = None
    notify_urls: Annotated[SecretStr | None, AfterValidator(_check_notify_urls)] = None
    ping_url: Annotated[SecretStr | None, AfterValidator(_check_ping_url)] = None
    proxy: SecretStr | None = None
    ca_bundle: Path | None = None
    targets: list[Target] = Field(default_factory=list)

    @property
    def project_ids(self) -> list[str]:
        """The projects of all targets, in the order given, each once."""
        ids = [*self.own_project_ids, *(one for target in self.targets for one in target.project_ids)]
        return list(dict.fromkeys(ids))

    @property
    def own_project_ids(self) -> list[str]:
        """The projects of ARCHIVER_PROJECT_ID."""
        return _split_ids(self.project_id or "")

    @property
    def notify_services(self) -> list[str]:
        """The URLs of ARCHIVER_NOTIFY_URLS, in the order given, each once. They hold secrets."""
        return _split_urls(self.notify_urls.get_secret_value()) if self.notify_urls is not None else []

    @property
    def credential_kind(self) -> CredentialKind | None:
        """Which kind of credentials is set, if any."""
        return next((kind for kind in _KINDS if _given(self, kind)), None)

    def service_endpoint(self) -> str:
        """ServiceStage's base URL, or SettingsError."""
        if self.endpoint is None and self.region is None:
            raise SettingsError(f"no endpoint: set {PREFIX}REGION (such as cn-north-4) or {PREFIX}ENDPOINT")
        return self.endpoint or f"https://servicestage.{self.region}.myhuaweicloud.com"

    def token_endpoint(self) -> str:
        """IAM's base URL, or SettingsError."""
        if self.iam_endpoint is None and self.region is None:
            raise SettingsError(f"no IAM endpoint: set {PREFIX}REGION or {PREFIX}IAM_ENDPOINT")
        return self.iam_endpoint or f"https://iam.{self.region}.myhuaweicloud.com"

    def check_run(self) -> None:
        """Raise SettingsError unless everything that a run needs is there."""
        if self.ca_bundle is not None and not self.ca_bundle.is_file():
            raise SettingsError(f"{PREFIX}CA_BUNDLE: there is no file {self.ca_bundle}")
        if self.targets:
            return  # each is checked by itself, and fails by itself
        if not self.own_project_ids:
            raise SettingsError(f"no project: set {PREFIX}PROJECT_ID (several parted by commas)")
        self.service_endpoint()
        kind = self.credential_kind
        if kind is None:
            raise SettingsError(
                f"no credentials: set {PREFIX}ACCESS_KEY and {PREFIX}SECRET_KEY, or {PREFIX}TOKEN, "
                f"or {PREFIX}IAM_USER, {PREFIX}IAM_PASSWORD and {PREFIX}IAM_DOMAIN"
            )
        if kind == "password":
            self.token_endpoint()


def _given(settings: Settings, kind: CredentialKind) -> list[str]:
    return [name for name in _KINDS[kind] if getattr(settings, name) is not None]


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def check_credentials(settings: Settings) -> None:
    """Refuse two kinds of credentials at once, and a kind that is only half there."""
    given = {kind: names for kind in _KINDS if (names := _given(settings, kind))}
    if len(given) > 1:
        listed = " and ".join(_variable(names[0]) for names in given.values())
        raise SettingsError(f"{listed} are two kinds of credentials: keep one and unset the other")
    for kind, names in given.items():
        missing = [name for name in _KINDS[kind] if name not in names and name not in _OPTIONAL]
        if missing:
            raise SettingsError(f"{_variable(names[0])} is set but {_variable(missing[0])} is not: set both")


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


def _read_secret(path: Path, name: str) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SettingsError(f"{name}: can't read {path}: {reason}") from None


class _SecretFiles(PydanticBaseSettingsSource):
    """`ARCHIVER_<NAME>_FILE`: the value is what the file holds, read afresh each time settings are loaded."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Read one field's file."""
        del field
        variable = f"{_variable(field_name)}_FILE"
        path = os.environ.get(variable) if field_name in FROM_FILE else None
        if not path:
            return None, field_name, False
        if os.environ.get(_variable(field_name)):
            raise SettingsError(f"{variable} and {_variable(field_name)} are both set: keep one")
        return _read_secret(Path(path), variable), field_name, False

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
            return (init_settings, env_settings, _SecretFiles(settings_cls), _TomlFile(settings_cls, toml_file=path))

    try:
        settings: Settings = Sourced()
    except ValidationError as error:
        raise SettingsError(_one_line(error, path)) from None
    except (ValueError, SourceError, OSError) as error:
        raise SettingsError(f"{path}: can't be read: {str(error).splitlines()[0]}") from None
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
            found["iam_endpoint"] = _check_endpoint(found["iam_endpoint"])
        except ValueError as error:
            raise SettingsError(f"HUAWEICLOUD_SDK_IAM_ENDPOINT {error}") from None
    if settings.credential_kind is None:
        keys = {"access_key": "AK", "secret_key": "SK", "security_token": "SECURITY_TOKEN"}
        for name, variable in keys.items():
            if value := os.environ.get(f"HUAWEICLOUD_SDK_{variable}"):
                found[name] = SecretStr(value)
    settings = settings.model_copy(update=found)
    given = _given(settings, "key")
    if given and (settings.access_key is None or settings.secret_key is None):
        raise SettingsError("HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK go together: set both, or neither")
    return settings


def _line_of_target(loc: tuple[int | str, ...], kind: str, message: str, path: Path) -> str:
    place = f" {loc[0] + 1}" if loc and isinstance(loc[0], int) else ""
    where = f"{path}: target{place}"
    field = str(loc[1]) if len(loc) > 1 else "it"
    if kind == "extra_forbidden":
        if field in {name for names in _KINDS.values() for name in names}:
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
    return f"{_variable(name)} {message[:1].lower()}{message[1:]}"
