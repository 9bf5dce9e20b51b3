"""Pages for the browser: an ordinary week, one of hostile names, and those of little, much and odd."""

from datetime import UTC, date, datetime, timedelta
from functools import cache

import pandas as pd
from hostile import HOSTILE
from report_builders import UTC_ZONE, at, attempt, failure, failures, frames, night, rollback

from reports.columns import NIGHT_RUNS, conform
from reports.component_page import component_files
from reports.components import component_stories
from reports.page import charts_of, render_page, weekly_pages
from reports.site_pages import About
from reports.weekly import weekly_report, weekly_window

MONDAY = date(2026, 11, 16)
NIGHTS = [night(str(MONDAY - timedelta(weeks=back, days=-day))) for back in range(20) for day in range(7)]


def _archive(attempts, rollbacks=(), nights=NIGHTS):
    return frames(attempts, rollbacks, nights=nights, last_run_ended_at=datetime(2026, 11, 24, tzinfo=UTC))


def page_of(*attempts, **about):
    """Return the page of the week that begins on `monday`: 2026-W47."""
    return next(iter(files_of(*attempts, **about).values()))


def files_of(*attempts, nights=NIGHTS, rollbacks=(), said=()):
    """Return the page, first, and the lists beside it, by their names."""
    archive = _archive(attempts, rollbacks, nights)
    report = weekly_report(archive, MONDAY, UTC_ZONE, recheck_days=14, failures=failures(*said))
    return dict(weekly_pages(report, charts_of(report)))


def component_page_of(*attempts, **about):
    """Return the site's page of the first component by name."""
    return next(iter(component_files_of(*attempts, **about).values()))


def component_files_of(*attempts, rollbacks=(), said=()):
    """Return that page, first, and the lists beside it, by their names."""
    archive, window = _archive(attempts, rollbacks), weekly_window(MONDAY, UTC_ZONE)
    story = next(component_stories(archive, failures(*said), window, recheck_days=14))
    return dict(component_files(About("UTC", None, archive.last_run_ended_at, "2026-W47"), story, window, {}))


def _times(component_count, week_count, plans_a_week):
    for week in range(week_count):
        for plan in range(plans_a_week):
            for component in range(component_count):
                day = MONDAY - timedelta(weeks=week, days=-(plan % 7))
                is_failed = (plan + component + week) % 6 == 0
                yield attempt(
                    "failed" if is_failed else "succeeded",
                    f"{day} {8 + plan % 12:02}:{component % 60:02}",
                    component_id=f"svc-{component:03}",
                    plan_id=f"w{week}-plan-{plan}",
                    batch=1 + component % 3,
                    seconds=60.0 + 7 * component + plan,
                )


@cache
def ordinary():
    """Return the page of a week in a row of twelve, with failures, rollbacks and messages."""
    undone = [
        rollback("failed" if plan == 0 else "succeeded", plan_id=f"w0-plan-{plan}", component_id="svc-001", batch=2)
        for plan in range(3)
    ]
    said = [failure("exit code 1", component_id="svc-000"), failure("image not found: v1", kind="rollback", job_id="r")]
    return page_of(*_times(6, 12, 10), rollbacks=undone, said=said)


@cache
def of_missed_nights():
    """Return a page of two weeks of nights, of the first of which two were missed."""
    days = [MONDAY + timedelta(days=day) for day in range(-7, 7)]
    states = ["missed" if number in (2, 4) else "done" for number in range(14)]
    nights = [night(str(day), state) for day, state in zip(days, states, strict=True)]
    columns = {"night_date": days, "state": states, "project_id": "p", "run_id": "r"}
    runs = conform(pd.DataFrame(columns).reindex(columns=list(NIGHT_RUNS)), NIGHT_RUNS)
    archive = frames([attempt(), attempt(start="2026-11-09 10:00")], nights=nights)
    report = weekly_report(archive, MONDAY, UTC_ZONE, recheck_days=14, night_runs=runs)
    return render_page(report, charts_of(report))


@cache
def of_a_component():
    """Return the page of a component with 240 releases in twelve weeks, some of which failed or were rolled back."""
    said = [
        failure(plan_id=f"w{week}-plan-0", component_id="svc-000", start=f"{MONDAY - timedelta(weeks=week)} 08:00")
        for week in (0, 6)
    ]
    undone = [
        rollback(plan_id=f"w{week}-plan-1", component_id="svc-000", rollback_job_id=f"{week}") for week in range(12)
    ]
    return component_page_of(*_times(1, 12, 20), rollbacks=undone, said=said)


@cache
def half_a_year():
    """Return the page of 26 weeks of 1,600 releases, in plans of 10; each has a version of its own."""
    return page_of(
        *(
            attempt(
                "failed" if number % 17 == 0 else "succeeded",
                str(at(f"{MONDAY} 00:00") - timedelta(weeks=week) + timedelta(minutes=6 * number))[:16],
                plan_id=f"{week:03}-{number // 10:03}",
                component_id=f"svc-{number % 200:03}",
                version=f"2026.{(week * 1600 + number) * 7_919 % 100_003}",
                batch=1 + number % 10 // 3,
            )
            for week in range(26)
            for number in range(1600)
        )
    )


@cache
def hostile():
    """Return the page of a week in which every name and message means harm."""
    attempts = [
        attempt("failed", component_id=text, component=text, plan_id=f"{text}{number}", project_id=text, version=text)
        for number, text in enumerate(HOSTILE)
        for _ in range(2)
    ]
    attempts += [
        attempt("failed", "2026-11-09 10:00", component_id=text, component=text, plan_id=f"old {text}", version=text)
        for text in HOSTILE
    ]
    said = [failure(text, component_id=text, component=text, job_id=text) for text in HOSTILE]
    undone = [failure(text, kind="rollback", component_id=text, component=text, job_id=text) for text in HOSTILE]
    return page_of(*attempts, said=[*said, *undone])


@cache
def of_a_hostile_component():
    """Return the page of a component whose name, plans, versions and messages mean harm."""
    name = min(HOSTILE)
    mine = {"component_id": name, "component": name, "project_id": name}
    attempts = [attempt("failed", plan_id=text, version=text, **mine) for text in HOSTILE * 5]
    undone = [
        rollback("failed", plan_id=text, rollback_job_id=text, component_id=name, project_id=name) for text in HOSTILE
    ]
    said = [failure(text, plan_id=text, **mine) for text in HOSTILE]
    return component_page_of(*attempts, rollbacks=undone, said=said)


def one_with_a_foreign_style():
    """Return a page into which someone has put a style of theirs."""
    return ordinary().replace("<body>", "<body><style>h1 { color: rgb(1, 2, 3); }</style>", 1)


@cache
def odd(name):
    """Return a page of little, of much, or of what can't be."""
    return {
        "an empty archive": lambda: page_of(nights=[]),
        "a week without releases": page_of,
        "one release": lambda: page_of(attempt()),
        "all failed": lambda: page_of(*[attempt("failed", plan_id=str(number)) for number in range(20)]),
        "impossible times": lambda: page_of(
            attempt(seconds=None),
            attempt(component_id="b", seconds=60 * 60 * 24 * 30),
            attempt(component_id="c", start=None),
        ),
        "two hundred components": lambda: page_of(*_times(200, 13, 2)),
    }[name]()


ODD = (
    *("an empty archive", "a week without releases", "one release"),
    *("all failed", "impossible times", "two hundred components"),
)
