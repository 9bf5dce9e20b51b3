"""What failed and what it said, over the whole history that the archive holds."""

from collections.abc import Collection
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Select, case, literal, null

from archiver import schema
from archiver.failures import KINDS, FailureKind, failed_rows, template_of
from archiver.masking import MASKING_VERSION, template_id
from reports.columns import ALL_LABELS, FAILURES, LABELS, PLACE_LABELS, Contract, conform
from reports.naming import load_labels, load_names
from reports.reading import Reading
from reports.window import Window

_MADE = {"component", *LABELS}
_WRITTEN = ("template_id", "template")
_READ: Contract = {
    name: dtype for name, dtype in FAILURES.items() if name not in {*_MADE, *_WRITTEN, "message", "name_in_place"}
}
_CONTRACT: Contract = {**_READ, **dict.fromkeys(("message", "name_in_place", *_WRITTEN), "str")}


def load_failures(archive: Reading, window: Window, among: Collection[str] | None = None) -> pd.DataFrame:
    """Read FAILURES from one state of the archive: every failure that started before the window's end.

    `among` restricts it to some plans, by key.

    All of history is read, because whether a message is new can't be told from a window. Templates are those that the
    archiver wrote down by the rules of today; where it did not, they are made of the messages as it makes them. Of a
    message only so much is read as masking looks at, and of an attempt only where no template was written down.
    """
    failures = pd.concat([_failures(kind, archive, window, among) for kind in KINDS], ignore_index=True)
    failures = _with_templates(failures)
    failures = failures.merge(load_names(archive), on=["project_id", "component_id"], how="left")
    place = [name for name in PLACE_LABELS if name not in ALL_LABELS]
    labels = load_labels(archive, among)
    return conform(failures.merge(labels, on=place, how="left"), FAILURES)


def _failures(kind: FailureKind, archive: Reading, window: Window, among: Collection[str] | None) -> pd.DataFrame:
    table = kind.table
    columns: dict[str, ColumnElement[Any]] = {name: column for name, column in table.c.items() if name in _READ}
    columns["kind"] = literal(kind.name)
    columns["started_at"] = kind.started_at
    if table is schema.rollbacks:
        columns |= {"job_id": table.c.rollback_job_id, "version": null()}
    columns |= {name: schema.plans.c[name] for name in ("creator", "action")}
    query = failed_rows(kind, {name: columns[name] for name in _READ})
    query = query.where(kind.started_at < window.ends_at, archive.of_projects(table))
    return archive.facts(_with_written(query, kind), table.c.plan_key, _CONTRACT, among)


def _with_written(query: Select[Any], kind: FailureKind) -> Select[Any]:
    """Add the templates that are written down to a query of failures, and leave out the messages that say no more."""
    written, key = schema.failures, kind.table.primary_key.columns[0]
    is_its = (written.c.failure_key == literal(f"{kind.name}/").concat(key)) & (
        written.c.masking_version == MASKING_VERSION
    )
    *told, message, name = query.selected_columns
    if kind.table is not schema.rollbacks:
        message, name = (case((written.c.template.is_(None), column)).label(column.key) for column in (message, name))
    return query.outerjoin(written, is_its).with_only_columns(
        *told, message, name, *(written.c[column].label(column) for column in _WRITTEN)
    )


def _with_templates(failures: pd.DataFrame) -> pd.DataFrame:
    missing = failures[failures["template"].isna()]
    texts = missing[["message", "name_in_place"]].astype("object")
    texts = texts.where(texts.notna(), None)
    templates = [template_of(*pair) for pair in zip(texts["message"], texts["name_in_place"], strict=True)]
    ids = {template: template_id(template) for template in set(templates)}
    made = pd.DataFrame(
        {"template": templates, "template_id": [ids[template] for template in templates]},
        index=missing.index,
        dtype="str",
    )
    return failures.assign(**{name: failures[name].fillna(made[name]) for name in _WRITTEN})
