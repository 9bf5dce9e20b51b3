"""What stands above everything else when a report went out before its week was all in."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from reports.window import Week

_MOST_NAMED = 3


def banner(
    week: Week, as_of: datetime | None, looked_at: Mapping[str, datetime], projects: Sequence[str]
) -> str | None:
    """Return the sentence that a report of a week needs above it, known as of the newest run's end; None if none.

    A report waits for the night that ends its week, but not for ever. Where no run ended after the week did,
    that night was not archived, and what happened since the newest run is not in the report. Of several projects
    each must have been looked at: `projects` are those that had a night in the week, and `looked_at` says when the
    newest run of each ended that was complete or partial.
    """
    if as_of is None or as_of < week.ends_at:
        known = "no run has ended yet" if as_of is None else f"the newest run ended at {_minute(as_of)}"
        return f"The night that ends this week was not archived: {known}. What happened since is not in this report."
    late = [project for project in projects if project not in looked_at or looked_at[project] < week.ends_at]
    if not late:
        return None
    of_all = "project" if len(projects) == 1 else f"{len(late):,} of {len(projects):,} projects"
    named = "; ".join(
        f"{project}, last archived {_minute(looked_at[project])}" if project in looked_at else f"{project}, never"
        for project in late[:_MOST_NAMED]
    )
    more = f"; and {len(late) - _MOST_NAMED:,} more" if len(late) > _MOST_NAMED else ""
    return (
        f"The night that ends this week was not archived of {of_all} ({named}{more}). "
        "What happened there since is not in this report."
    )


def _minute(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"
