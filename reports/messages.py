"""What failed and what it said, over the whole history that the archive holds."""

from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, literal, null

from archiver import schema
from archiver.failures import KINDS, FailureKind, failed_rows, template_of
from archiver.masking import template_id
from reports.columns import ALL_LABELS, FAILURES, LABELS, PLACE_LABELS, Contract, conform
from reports.naming import load_labels, load_names
from reports.reading import Reading
from reports.window import Window

_MADE = {"component", "template_id", "template", *LABELS}
_READ: Contract = {name: dtype for name, dtype in FAILURES.items() if name not in _MADE | {"message"}}
_MESSAGE = ("message", "name_in_place")
_CONTRACT: Contract = {**_READ, **dict.fromkeys(_MESSAGE, "str")}


def load_failures(archive: Reading, window: Window) -> pd.DataFrame:
    """Read FAILURES from one state of the archive: every failure that started before the window's end.

    All of history is read, because whether a message is new can't be told from a window. Of a message only so much
    is read as masking looks at. Templates are made of the messages, as the archiver makes those that it writes down.
    """
    failures = pd.concat([_failures(kind, archive, window) for kind in KINDS], ignore_index=True)
    failures = _with_templates(failures)
    failures = failures.merge(load_names(archive), on=["project_id", "component_id"], how="left")
    place = [name for name in PLACE_LABELS if name not in ALL_LABELS]
    labels = load_labels(archive)
    return conform(failures.merge(labels, on=place, how="left"), FAILURES)


def _failures(kind: FailureKind, archive: Reading, window: Window) -> pd.DataFrame:
    table = kind.table
    columns: dict[str, ColumnElement[Any]] = {name: column for name, column in table.c.items() if name in _READ}
    columns["kind"] = literal(kind.name)
    columns["started_at"] = kind.started_at
    if table is schema.rollbacks:
        columns |= {"job_id": table.c.rollback_job_id, "version": null()}
    columns |= {name: schema.plans.c[name] for name in ("creator", "action")}
    query = failed_rows(kind, {name: columns[name] for name in _READ})
    query = query.where(kind.started_at < window.ends_at, archive.of_projects(table))
    return archive.facts(query, table.c.plan_key, _CONTRACT)


def _with_templates(failures: pd.DataFrame) -> pd.DataFrame:
    texts = failures[[*_MESSAGE]].astype("object")
    texts = texts.where(texts.notna(), None)
    templates = [template_of(*pair) for pair in zip(texts["message"], texts["name_in_place"], strict=True)]
    ids = {template: template_id(template) for template in set(templates)}
    return failures.assign(template=templates, template_id=[ids[template] for template in templates])
