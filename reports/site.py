"""The site over all weeks that the archive knows, made of one reading of it beside the weekly reports themselves."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

import pandas as pd

from archiver.issued import load_issued_weeks
from archiver.settings import Settings
from reports.columns import Frames
from reports.component_page import component_files
from reports.components import component_stories
from reports.delivery import delivery
from reports.failure_rates import failure_rates
from reports.frames import frames_of
from reports.groups import Selection
from reports.issuing import weekly_of
from reports.messages import load_failures
from reports.page import Site, charts_of, weekly_pages
from reports.reading import opened, reading
from reports.releases import PLAN, with_inferred_starts
from reports.rollbacks import rollback_rates
from reports.site_pages import About, WeekLine, render_index, render_metrics
from reports.span_frames import load_first_day
from reports.tables import records
from reports.verdict import Verdict
from reports.weekly import WEEKS, weekly_window
from reports.window import Week, Window, monday_of

_ONE_WEEK = timedelta(days=7)
# A stretch of weeks of which nothing is known gets pages only if a report's window could reach over it: an import
# of one old plan, or an impossible time, would else make a thousand empty pages.
_LONGEST_GAP = 13


def site_files(
    settings: Settings,
    today: date,
    projects: Sequence[str] | None = None,
    as_of: datetime | None = None,
    weeks: int | None = None,
) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every page: of the last `weeks` whole weeks before `today`, by default of all.

    The same archive gives the same pages. DatabaseError if it can't be read, or no longer tells what was known then.
    """
    zone = ZoneInfo(settings.timezone)
    judged: dict[str, tuple[str, Verdict]] = {}
    with opened(settings) as engine, reading(engine, projects, as_of) as archive:
        window = _window(load_first_day(archive, zone), today, weeks, zone)
        # The first report looks back beyond the first week that is asked for.
        before = WEEKS - 1 if window.weeks else 0
        whole = Window.between(window.since_date - before * _ONE_WEEK, window.until_date, zone)
        every, failures = frames_of(archive, whole), load_failures(archive, whole)
        issued = load_issued_weeks(archive.stored, zone=zone.key, projects=projects, as_of=as_of)
        known = _known(every, window)
        beside = Site("../index.html", {week.label: f"weekly-{week.label}.html" for week in known})
        for week in known:
            seen = weekly_window(week.start_date, zone)
            told = failures[failures["started_at"] < seen.ends_at]
            report = weekly_of(settings, engine, archive, week.start_date, within(every, seen), told)
            judged[week.label] = report.result, report.verdict
            for name, text in weekly_pages(report, charts_of(report), beside):
                yield f"weeks/{name}", text
    frames = within(every, window)
    last_week = window.weeks[-1].label if window.weeks else None
    about = About(zone.key, projects, frames.last_run_ended_at, last_week)
    lines = _lines(frames, window, judged, issued, settings.recheck_days)
    pages = {line.label: f"../{line.href}" for line in lines if line.href is not None}
    stories = list(component_stories(frames, failures, window, recheck_days=settings.recheck_days))
    for story in stories:
        for name, text in component_files(about, story, window, pages):
            yield f"components/{name}", text
    yield "metrics.html", render_metrics(about)
    # Last, so that it never links to what isn't there yet.
    yield "index.html", render_index(about, lines, stories)


def _window(first: date | None, today: date, weeks: int | None, zone: ZoneInfo) -> Window:
    """Return the whole weeks before today's from the first day's on; none for an empty archive."""
    end = monday_of(today)
    begin = end if first is None else min(monday_of(first), end)
    if weeks is not None:
        begin = max(begin, end - weeks * _ONE_WEEK)
    return Window.between(begin, end, zone)


def _known(frames: Frames, window: Window) -> list[Week]:
    """Return the weeks with an attempt or a planned night, and those in the short gaps between them."""
    starts = with_inferred_starts(frames.attempts)["started_at"]
    nights = frames.nights["night_date"].dt.strftime("%G-W%V")
    labels = {*window.week_of(starts).dropna(), *nights}
    places = [place for place, week in enumerate(window.weeks) if week.label in labels]
    # The end of the window is known too: what followed the last known week is no gap in the past.
    known: list[Week] = []
    for place, after in pairwise([*places, len(window.weeks)]):
        is_short = after - place - 1 <= _LONGEST_GAP
        known += window.weeks[place : after if is_short else place + 1]
    return known


def _lines(
    frames: Frames,
    window: Window,
    judged: Mapping[str, tuple[str, Verdict]],
    issued: Mapping[str, datetime],
    recheck_days: int,
) -> list[WeekLine]:
    """Return the lines of the index, the newest first; `judged` are the result and the verdict of each week's page."""
    weekly = Selection(window)
    undone = rollback_rates(frames, weekly, as_of=frames.last_run_ended_at, recheck_days=recheck_days)
    told = [
        {row["week"]: row for row in records(table)}
        for table in (failure_rates(frames, weekly), undone, delivery(frames, weekly))
    ]
    lines: list[WeekLine] = []
    for is_known, stretch in groupby(window.weeks, key=lambda week: week.label in judged):
        if not is_known:
            lines.append(_stretch(list(stretch)))
            continue
        for week in stretch:
            result, verdict = judged[week.label]
            failures, rollbacks, shipped = (rows[week.label] for rows in told)
            lines.append(
                WeekLine(
                    label=week.label,
                    start_date=week.start_date,
                    last_date=week.start_date + timedelta(days=6),
                    result=result,
                    verdict=verdict.word,
                    is_provisional=verdict.is_provisional,
                    failures=failures,
                    rollbacks=rollbacks,
                    delivery=shipped,
                    issued_at=issued.get(week.label),
                )
            )
    return lines[::-1]


def _stretch(weeks: Sequence[Week]) -> WeekLine:
    first, last = weeks[0], weeks[-1]
    label = first.label if len(weeks) == 1 else f"{first.label} to {last.label}"
    return WeekLine(label=label, start_date=first.start_date, last_date=last.start_date + timedelta(days=6))


def within(frames: Frames, window: Window) -> Frames:
    """Return of frames over a longer time what a report on the window needs, as if it alone had been read.

    Of the names of components the newest stay, as the archive knows them now.
    """
    starts = with_inferred_starts(frames.attempts)["started_at"]
    touched = frames.attempts.loc[window.week_of(starts).notna(), PLAN].drop_duplicates()

    def of_touched(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.merge(touched, on=PLAN)

    return Frames(
        attempts=of_touched(frames.attempts),
        rollbacks=of_touched(frames.rollbacks),
        components=of_touched(frames.components),
        nights=frames.nights,
        last_run_ended_at=frames.last_run_ended_at,
        looked_at=frames.looked_at,
    )
