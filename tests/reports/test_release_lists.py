"""The lists beside a page without room: each has all releases of its week, and those that stand in its counts."""

import re
from datetime import date

import pytest
from packs import read_pack
from report_builders import UTC_ZONE, attempt, frames

from reports import page
from reports.page import weekly_pages
from reports.release_lists import SHOWN
from reports.weekly import weekly_report

MONDAY = date(2026, 11, 16)


def files_of(*attempts):
    report = weekly_report(frames(attempts), MONDAY, UTC_ZONE, recheck_days=14)
    return dict(weekly_pages(report, ()))


def plans_of(text):
    """Return the plans of the releases that a list shows, and of those that it holds beside them."""
    shown = re.findall('<tr [^>]*data-plan="([^"]*)"', text)
    pack = re.search('id="pack"[^>]*>([^<]*)<', text)[1]
    return shown, [release["plan"] for release in read_pack(pack)]


def test_a_page_with_room_has_no_lists():
    assert list(files_of(attempt(), attempt(plan_id="old", start="2026-11-09 10:00"))) == ["weekly-2026-W47.html"]


@pytest.fixture
def no_room(monkeypatch):
    monkeypatch.setattr(page, "MOST_BYTES", 0)


@pytest.mark.usefixtures("no_room")
def test_each_week_with_releases_has_a_list_of_all_of_them():
    starts = ["2026-11-16 10:00", "2026-11-02 10:00"]
    files = files_of(*[attempt(plan_id=f"{start}{n}", start=start) for start in starts for n in range(SHOWN + 2)])

    _, *lists = files
    assert lists == ["weekly-2026-W47-releases/2026-W45.html", "weekly-2026-W47-releases/2026-W47.html"]
    for name, start in zip(lists, reversed(starts), strict=True):
        shown, packed = plans_of(files[name])
        assert (len(shown), len(packed)) == (SHOWN, 2)
        assert sorted(shown + packed) == sorted(f"{start}{n}" for n in range(SHOWN + 2))
        assert f"All {SHOWN + 2} of them" in files[name]


@pytest.mark.usefixtures("no_room")
def test_a_list_has_the_releases_of_other_weeks_that_stand_in_its_counts():
    again = attempt(start="2026-11-17 10:00", plan_id="early", attempt=2, job_id="b")
    early = attempt("failed", "2026-11-13 10:00", plan_id="early", job_id="a")
    files = files_of(early, again, attempt(plan_id="late"), attempt(plan_id="other", start="2026-11-12 10:00"))

    plans = {name[-8:-5]: plans_of(text) for name, text in list(files.items())[1:]}

    assert plans == {"W46": (["other", "early"], []), "W47": (["late"], ["early"])}
