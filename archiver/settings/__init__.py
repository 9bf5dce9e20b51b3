"""The settings: the only reader of the environment, of `archiver.toml` and of secret files."""

from archiver.settings.fields import CREDENTIAL_NAMES, PREFIX, CredentialKind, Settings, Target, check_credentials
from archiver.settings.loading import FROM_FILE, load_settings
from archiver.settings.values import is_loopback

__all__ = [
    "CREDENTIAL_NAMES",
    "FROM_FILE",
    "PREFIX",
    "CredentialKind",
    "Settings",
    "Target",
    "check_credentials",
    "is_loopback",
    "load_settings",
]
