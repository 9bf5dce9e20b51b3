"""Explain: the rows behind one week's figures, in the numerator or below the line, and the bodies that prove them."""

from collections.abc import Mapping
from typing import Literal, get_args

import pandas as pd

from reports.batch_timing import finished_passes
from reports.columns import ALL_LABELS, Frames, spelt
from reports.delivery import is_change_failure, is_rework
from reports.errors import UsageError
from reports.groups import Selection, matching
from reports.passes import batch_places
from reports.releases import BATCH, PLACE, PLAN, releases_and_rollbacks, with_inferred_starts

Table = Literal["failure-rates", "rollbacks", "batch-timing", "delivery"]
Unit = Literal["attempt", "release"]
TABLES: tuple[str, ...] = get_args(Table)

_FINISHED = ("succeeded", "failed")
_PROOF = ["first_snapshot_id", "last_snapshot_id"]
_ROW = ["counts_in", "week", *PLAN, "plan_name", "component_id", "component", "batch"]

# The columns of each grain; `with_proofs` adds the run and hash of each snapshot, and if its body was pruned.
ATTEMPT_COLUMNS = [
    *(*_ROW, "attempt", "job_id", "version", "creator", "action", *ALL_LABELS, "job_status", "outcome"),
    *("started_at", "is_start_inferred", "ended_at", "duration_seconds", *_PROOF),
]
RELEASE_COLUMNS = [
    *(*_ROW, "attempts", "job_id", "version", "creator", "action", *ALL_LABELS, "job_status", "outcome"),
    *("started_at", "is_start_inferred", "ended_at", "rolled_back", "rollbacks", "rollbacks_failed"),
    *("recovery_seconds", "rollback_job_id", "rollback_outcome", "rollback_started_at", "rollback_ended_at"),
    *(*_PROOF, *(f"rollback_{name}" for name in _PROOF)),
]
BATCH_COLUMNS = [
    *("counts_in", "week", *PLAN, "plan_name", "batch", "creator", "action", *ALL_LABELS, "components", "failed"),
    *("started_at", "ended_at", "duration_seconds", "gap_seconds"),
    *(f"{end}_{name}" for end in ("opening", "closing") for name in ("component_id", "attempt", "job_id", *_PROOF)),
]


def explain(
    frames: Frames, selection: Selection, table: Table, *, unit: Unit | None = None, within_days: int | None = None
) -> pd.DataFrame:
    """Return a row for each attempt, release or batch that the table's figures count.

    Needs frames of PROVEN_ATTEMPTS and PROVEN_ROLLBACKS. `counts_in` says numerator (in both parts of the rate)
    or denominator (only below the line): the numerator rows are as many as the table's failed, rolled_back,
    change_failures or rework_attempts, and all rows as many as its finished, attempts or batches. Numerators
    come first, then by project, plan, component, batch and attempt.

    - failure-rates: finished attempts, the failed above the line; with unit release, finished releases.
    - rollbacks: finished releases, those rolled back above the line.
    - delivery: finished releases, the change failures above the line; with unit attempt, all attempts that
      started, the rework above the line.
    - batch-timing: finished batches. None is above another: all say numerator.

    A release's job and proof are those of its last attempt, which decides its outcome; its rollback is the
    first successful one, to which its recovery is measured, else the first. A batch shows the attempt that
    opened its first pass and the one that closed it. UsageError for a unit or `within_days` that the table
    doesn't have.
    """
    if within_days is not None and table != "rollbacks":
        raise UsageError(f"--within-days is not offered for {table}: only rollbacks counts by it")
    if unit is not None and table not in {"failure-rates", "delivery"}:
        raise UsageError(f"--unit is not offered for {table}: failure-rates and delivery have it")
    match table:
        case "batch-timing":
            return _batches(frames, selection)
        case "failure-rates" if unit != "release":
            attempts = _attempts(frames, selection)
            attempts = attempts[attempts["outcome"].isin(_FINISHED)]
            return _sorted(attempts, attempts["outcome"] == "failed", ATTEMPT_COLUMNS)
        case "delivery" if unit == "attempt":
            attempts = _attempts(frames, selection)
            return _sorted(attempts, is_rework(attempts), ATTEMPT_COLUMNS)
    releases = _releases(frames, selection, within_days)
    is_above = {
        "failure-rates": releases["outcome"] == "failed",
        "rollbacks": releases["rolled_back"] == 1,
        "delivery": is_change_failure(releases),
    }
    return _sorted(releases, is_above[table], RELEASE_COLUMNS)


def _attempts(frames: Frames, selection: Selection) -> pd.DataFrame:
    return matching(with_inferred_starts(frames.attempts), selection).rename(columns={"name": "plan_name"})


def _releases(frames: Frames, selection: Selection, within_days: int | None) -> pd.DataFrame:
    releases, held = releases_and_rollbacks(frames.attempts, frames.rollbacks, within_days=within_days)
    # Its first success, else its first: they come in order, and a stable sort keeps it.
    deciding = held.assign(is_other=held["outcome"] != "succeeded").sort_values("is_other", kind="stable")
    deciding = deciding.drop_duplicates("release").set_index("release")
    told = {"rollback_job_id": "rollback_job_id"}
    told |= {name: f"rollback_{name}" for name in ("outcome", "started_at", "ended_at", *_PROOF)}
    releases = releases.join(deciding[list(told)].rename(columns=told))
    last = frames.attempts.sort_values("attempt", kind="stable").drop_duplicates(PLACE, keep="last")
    last = last.rename(columns={"name": "plan_name"})[
        [*PLACE, "project_name", "plan_name", "job_id", "job_status", *_PROOF]
    ]
    releases = matching(releases.merge(last, on=PLACE, how="left"), selection)
    return releases[releases["outcome"].isin(_FINISHED)]


