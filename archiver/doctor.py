"""The doctor: everything that a run needs, looked at once, and what to do about what is wrong."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import Any
from zoneinfo import ZoneInfo

from archiver.checkup import Check, finding, ok
from archiver.clock import Clock
from archiver.delivery import services_of
from archiver.doctor_api import check_targets
from archiver.doctor_database import check_database
from archiver.errors import SettingsError
from archiver.instants import instant_text
from archiver.nights import next_due
from archiver.provenance import Provenance, provenance
from archiver.settings import Settings, load_settings

_WIDTH = 100
_SIGNS = {"ok": "ok      ", "finding": "FINDING ", "skipped": "skipped "}


@dataclass(slots=True)
class Diagnosis:
    """What was found: the settings with their sources, and the checks."""

    settings: list[Provenance] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def findings(self) -> list[Check]:
        """What is wrong."""
        return [check for check in self.checks if check.state == "finding"]

    def as_json(self) -> dict[str, Any]:
        """Return what `doctor --json` prints."""
        return {
            "is_well": not self.findings,
            "settings": [asdict(one) for one in self.settings],
            "checks": [asdict(check) for check in self.checks],
        }


async def examine(config: Path | None, clock: Clock) -> Diagnosis:
    """Look at everything. It makes, migrates and archives nothing."""
    found = Diagnosis()
    try:
        settings = load_settings(config)
    except SettingsError as error:
        found.checks.append(finding("settings", str(error), "mend it: nothing else could be looked at"))
        return found
    found.settings = provenance(settings, config)
    found.checks += _check_settings(settings)
    found.checks += check_database(settings)
    found.checks.append(_check_night(settings, clock))
    if all(check.name != "settings" for check in found.findings):
        found.checks += [check async for check in check_targets(settings, clock)]
    return found


def _check_settings(settings: Settings) -> Iterator[Check]:
    try:
        settings.check_run()
        count = len(settings.project_ids)
        yield ok("settings", f"all that a run of {count} project{'' if count == 1 else 's'} needs is set")
    except SettingsError as error:
        yield finding("settings", str(error), "set it: see `Settings` in the README")
    proxy = "ARCHIVER_PROXY carries everything" if settings.proxy else "HTTPS_PROXY and NO_PROXY are followed, if set"
    trust = f"the system's trust and {settings.ca_bundle}" if settings.ca_bundle else "the system's trust"
    yield ok("proxy and CA", f"{proxy}; {trust}")
    if settings.notify_urls is not None:
        try:
            yield ok("notifications", ", ".join(service.name for service in services_of(settings)))
        except SettingsError as error:
            yield finding("notifications", str(error), "mend ARCHIVER_NOTIFY_URLS, or unset it")


def _check_night(settings: Settings, clock: Clock) -> Check:
    at = next_due(settings.schedule, ZoneInfo(settings.timezone), clock.now())
    if at is None:
        told = f"{settings.schedule!r} falls due no more within 400 days"
        return finding("next night", told, "mend ARCHIVER_SCHEDULE")
    local = at.astimezone(ZoneInfo(settings.timezone))
    return ok("next night", f"{local:%Y-%m-%d %H:%M} {settings.timezone} ({instant_text(at)}), if `schedule` is up")


def diagnosis_lines(found: Diagnosis) -> Iterator[str]:
    """Write what was found for people: settings, checks, and the sum."""
    set_ones = [one for one in found.settings if one.source != "default"]
    if set_ones:
        yield "Settings that are not the default"
        width = max(len(one.name) for one in set_ones)
        for one in set_ones:
            yield f"  {one.name:<{width}}  {one.shown or ''}  ({one.source})"
        yield ""
    for check in found.checks:
        subject = f" {check.subject}" if check.subject else ""
        yield from _wrapped(f"{_SIGNS[check.state]}{check.name}{subject}: {check.told}")
        if check.advice:
            yield from _wrapped(f"        → {check.advice}")
    count = len(found.findings)
    yield ""
    yield "all is well" if not count else f"{count} finding{'' if count == 1 else 's'}"


def _wrapped(line: str) -> Sequence[str]:
    return wrap(line, _WIDTH, subsequent_indent=" " * 10, break_on_hyphens=False, break_long_words=False)
