"""What `doctor` says of one thing that it looked at."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "finding", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check: of what, how it is, and for a finding what to do. `subject` is a project, a host, or empty."""

    name: str
    state: State
    told: str
    advice: str | None = None
    subject: str = ""


def ok(name: str, told: str, subject: str = "") -> Check:
    """Build a check that found nothing wrong."""
    return Check(name, "ok", told, subject=subject)


def finding(name: str, told: str, advice: str, subject: str = "") -> Check:
    """Build a check that found something, and says what to do."""
    return Check(name, "finding", told, advice, subject)


def skipped(name: str, told: str, subject: str = "") -> Check:
    """Build a check that could not be made."""
    return Check(name, "skipped", told, subject=subject)
