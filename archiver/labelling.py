"""The labels in the archive: rules kept, and the labels of every place made to follow them."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, delete, select

from archiver.labels import CONDITIONS, LABELS, Labeller, LabelRule
from archiver.mapping import Row, key_of
from archiver.schema import component_labels, components, label_rules, plans
from archiver.writing import upsert

_ROWS_AT_ONCE = 10_000
_CONDITION_COLUMNS = dict(zip(CONDITIONS, ("project_id", "plan_glob", "component_glob"), strict=True))


@dataclass(slots=True)
class Labelled:
    """What the rules come to: places looked at, by label how many have which value (None: unlabelled), and more.

    `changed` places had other labels before; `bare` ones have no label at all; `idle` rules, by number, match nothing.
    """

    places: int = 0
    bare: int = 0
    changed: int = 0
    counts: dict[str, Counter[str | None]] = field(default_factory=lambda: {label: Counter() for label in LABELS})
    idle: list[tuple[int, LabelRule]] = field(default_factory=list)


def apply_rules(connection: Connection, rules: Sequence[LabelRule], now: datetime, *, writes: bool = True) -> Labelled:
    """Replace the rules and label every place by them, within the caller's transaction; without `writes` only tell.

    Rules that are in force already are left as they are, with the time they were applied.
    """
    if writes and rules != load_rules(connection):
        connection.execute(delete(label_rules))
        upsert(connection, label_rules, [_rule_row(position, rule, now) for position, rule in enumerate(rules, 1)])
    labeller = Labeller(rules)
    found = _label(connection, labeller, writes=writes)
    found.idle = list(labeller.idle_rules())
    return found


def label_plans(connection: Connection, plan_keys: Collection[str]) -> None:
    """Label the places of some plans by the rules in force: of new ones, and of those that have other names now.

    Writes what changed alone. Without rules there is no label to give, or to take away.
    """
    if plan_keys and (rules := load_rules(connection)):
        _label(connection, Labeller(rules), plan_keys)


def unlike_rules(connection: Connection) -> int:
    """Count the places whose labels are not those that the rules in force give."""
    return _label(connection, Labeller(load_rules(connection)), writes=False).changed


def load_rules(connection: Connection) -> list[LabelRule]:
    """Load the rules in force, in their order."""
    return [
        LabelRule(
            **{condition: row[column] for condition, column in _CONDITION_COLUMNS.items()},
            labels={label: row[label] for label in LABELS if row[label] is not None},
        )
        for row in connection.execute(select(label_rules).order_by(label_rules.c.position)).mappings()
    ]


def _rule_row(position: int, rule: LabelRule, now: datetime) -> Row:
    conditions = {column: getattr(rule, condition) for condition, column in _CONDITION_COLUMNS.items()}
    labels = {label: rule.labels.get(label) for label in LABELS}
    return {"label_rule_key": key_of(position), "position": position, "applied_at": now} | conditions | labels


def _label(
    connection: Connection, labeller: Labeller, plan_keys: Collection[str] | None = None, *, writes: bool = True
) -> Labelled:
    """Compare the labels of the places of some plans, of all for None, with the rules; write those that differ."""
    query = (
        select(
            components.c.component_key,
            components.c.project_id,
            plans.c.name.label("plan_name"),
            components.c.name.label("component_name"),
            *(component_labels.c[label] for label in LABELS),
        )
        .join(plans, plans.c.plan_key == components.c.plan_key)
        .outerjoin(component_labels, component_labels.c.component_key == components.c.component_key)
    )
    if plan_keys is not None:
        query = query.where(components.c.plan_key.in_(list(plan_keys)))
    found = Labelled()
    changed: list[Row] = []
    bared: list[str] = []
    for row in connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)).mappings():
        labels = labeller.labels_of(row["project_id"], row["plan_name"], row["component_name"])
        is_bare = not any(labels.values())
        found.places += 1
        found.bare += is_bare
        for label, value in labels.items():
            found.counts[label][value] += 1
        if all(row[label] == value for label, value in labels.items()):
            continue
        if is_bare:
            bared.append(row["component_key"])
        else:
            changed.append({"component_key": row["component_key"], **labels})
    found.changed = len(changed) + len(bared)
    if writes:
        upsert(connection, component_labels, changed)
        drop_labels(connection, bared)
    return found


def drop_labels(connection: Connection, component_keys: Sequence[str]) -> None:
    """Take the labels of some places away."""
    for start in range(0, len(component_keys), _ROWS_AT_ONCE):
        some = component_keys[start : start + _ROWS_AT_ONCE]
        connection.execute(delete(component_labels).where(component_labels.c.component_key.in_(some)))
