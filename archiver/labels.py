"""What labels a component's place has: `labels.toml` read, and its rules matched. Pure, but for reading the file.

An entry holds conditions (`project`, `plan`, `component`) and labels (`project_name`, `team`, `environment`, `tier`).
It applies where all of its conditions hold; of the entries that apply and give the same label, the last one wins.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from pathlib import Path
from reprlib import repr as short
from typing import Any

from archiver.errors import SettingsError

CONDITIONS = ("project", "plan", "component")
LABELS = ("project_name", "team", "environment", "tier")
UNLABELLED = "(unlabelled)"
_NAMES_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class LabelRule:
    """One entry: a project's ID, globs on the names of plan and component (None: any), and the labels it gives."""

    project: str | None = None
    plan: str | None = None
    component: str | None = None
    labels: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Write the conditions as the file does."""
        held = ((name, getattr(self, name)) for name in CONDITIONS)
        return ", ".join(f"{name} = {value!r}" for name, value in held if value is not None) or "no condition"


def read_rules(path: Path) -> list[LabelRule]:
    """Read `labels.toml`, entries in its order. SettingsError naming the file, the entry by its number, and the key."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror}") from None
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is no UTF-8 text") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a ValueError of its own
        reason = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise SettingsError(f"{path}: is no TOML: {reason}") from None
    for key in document:
        if key != "labels":
            raise SettingsError(f"{path}: key {key!r} is unknown here: each entry begins with [[labels]]")
    entries = document.get("labels")
    if entries is None:
        raise SettingsError(f"{path}: holds no [[labels]]; to take all labels away, write: labels = []")
    if not isinstance(entries, list):
        raise SettingsError(f"{path}: key 'labels' is no list of entries: begin each one with [[labels]]")
    return [_rule(f"{path}: entry {number}", entry) for number, entry in enumerate(entries, 1)]


def _rule(place: str, entry: Any) -> LabelRule:
    if not isinstance(entry, dict):
        raise SettingsError(f"{place} is {short(entry)}, no table: begin it with [[labels]]")
    for key, value in entry.items():
        if key not in (*CONDITIONS, *LABELS):
            offered = ", ".join((*CONDITIONS, *LABELS))
            raise SettingsError(f"{place}, key {key!r}: unknown; choose from {offered}")
        if not isinstance(value, str):
            raise SettingsError(f'{place}, key {key!r}: {short(value)} is no text; write it in quotes: "..."')
        if not value.strip():
            raise SettingsError(f"{place}, key {key!r}: is empty; leave the key out where it says nothing")
        if "\0" in value or (key in LABELS and not value.isprintable()):
            raise SettingsError(
                f"{place}, key {key!r}: {short(value)} holds a character that can't be shown; take it out"
            )
        if value == UNLABELLED and key in LABELS:
            raise SettingsError(f"{place}, key {key!r}: {UNLABELLED} stands for no label; leave the key out")
    labels = {name: entry[name] for name in LABELS if name in entry}
    if not labels:
        raise SettingsError(f"{place}: gives no label; add one of {', '.join(LABELS)}")
    return LabelRule(entry.get("project"), entry.get("plan"), entry.get("component"), labels)


class Labeller:
    """Says by the rules which labels a place has, and remembers which rules applied anywhere.

    Which rules apply is one bit each of an integer: those of the plan and those of the component are found apart, and
    remembered, since a name comes again and again.
    """

    def __init__(self, rules: Sequence[LabelRule]) -> None:
        self.rules = rules
        self._plans = [(rule.project, _matcher(rule.plan)) for rule in rules]
        self._components = [_matcher(rule.component) for rule in rules]
        self._giving = {label: _bits(label in rule.labels for rule in rules) for label in LABELS}
        self._plan_bits = lru_cache(_NAMES_REMEMBERED)(self._bits_of_plan)
        self._component_bits = lru_cache(_NAMES_REMEMBERED)(self._bits_of_component)
        self._applied = 0

    def labels_of(self, project_id: str, plan_name: str | None, component_name: str | None) -> dict[str, str | None]:
        """Return every label of a place, None where no rule gives it. No glob matches a name that is missing."""
        applying = self._plan_bits(project_id, plan_name) & self._component_bits(component_name)
        self._applied |= applying
        found: dict[str, str | None] = {}
        for label, giving in self._giving.items():
            last = (applying & giving).bit_length() - 1
            found[label] = None if last < 0 else self.rules[last].labels[label]
        return found

    def idle_rules(self) -> Iterator[tuple[int, LabelRule]]:
        """Yield, with their numbers, the rules that applied to no place so far."""
        for place, rule in enumerate(self.rules):
            if not self._applied >> place & 1:
                yield place + 1, rule

    def _bits_of_plan(self, project_id: str, name: str | None) -> int:
        return _bits(project in (None, project_id) and _holds(glob, name) for project, glob in self._plans)

    def _bits_of_component(self, name: str | None) -> int:
        return _bits(_holds(glob, name) for glob in self._components)


@lru_cache(_NAMES_REMEMBERED)
def _matcher(glob: str | None) -> re.Pattern[str] | None:
    # As fnmatchcase does, which soon forgets its patterns when there are many.
    return None if glob is None else re.compile(translate(glob))


def _holds(glob: re.Pattern[str] | None, name: str | None) -> bool:
    return glob is None or (name is not None and glob.match(name) is not None)


def _bits(flags: Iterable[bool]) -> int:
    return sum(1 << place for place, flag in enumerate(flags) if flag)
