"""What a figure is marked with before people see it: too few to say, or not collected."""

from collections.abc import Mapping

import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from reports.comparisons import TOO_FEW
from reports.groups import GROUP_COLUMNS

TOO_FEW_TO_SAY = "too few to say"
NOT_COLLECTED = "not collected"
UNKNOWN = "?"

# The count that each rate is of, where a table has it.
_OF: Mapping[str, str] = {
    **dict.fromkeys(("failure_rate", "rollback_rate", "change_failure_rate", "flaky_rate", "rate"), "finished"),
    **dict.fromkeys(("failure_rate_before", "rate_before"), "finished_before"),
    **dict.fromkeys(("surfaced_rate", "survival_rate"), "at_risk"),
    **dict.fromkeys(("shipped_before_p50_rate", "shipped_before_mean_rate"), "surfaced"),
    **dict.fromkeys(("shipped_beside_mean_rate", "started_mean_rate"), "surfaced"),
    "rework_rate": "attempts",
}
_NIGHTS = {"nights_planned", "nights_done"}
_GROUPS = {column for columns in GROUP_COLUMNS.values() for column in columns}


def is_few(table: pd.DataFrame, rate: str) -> "pd.Series[bool]":
    """Say which rows have a rate that is of so few that it can't be quoted."""
    count = _OF.get(rate)
    if count not in table:
        return pd.Series(data=False, index=table.index)
    return table[rate].notna() & (table[count] < TOO_FEW)


def is_uncollected(table: pd.DataFrame) -> "pd.Series[bool]":
    """Say which rows are of a time of which no night was archived and nothing is known: their 0 is no count.

    Needs `coverage`; what was seen of such a time on later nights is counted, and no such row.
    """
    counts = [
        name
        for name in table
        if name not in _NIGHTS | _GROUPS and is_numeric_dtype(table[name]) and not is_bool_dtype(table[name])
    ]
    if "coverage" not in table or not counts:
        return pd.Series(data=False, index=table.index)
    return (table["coverage"] == "none") & (table[counts].fillna(0) == 0).all(axis=1)