def _batches(frames: Frames, selection: Selection) -> pd.DataFrame:
    passes = finished_passes(frames, selection)
    places = batch_places(frames.attempts, frames.components)
    told = ["attempt", "job_id", *_PROOF]
    there = places[places["is_there"]].merge(frames.attempts[[*PLACE, *told]], on=[*PLACE, "attempt"], how="left")
    opening = there.sort_values(["started_at", "component_id"], kind="stable").drop_duplicates(BATCH)
    closing = there.sort_values(["ended_at", "component_id"], kind="stable").drop_duplicates(BATCH, keep="last")
    for end, attempts in (("opening", opening), ("closing", closing)):
        named = {name: f"{end}_{name}" for name in ("component_id", *told)}
        passes = passes.merge(attempts[[*BATCH, *named]].rename(columns=named), on=BATCH, how="left")
        passes[f"{end}_attempt"] = passes[f"{end}_attempt"].astype("int64")
    names = frames.attempts[[*PLAN, "name"]].drop_duplicates(PLAN).rename(columns={"name": "plan_name"})
    passes = passes.merge(names, on=PLAN, how="left").merge(_shared_project_names(frames), on=BATCH, how="left")
    return _sorted(passes, pd.Series(data=True, index=passes.index), BATCH_COLUMNS)


def _shared_project_names(frames: Frames) -> pd.DataFrame:
    """Return for each batch the project's name that all of its attempts have; missing where there is no such one."""
    named = frames.attempts.groupby(BATCH, dropna=False)["project_name"]
    different = named.nunique(dropna=False)
    return named.first().where(different == 1).astype("str").reset_index()


def _sorted(rows: pd.DataFrame, is_above: "pd.Series[bool]", columns: list[str]) -> pd.DataFrame:
    words = is_above.map({True: "numerator", False: "denominator"}).astype("str")
    order = ["is_below", *(name for name in (*PLAN, "component_id", "batch", "attempt") if name in columns)]
    rows = rows.assign(counts_in=words, is_below=~is_above.astype("bool"))
    return spelt(rows.sort_values(order, na_position="last", kind="stable", ignore_index=True)[columns])


def snapshot_ids(rows: pd.DataFrame) -> list[str]:
    """Return every snapshot that the rows name, once, sorted."""
    named = [rows[name].dropna() for name in rows.columns if name.endswith("snapshot_id")]
    return sorted(set().union(*named))


def with_proofs(rows: pd.DataFrame, bodies: pd.DataFrame) -> pd.DataFrame:
    """Add beside each snapshot id the run that first saw that body, its hash, and if it was pruned since.

    `first_snapshot_id` brings `first_run_id`, `first_sha256` (of the bytes as they came) and `is_first_pruned`;
    they are missing where there is no snapshot. `bodies` is a frame of BODIES.
    """
    known = bodies.set_index("snapshot_id")
    columns = {}
    for name in rows.columns:
        columns[name] = rows[name]
        if name.endswith("snapshot_id"):
            which = name.removesuffix("snapshot_id")
            columns[f"{which}run_id"] = rows[name].map(known["run_id"]).astype("str")
            columns[f"{which}sha256"] = rows[name].map(known["content_sha256"]).astype("str")
            columns[f"is_{which}pruned"] = rows[name].map(known["is_pruned"]).astype("boolean")
    return pd.DataFrame(columns)


# --- for people ---------------------------------------------------------------------------------------------

_READ: Mapping[str, str] = {
    "counts_in": "counts in",
    "project_id": "project_id",
    "plan_id": "plan",
    "component": "component",
    "batch": "batch",
    "attempt": "attempt",
    "job_id": "job",
    "outcome": "outcome",
    **{label: label for label in ALL_LABELS},
    "opening_component_id": "opened by",
    "closing_component_id": "closed by",
    "rollback_job_id": "rollback",
    "started_at": "started (UTC)",
    "duration_seconds": "duration_seconds",
    "gap_seconds": "gap_seconds",
    "recovery_seconds": "recovery_seconds",
    "last_run_id": "run",
    "last_snapshot_id": "snapshot",
    "last_sha256": "sha256",
    "closing_last_run_id": "run",
    "closing_last_snapshot_id": "snapshot",
    "closing_last_sha256": "sha256",
}
# How many characters of an id are shown: enough to find it by.
_SHOWN = {
    "plan": 12,
    "job": 12,
    "rollback": 12,
    "opened by": 12,
    "closed by": 12,
    "run": 15,
    "snapshot": 8,
    "sha256": 8,
}


def for_reading(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what a screen has room for: the row, and the body that last showed it; ids and hashes are cut.

    Needs rows that `with_proofs` completed.

    The project is left out where there is only one, a label where no row has it, a release's job where it has a
    rollback's to show.
    """
    columns = {}
    for name, head in _READ.items():
        if name not in rows or _is_needless(name, rows):
            continue
        values = rows[name]
        if name == "started_at":
            is_inferred = rows.get("is_start_inferred", pd.Series(data=False, index=rows.index))
            values = values.dt.strftime("%m-%d %H:%M") + is_inferred.map({True: " *", False: ""}).astype("str")
        elif head in _SHOWN:
            values = values.str[: _SHOWN[head]]
        if head == "sha256":
            is_pruned = rows[f"is_{name.removesuffix('sha256')}pruned"].fillna(value=False)
            values = values + is_pruned.map({True: " pruned", False: ""}).astype("str")
        columns[head] = values
    return pd.DataFrame(columns)


def _is_needless(name: str, rows: pd.DataFrame) -> bool:
    if name in ALL_LABELS:
        return bool(rows[name].isna().all())
    return (name == "project_id" and rows[name].nunique() < 2) or (name == "job_id" and "attempts" in rows)
