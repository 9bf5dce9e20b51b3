"""The targets: each endpoint with its projects and credentials, as settings of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from archiver.errors import SettingsError
from archiver.settings import CREDENTIAL_NAMES, Settings, Target, check_credentials

_PLACES = ("endpoint", "region", "iam_endpoint")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A target with its settings, or why it has none: a file or a variable that is not there."""

    name: str
    project_ids: list[str]
    settings: Settings | None = None
    error: SettingsError | None = None


def resolve_targets(settings: Settings) -> list[Resolved]:
    """Resolve every target, reading credentials afresh; one that can't be resolved says so and stops no other.

    The settings outside `[[targets]]` are the first, if they name a project. Of endpoint, region and IAM endpoint a
    target has those outside if it has none of its own; of credentials likewise.
    """
    found = []
    if settings.own_project_ids or not settings.targets:
        own = settings.model_copy(update={"targets": []})
        found.append(_resolved(_name(None, own), own.own_project_ids, lambda: own, is_sole=not settings.targets))
    for target in settings.targets:
        name = _name(target, settings)
        found.append(_resolved(name, target.project_ids, partial(_settings_of, target, settings)))
    return found


def _resolved(
    name: str, project_ids: list[str], settings_of: Callable[[], Settings], *, is_sole: bool = False
) -> Resolved:
    try:
        resolved = settings_of()
        if not is_sole:
            check_credentials(resolved)
            resolved.check_run()
    except SettingsError as error:
        return Resolved(name, project_ids, error=SettingsError(f"target {name}: {error}"))
    return Resolved(name, project_ids, resolved)


def target_names(settings: Settings) -> dict[str, str]:
    """Return the target's name of each project; none where there are no `[[targets]]`."""
    if not settings.targets:
        return {}
    own = {project_id: _name(None, settings) for project_id in settings.own_project_ids}
    return own | {one: _name(target, settings) for target in settings.targets for one in target.project_ids}


def _settings_of(target: Target, settings: Settings) -> Settings:
    given = {name: getattr(target, name) for name in _PLACES}
    places = given if any(given.values()) else {}
    found = {name: target.credential(name) for name in CREDENTIAL_NAMES}
    credentials = found if any(found.values()) else {}
    own = {"project_id": ",".join(target.project_ids), "targets": []}
    resolved = settings.model_copy(update={**places, **credentials, **own})
    if credentials:
        resolved.unread_credentials = None
    return resolved


def _name(target: Target | None, settings: Settings) -> str:
    """Name a target: as it is called, else by its region or its endpoint's host."""
    place: Target | Settings = settings if target is None or not (target.region or target.endpoint) else target
    name = target.name if target is not None else None
    return name or place.region or urlsplit(place.endpoint or "").netloc or "unnamed"
