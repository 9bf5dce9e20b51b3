"""The banner: a report that went out before every project's last night was in says so, and names the project."""

from datetime import date

import pytest
from report_builders import UTC_ZONE, at, attempt, frames, night, run, save, week_47

from reports.banner import banner
from reports.frames import load_frames
from reports.mail import mail_body, message_text
from reports.page import render_page
from reports.weekly import weekly_report

WEEK = week_47().weeks[-1]
SATURDAY, MONDAY = at("2026-11-21 02:20"), at("2026-11-23 02:20")


@pytest.fixture(params=["sqlite_archive", "postgres_archive"])
def engine(request):
    """Return an archive, on each database in turn."""
    return request.getfixturevalue(request.param)


def looks_of(engine, as_of=None):
    return load_frames(engine, week_47(), as_of=as_of).looked_at


def test_a_project_was_looked_at_when_its_newest_run_ended_that_brought_something_home(engine):
    failed, imported = run(run_id="3", ended="2026-11-24 02:20"), run(run_id="4", ended="2026-11-24 03:00")
    runs = [
        run(run_id="1", ended="2026-11-20 02:20"),
        run(run_id="2", ended="2026-11-21 02:20"),
        failed | {"outcome": "failed"},
        imported | {"kind": "import"},
        run("q", run_id="5", ended="2026-11-23 02:20") | {"outcome": "partial"},
    ]
    save(engine, runs=runs)

    assert looks_of(engine) == {"p": SATURDAY, "q": MONDAY}
    assert looks_of(engine, as_of=at("2026-11-20 12:00")) == {"p": at("2026-11-20 02:20")}


def test_a_week_of_which_every_project_has_its_last_night_has_no_banner():
    assert banner(WEEK, MONDAY, {"p": MONDAY, "q": MONDAY}, ["p", "q"]) is None


def test_a_project_that_missed_the_last_night_is_named_though_another_was_archived():
    told = banner(WEEK, MONDAY, {"p": SATURDAY, "q": MONDAY}, ["p", "q"])

    assert told == (
        "The night that ends this week was not archived of 1 of 2 projects (p, last archived 2026-11-21 02:20 UTC). "
        "What happened there since is not in this report."
    )


def test_a_project_that_has_no_night_in_the_week_is_not_waited_for():
    assert banner(WEEK, MONDAY, {"p": SATURDAY, "q": MONDAY}, ["q"]) is None


def test_of_many_late_projects_some_are_named_and_the_rest_counted():
    told = banner(WEEK, MONDAY, {"z": MONDAY}, ["a", "b", "c", "d", "e", "z"])

    assert "of 5 of 6 projects (a, never; b, never; c, never; and 2 more)." in told


def test_page_mail_and_message_begin_with_it():
    known = frames(
        [attempt()],
        nights=[night("2026-11-17", project_id="p"), night("2026-11-17", project_id="<b>")],
        last_run_ended_at=MONDAY,
        looked_at={"p": MONDAY, "<b>": SATURDAY},
    )

    report = weekly_report(known, date(2026, 11, 16), UTC_ZONE, recheck_days=14)

    page = render_page(report, ())
    assert 0 < page.index("(&lt;b&gt;, last archived") < page.index('class="word"')
    assert "(&lt;b&gt;, last archived" in mail_body(report)
    assert message_text(report).startswith("**The night that ends this week was not archived of 1 of 2 projects")


def test_a_week_whose_last_night_is_not_in_is_complete_so_far_alone():
    """All nights in the books were archived, yet nothing is known of what came after them."""
    nights = [night("2026-11-17"), night("2026-11-18")]
    for looked_at, said in ((MONDAY, "Complete: all 2 nights archived."), (SATURDAY, "So far: 2 nights archived; ")):
        known = frames([attempt()], nights=nights, last_run_ended_at=MONDAY, looked_at={"p": looked_at})
        report = weekly_report(known, date(2026, 11, 16), UTC_ZONE, recheck_days=14)
        assert report.sentences["known"].startswith(said)
