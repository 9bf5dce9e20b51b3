"""The frame contracts: which columns each frame has, of which dtype, and what a row is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

INSTANT = "datetime64[ms, UTC]"
WORDS = "category"  # text that says the same few words again and again, in their alphabetical order
# What may be asked for by `--by` and `--where`; a project's name only says what `project` groups by.
LABELS = ("team", "environment", "tier")
ALL_LABELS = ("project_name", *LABELS)

# What rows of attempts may be grouped by, and nothing else is made of.
GROUPED = ("component", "version", "creator", "action", *LABELS)

Contract = Mapping[str, str]

# A row is one plan that attempts are of.
PLANS: Contract = {
    "plan_key": WORDS,
    "project_id": WORDS,
    "plan_id": WORDS,
    "name": "str",
    "executed_at": INSTANT,
    "creator": WORDS,
    "action": WORDS,
}

# A row is any plan, of which there may be many; whether a window touches it.
KEYS: Contract = {"plan_key": "str", "is_touched": "bool"}

# A row is one deployment of a component in a plan, beside what is grouped by. `component` is the
# component's latest name, `attempt` its rank within (project, plan, component, batch).
ATTEMPTS: Contract = {
    "project_id": WORDS,
    "plan_id": WORDS,
    "component_id": WORDS,
    "batch": "Int64",
    "component": WORDS,
    "job_id": "str",
    "attempt": "int64",
    "version": WORDS,
    "outcome": WORDS,
    "started_at": INSTANT,
    "ended_at": INSTANT,
    "duration_seconds": "float64",
    "first_seen_at": INSTANT,
    "executed_at": INSTANT,
    "creator": WORDS,
    "action": WORDS,
    "team": WORDS,
    "environment": WORDS,
    "tier": WORDS,
}

_SHARED = ("project_id", "plan_id", "component_id")

# A row is the labels of one component's place; a place without any has none.
PLACE_LABELS: Contract = {
    "project_id": WORDS,
    "plan_id": WORDS,
    "component_id": WORDS,
    "batch": "Int64",
    **dict.fromkeys(ALL_LABELS, WORDS),
}

# What proves a row: the bodies that first and last showed it.
PROOF: Contract = {"first_snapshot_id": "str", "last_snapshot_id": "str"}

# An attempt beside its project's and its plan's name, the vendor's word on it, and its proof.
PROVEN_ATTEMPTS: Contract = {**ATTEMPTS, "project_name": WORDS, "name": "str", "job_status": "str", **PROOF}

# A row is one rollback job of a component in a plan.
ROLLBACKS: Contract = {
    "project_id": WORDS,
    "plan_id": WORDS,
    "component_id": WORDS,
    "batch": "Int64",
    "rollback_job_id": "str",
    "job_id": "str",
    "outcome": WORDS,
    "started_at": INSTANT,
    "ended_at": INSTANT,
    "first_seen_at": INSTANT,
}

PROVEN_ROLLBACKS: Contract = {**ROLLBACKS, **PROOF}

# A row is one body as the archive holds it: the run that first saw it, and the hash of its bytes.
BODIES: Contract = {"snapshot_id": "str", "run_id": "str", "content_sha256": "str", "is_pruned": "bool"}

# A row is a component's place in a plan: (project, plan, component, batch).
COMPONENTS: Contract = {
    "project_id": WORDS,
    "plan_id": WORDS,
    "component_id": WORDS,
    "batch": "Int64",
    "first_seen_at": INSTANT,
    "gone_at": INSTANT,
}

# A row is one failed attempt or failed rollback (`kind`), with what it said; `job_id` is the rollback's own job there.
# `started_at` is real, or else the plan's `executed_at` (of an attempt), or else `first_seen_at`.
FAILURES: Contract = {
    "kind": "str",
    "project_id": "str",
    "plan_id": "str",
    "component_id": "str",
    "batch": "Int64",
    "component": "str",
    "job_id": "str",
    "version": "str",
    "started_at": INSTANT,
    "ended_at": INSTANT,
    "message": "str",
    "template_id": "str",
    "template": "str",
    "creator": "str",
    "action": "str",
    "team": "str",
    "environment": "str",
    "tier": "str",
}

# A row is one night that fell due for one project.
NIGHTS: Contract = {"project_id": "str", "night_date": "datetime64[s]", "state": "str"}

# A row is one night that fell due for one project, with the run that served it.
NIGHT_RUNS: Contract = {
    "night_date": "datetime64[s]",
    "project_id": "str",
    "state": "str",
    "run_id": "str",
    "outcome": "str",
    "started_at": INSTANT,
    "ended_at": INSTANT,
    "plans_listed": "Int64",
    "plans_fetched": "Int64",
    "plans_failed": "Int64",
}

# A row is one project that was looked at, and when the newest run ended that did.
LOOKS: Contract = {"project_id": "str", "ended_at": INSTANT}

# A row is one attempt or rollback of a plan of which something was learnt since an instant, as known at one time.
# `week_at` decides its week: an attempt's start, real or inferred; for a rollback that of the release it undid.
# `first_run_kind` and `last_run_kind` are the kinds of the runs that brought its first and its last body.
CHANGED_FACTS: Contract = {
    "subject": "str",
    "fact_key": "str",
    "project_id": "str",
    "plan_id": "str",
    "component_id": "str",
    "component": "str",
    "batch": "Int64",
    "job_id": "str",
    "version": "str",
    "outcome": "str",
    "started_at": INSTANT,
    "ended_at": INSTANT,
    "week_at": INSTANT,
    "first_run_kind": "str",
    "last_run_kind": "str",
}

# A row is one thing that a check of the archive's quality counts, when it counts.
FINDINGS: Contract = {"project_id": "str", "check": "str", "found_at": INSTANT}

# A row is one change of a plan's own status.
PLAN_CHANGES: Contract = {
    "project_id": "str",
    "plan_id": "str",
    "run_id": "str",
    "observed_at": INSTANT,
    "is_unsettled": "bool",
}

# A row is one run that is no import; `is_observing` if it ended complete or partial.
OBSERVING_RUNS: Contract = {"project_id": "str", "run_id": "str", "started_at": INSTANT, "is_observing": "bool"}

# A row is one plan that a run could not archive.
PLANS_MISSED: Contract = {"run_id": "str", "plan_id": "str"}

# A row is one plan that failed alike, with the same stage and error code, in at least three nights in a row.
KNOWN_FAILURES: Contract = {
    "project_id": "str",
    "plan_id": "str",
    "stage": "str",
    "error_code": "str",
    "since_night": "str",
    "nights_count": "int64",
    "message": "str",
}


def conform(frame: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """Give a frame the contract's columns, in its order and with its dtypes, whatever the database sent.

    Text times, all-missing columns and integers with gaps all come out alike. A missing column is a KeyError.
    """
    return pd.DataFrame({name: typed(frame[name], dtype) for name, dtype in contract.items()}, copy=False)


def typed(values: pd.Series, dtype: str) -> pd.Series:
    """Give a column the dtype of a contract."""
    if dtype == INSTANT:
        if values.dtype == dtype:
            return values
        return pd.to_datetime(values, utc=True, format="ISO8601").dt.as_unit("ms")
    if dtype == "datetime64[s]":
        return pd.to_datetime(values).dt.as_unit("s")
    if dtype == WORDS:
        return _as_words(values)
    if dtype == "Int64" and values.dtype != dtype:
        return pd.Series(pd.array(values.to_list(), dtype="Int64"), index=values.index)
    column: pd.Series = values.astype(dtype)  # type: ignore[call-overload] # the stubs want a literal
    return column


def _as_words(values: pd.Series) -> pd.Series:
    """Sort a column's words, so that it sorts as text does, and leave out those that no row says."""
    if isinstance(values.dtype, pd.CategoricalDtype) and values.cat.categories.is_monotonic_increasing:
        return values
    codes, words = pd.factorize(values.astype("str"), sort=True)
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(words, dtype="str")), index=values.index)


