"""Who takes part: projects, components with typical times and failure rates, and what travels together."""

from dataclasses import dataclass

from archiver.simulator.dice import Dice

CREATORS = ("wzh", "li.na", "m.okafor", "a.schmidt", "ci-robot", "张伟", "o'brien", None)
_WORDS = (
    *("gateway", "cart", "checkout", "payments", "catalog", "search", "pricing", "inventory", "orders"),
    *("shipping", "returns", "accounts", "sessions", "mailer", "notifier", "reviews", "media", "reports"),
    *("audit-log", "worker", "coupons", "fraud-check", "exports", "库存服务", "web|bff"),
)
_PREFIXES = ("shop", "bank", "fleet")
_TRAIN_NAMES = ("nightly", "core", "edge", "月度发布", "hotfix", "backoffice", "all <together>")
_TYPICAL_FAIL_PERMILLE = 50
_FLAKY_PERMILLE = 290
_WORSE_PERMILLE = 300


@dataclass(frozen=True, slots=True)
class Part:
    """A component: who it is and how its deployments tend to go."""

    component_id: str
    name: str
    typical_ms: int
    fail_permille: int
    late_fail_permille: int  # in the last weeks of the history


@dataclass(frozen=True, slots=True)
class Train:
    """Components that are released together, each with its usual batch from 1 on."""

    name: str
    members: tuple[tuple[Part, int], ...]


@dataclass(frozen=True, slots=True)
class Project:
    """A project, its components and its release trains."""

    project_id: str
    parts: tuple[Part, ...]
    trains: tuple[Train, ...]


def build_cast(seed: int, project_count: int) -> tuple[Project, ...]:
    """Cast the projects. The first one has a flaky component, the last one a component that gets worse."""
    return tuple(_project(seed, index, project_count) for index in range(project_count))


def _project(seed: int, index: int, project_count: int) -> Project:
    dice = Dice(seed, "project", index)
    prefix = _PREFIXES[index] if index < len(_PREFIXES) else f"team{index}"
    names = [f"{prefix}-{word}" for word in dice.shuffled(_WORDS)[: dice.between(17, 23)]]
    parts = []
    for place, name in enumerate(names):
        usual = late = _TYPICAL_FAIL_PERMILLE
        if index == 0 and place == 3:
            usual = late = _FLAKY_PERMILLE
        elif index == project_count - 1 and place == 5:
            late = _WORSE_PERMILLE
        parts.append(Part(dice.uuid(), name, dice.between(40, 330) * 1000, usual, late))
    return Project(dice.hex(32), tuple(parts), _trains(dice, parts))


def _trains(dice: Dice, parts: list[Part]) -> tuple[Train, ...]:
    riders = [dice.shuffled(parts)[: dice.between(6, 10)] for _ in _TRAIN_NAMES]
    # The two components that stand out ride often, so that a week shows it.
    for number, part in ((0, parts[3]), (1, parts[5]), (2, parts[3]), (3, parts[5])):
        if part not in riders[number]:
            riders[number].append(part)
    for place, part in enumerate(parts):
        if not any(part in members for members in riders):
            riders[place % len(riders)].append(part)
    trains = []
    for number, (name, members) in enumerate(zip(_TRAIN_NAMES, riders, strict=True)):
        batch_count = 1 + number % 4
        batches = sorted(1 + place % batch_count for place in range(len(members)))
        trains.append(Train(name, tuple(zip(members, batches, strict=True))))
    return tuple(trains)
