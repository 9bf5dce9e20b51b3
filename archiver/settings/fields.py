"""The settings by name, with their defaults, and what follows from them."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from archiver.errors import SettingsError
from archiver.settings.values import (
    check_database,
    check_endpoint,
    check_identifier,
    check_notify_urls,
    check_ping_url,
    check_region,
    check_schedule,
    check_zone,
    read_secret,
    split_ids,
    split_urls,
)

PREFIX = "ARCHIVER_"

CredentialKind = Literal["token", "password", "key"]
CREDENTIALS: dict[CredentialKind, tuple[str, ...]] = {
    "token": ("token",),
    "password": ("iam_user", "iam_password", "iam_domain"),
    "key": ("access_key", "secret_key", "security_token"),
}
CREDENTIAL_NAMES = tuple(name for names in CREDENTIALS.values() for name in names)
OPTIONAL = ("security_token",)

Endpoint = Annotated[str | None, AfterValidator(check_endpoint)]


class Target(BaseModel):
    """One of `[[targets]]`: an endpoint or a region, projects, and where its credentials are found; never they."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    name: str | None = None
    endpoint: Endpoint = None
    region: Annotated[str | None, AfterValidator(check_region)] = None
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
        return split_ids(self.project_id if isinstance(self.project_id, str) else ",".join(self.project_id))

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
        return None if path is None else SecretStr(read_secret(path, f"{name}_file"))


class Settings(BaseSettings):
    """All settings, each `ARCHIVER_<NAME>` or `<name>` in `archiver.toml`. Secrets show as stars."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", hide_input_in_errors=True
    )

    database_url: Annotated[SecretStr, AfterValidator(check_database)] = SecretStr("sqlite:///archive.db")
    database_schema: Annotated[str, AfterValidator(check_identifier)] = "release_archive"
    endpoint: Endpoint = None
    region: Annotated[str | None, AfterValidator(check_region)] = None
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
    schedule: Annotated[str, AfterValidator(check_schedule)] = "15 2 * * *"
    timezone: Annotated[str, AfterValidator(check_zone)] = "UTC"
    report_schedule: Annotated[str, AfterValidator(check_schedule)] = "0 6 * * mon"
    report_directory: Path | None = None
    notify_urls: Annotated[SecretStr | None, AfterValidator(check_notify_urls)] = None
    ping_url: Annotated[SecretStr | None, AfterValidator(check_ping_url)] = None
    proxy: SecretStr | None = None
    ca_bundle: Path | None = None
    targets: list[Target] = Field(default_factory=list)
    _unread: SettingsError | None = PrivateAttr(default=None)

    @property
    def project_ids(self) -> list[str]:
        """The projects of all targets, in the order given, each once."""
        ids = [*self.own_project_ids, *(one for target in self.targets for one in target.project_ids)]
        return list(dict.fromkeys(ids))

    @property
    def own_project_ids(self) -> list[str]:
        """The projects of ARCHIVER_PROJECT_ID."""
        return split_ids(self.project_id or "")

    @property
    def notify_services(self) -> list[str]:
        """The URLs of ARCHIVER_NOTIFY_URLS, in the order given, each once. They hold secrets."""
        return split_urls(self.notify_urls.get_secret_value()) if self.notify_urls is not None else []

    @property
    def credential_kind(self) -> CredentialKind | None:
        """Which kind of credentials is set, if any."""
        return next((kind for kind in CREDENTIALS if given_of(self, kind)), None)

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

    @property
    def unread_credentials(self) -> SettingsError | None:
        """Why the credentials can't be read, if so. All other settings are of use: they say who is to be told."""
        return self._unread

    @unread_credentials.setter
    def unread_credentials(self, error: SettingsError | None) -> None:
        self._unread = error

    def check_run(self) -> None:
        """Raise SettingsError unless all that a run needs is set. Whether credentials can be read a run finds."""
        if self.ca_bundle is not None and not self.ca_bundle.is_file():
            raise SettingsError(f"{PREFIX}CA_BUNDLE: there is no file {self.ca_bundle}")
        if self.targets:
            return  # each is checked by itself, and fails by itself
        if not self.own_project_ids:
            raise SettingsError(f"no project: set {PREFIX}PROJECT_ID (several parted by commas)")
        self.service_endpoint()
        kind = self.credential_kind
        if kind is None and self._unread is None:
            raise SettingsError(
                f"no credentials: set {PREFIX}ACCESS_KEY and {PREFIX}SECRET_KEY, or {PREFIX}TOKEN, "
                f"or {PREFIX}IAM_USER, {PREFIX}IAM_PASSWORD and {PREFIX}IAM_DOMAIN"
            )
        if kind == "password":
            self.token_endpoint()


def given_of(settings: Settings, kind: CredentialKind) -> list[str]:
    """Return the names of a kind of credentials that are set."""
    return [name for name in CREDENTIALS[kind] if getattr(settings, name) is not None]


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def check_credentials(settings: Settings) -> None:
    """Refuse credentials that could not be read, two kinds of them at once, and a kind that is only half there."""
    if settings.unread_credentials is not None:
        raise settings.unread_credentials
    given = {kind: names for kind in CREDENTIALS if (names := given_of(settings, kind))}
    if len(given) > 1:
        listed = " and ".join(variable_of(names[0]) for names in given.values())
        raise SettingsError(f"{listed} are two kinds of credentials: keep one and unset the other")
    for kind, names in given.items():
        missing = [name for name in CREDENTIALS[kind] if name not in names and name not in OPTIONAL]
        if missing:
            raise SettingsError(f"{variable_of(names[0])} is set but {variable_of(missing[0])} is not: set both")