def spelt(rows: pd.DataFrame) -> pd.DataFrame:
    """Write the words of rows out as text, as tables have it."""
    words = [name for name, dtype in rows.dtypes.items() if isinstance(dtype, pd.CategoricalDtype)]
    return rows.astype(dict.fromkeys(words, "str"))


def stacked(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put the rows of frames of the same columns one after the other; their words stay words, in common."""
    words = [name for name, dtype in frames[0].dtypes.items() if isinstance(dtype, pd.CategoricalDtype)]
    joined = {
        name: union_categoricals([frame[name] for frame in frames], sort_categories=True)
        if name in words
        else pd.concat([frame[name] for frame in frames], ignore_index=True)
        for name in frames[0].columns
    }
    return pd.DataFrame(joined, copy=False)


def nothing(count: int) -> pd.Categorical:
    """Return the words of a column that is missing in so many rows."""
    return pd.Categorical.from_codes(np.full(count, -1, dtype="int8"), pd.Index([], dtype="str"))


def empty(contract: Contract) -> pd.DataFrame:
    """Return a frame of no rows."""
    return conform(pd.DataFrame({name: pd.Series([], dtype="object") for name in contract}), contract)


@dataclass(frozen=True)
class Frames:
    """What the archive knows of a window: every attempt, rollback and component of the plans it touches.

    `last_run_ended_at` is when the newest run ended: what the archive can know at all. `looked_at` is, by project, when
    its newest run ended that looked and brought something home: complete or partial, and no import.
    The frames of the facts have their words in common, so that they are merged by the places of these.
    """

    attempts: pd.DataFrame = field(default_factory=lambda: empty(ATTEMPTS))
    rollbacks: pd.DataFrame = field(default_factory=lambda: empty(ROLLBACKS))
    components: pd.DataFrame = field(default_factory=lambda: empty(COMPONENTS))
    nights: pd.DataFrame = field(default_factory=lambda: empty(NIGHTS))
    last_run_ended_at: datetime | None = None
    looked_at: Mapping[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Give the columns that say where a fact belongs the same words in each frame."""
        names = ("attempts", "rollbacks", "components")
        facts: dict[str, pd.DataFrame] = {name: getattr(self, name) for name in names}
        for column in _SHARED:
            known = [frame[column].cat.categories for frame in facts.values()]
            words = reduce(lambda some, more: some if more.equals(some) else some.union(more), known)
            for name, frame in facts.items():
                if not frame[column].cat.categories.equals(words):
                    facts[name] = frame.assign(**{column: frame[column].cat.set_categories(words)})
        for name, frame in facts.items():
            object.__setattr__(self, name, frame)
