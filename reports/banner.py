"""What stands above everything else when a report went out before its week was all in."""

from datetime import datetime

from reports.window import Week


def banner(week: Week, as_of: datetime | None) -> str | None:
    """Return the sentence that a report of a week needs above it, known as of the newest run's end; None if none.

    A report waits for the night that ends its week, but not for ever. Where no run ended after the week did,
    that night was not archived, and what happened since the newest run is not in the report.
    """
    if as_of is not None and as_of >= week.ends_at:
        return None
    known = "no run has ended yet" if as_of is None else f"the newest run ended at {as_of:%Y-%m-%d %H:%M} UTC"
    return f"The night that ends this week was not archived: {known}. What happened since is not in this report."
