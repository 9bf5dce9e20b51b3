"""What figures open, on the site's pages and where a page has no room for all of its releases."""

import re
from datetime import timedelta

import pages
import pytest
from axe_playwright_python.sync_playwright import Axe

from reports.page_scripts import hash_of
from reports.tables import NOTHING


def test_every_figure_of_a_component_opens_as_many_releases_as_it_says(open_page):
    """One attempt a release, so that those of attempts are equal, too. The list itself shows 100 of 240."""
    seen = open_page(pages.of_a_component(), has_charts=False)
    assert len(seen.rows("releases")) == 100
    figures = seen.page.locator("a[data-open]")
    checked = set()

    for place in range(figures.count()):
        figure = figures.nth(place)
        figure.evaluate("link => link.click()")
        rows = len(seen.rows("releases"))
        count = re.fullmatch(r"\s*([\d,]+)(?: of .*| rollbacks)?\s*", figure.text_content(), re.DOTALL)
        assert rows > 0
        if count and "week=all&is" not in figure.get_attribute("data-open"):
            assert rows == int(count[1]), figure.get_attribute("data-open")
            checked.add(figure.get_attribute("data-open"))

    # The releases, those with a failed attempt, those rolled back; a message's two, of weeks far apart.
    assert {"week=all", "is=tried-failed", "is=rolled-back"} <= checked
    assert any(asked.startswith("template=") for asked in checked)
    assert sum(asked.startswith("week=2026-W") for asked in checked) >= 24
    assert seen.complaints == []
    assert seen.requests == [seen.url]


def test_a_hostile_component_s_page_executes_nothing(open_page):
    seen = open_page(pages.of_a_hostile_component(), anchor="#releases&week=all", has_charts=False)

    assert len(seen.rows("releases")) == len(set(pages.HOSTILE))
    for figure in seen.page.locator("a[data-open]").all():
        figure.evaluate("link => link.click()")
        assert seen.rows("releases") != []

    assert seen.page.evaluate("window.pwned") is None
    assert seen.complaints == []
    assert seen.requests == [seen.url]


def test_a_list_that_is_too_long_shows_more_when_asked(open_page):
    seen = open_page(pages.component_page_of(*pages._times(1, 12, 100)), anchor="#releases&week=all", has_charts=False)

    assert len(seen.rows("releases")) == 600
    assert "1,200 of 1,200 releases, of which the list shows 600" in seen.page.text_content("#filter-said")
    more = seen.page.locator("#releases-more")
    assert more.text_content() == "Show 500 more"
    more.click()
    assert more.text_content() == "Show 100 more"
    more.click()

    started = seen.rows("releases")
    assert len(started) == 1200
    assert started == sorted(started, reverse=True)
    assert more.is_hidden()
    assert seen.page.text_content("#filter-said").endswith("1,200 of 1,200 releases")


@pytest.fixture
def open_files(open_page, tmp_path):
    """Return a function that writes a page with the lists beside it, and opens the page."""

    def opened(files, **how):
        (page, *_), seen = files, None
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, "utf-8")
        seen = open_page(files[page], **how)
        assert len(list(tmp_path.rglob("*.html"))) == len({*files, "weekly-2026-W47.html"})
        return seen

    return opened


def opened_in_all(seen, asked):
    """Return what a filter opens in the page, and in the lists to which it leads from there: each release once."""
    found, links = set(), [f"{seen.url}#releases&{asked}"]
    for link in links:
        seen.page.goto(link)
        seen.settle()
        found.update(seen.page.locator("#table-releases tbody tr:visible").all_inner_texts())
        links += seen.page.locator("#filter-missing a").evaluate_all("links => links.map((link) => link.href)")
    return found


ASKED = (
    *("week=2026-W46&is=finished", "week=2026-W46", "is=failed", "week=all&is=timed&batch=2", "week=all&is=retried"),
    *("week=2026-W45,2026-W46&is=finished&component=svc-001&project=p", "week=2026-W44&is=tried-failed"),
    *("week=all&rank=1", "is=tried-finished"),
)


def with_some_tried_again():
    """Return releases of three weeks, some tried again a week later; and a message of one from before all weeks."""
    old = pages.attempt("failed", "2026-01-05 10:00", plan_id="old", component_id="svc-000", job_id="a")
    tries = [*pages._times(3, 4, 10), old]
    for number, first in enumerate(tries[::9]):
        start = "2026-11-17 10:00" if first is old else str(first["started_at"] + timedelta(days=7))[:16]
        same = {name: first[name] for name in ("plan_id", "component_id", "batch")}
        tries.append(pages.attempt("failed", start, attempt=2, job_id=f"again-{number}", **same))
    tries.append(
        pages.attempt("failed", "2026-11-17 10:00", attempt=2, job_id="b", plan_id="old", component_id="svc-000")
    )
    said = [pages.failure("no room", start="2026-11-17 10:00", plan_id="old", component_id="svc-000", job_id="b")]
    return tries, said


def test_a_page_without_room_leads_to_lists_that_have_the_same_releases(open_files, monkeypatch):
    tries, said = with_some_tried_again()
    whole = open_files(pages.files_of(*tries, said=said))
    asked = [*ASKED, f"template={said[0]['template_id']}&week=all"]
    expected = {one: opened_in_all(whole, one) for one in asked}
    monkeypatch.setattr("reports.page.MOST_BYTES", 0)

    files = pages.files_of(*tries, said=said)
    seen = open_files(files)

    assert len(files) == 5
    assert [one for one, found in expected.items() if not found] == []
    assert {one: opened_in_all(seen, one) for one in asked} == expected
    assert seen.complaints == []


def test_a_component_without_room_leads_to_lists_too(open_files, monkeypatch):
    tries = [one for one in with_some_tried_again()[0] if one["component_id"] == "svc-000"]
    asked = [one for one in ASKED if "svc-001" not in one and "batch=2" not in one]
    whole = open_files(pages.component_files_of(*tries), has_charts=False)
    expected = {one: opened_in_all(whole, one) for one in asked}
    monkeypatch.setattr("reports.component_page.MOST_BYTES", 0)

    seen = open_files(pages.component_files_of(*tries), has_charts=False)

    assert {one: opened_in_all(seen, one) for one in asked} == expected
    assert seen.complaints == []


def test_a_list_beside_a_page_filters_and_leads_back(open_files, monkeypatch):
    monkeypatch.setattr("reports.page.MOST_BYTES", 0)
    seen = open_files(pages.files_of(*pages._times(6, 3, 60)))
    figure = seen.page.locator("#table-release-failures tbody tr:nth-child(2) td a").first
    count = int(figure.text_content())

    figure.click()
    seen.settle()
    below = "document.querySelector('#table-releases').getBoundingClientRect().top"
    assert seen.page.evaluate(f"{below} >= document.querySelector('.filter').getBoundingClientRect().bottom")
    seen.page.locator("#filter-missing a", has_text="2026-W46").click()
    seen.until("location.pathname.endsWith('weekly-2026-W47-releases/2026-W46.html')")
    seen.page.wait_for_selector("html[data-shows]")

    assert len(seen.rows("releases")) == count > 0
    assert seen.page.text_content("#filter-said").endswith(f"{count} of 360 releases")
    seen.page.fill("#filter-text", "svc-002")
    assert len(seen.rows("releases")) == 10
    seen.page.click("#filter-clear")
    assert len(seen.rows("releases")) == 300
    seen.page.get_by_role("link", name="Back to the report of 2026-W47").click()
    seen.until("location.pathname.endsWith('weekly-2026-W47.html')")
    assert seen.complaints == []


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_axe_finds_nothing_serious_on_a_list_of_hostile_names_which_execute_nothing(open_files, monkeypatch, size):
    monkeypatch.setattr("reports.page.MOST_BYTES", 0)
    names = [pages.attempt("failed", component_id=text, component=text, plan_id=text) for text in pages.HOSTILE]
    seen = open_files(pages.files_of(*names), size=size)

    seen.page.goto(seen.url.replace(".html", "-releases/2026-W47.html#releases&is=failed"))

    assert len(seen.rows("releases")) == len(set(pages.HOSTILE))
    assert seen.page.evaluate("window.pwned") is None
    found = Axe().run(seen.page).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}] == []
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert seen.complaints == []


def test_a_figure_opens_a_release_without_a_start_too(open_page):
    """Beside one that has begun it is of a batch that its plan has reached."""
    tries = [pages.attempt(), pages.attempt("pending", None, component_id="web")]
    seen = open_page(pages.page_of(*tries), anchor="#releases&rank=1&week=all")

    assert sorted(seen.rows("releases")) == ["2026-11-16 10:00", NOTHING]
    assert seen.column("releases", 2) == ["api", "web"]
    assert seen.complaints == []


def test_a_browser_that_can_not_unpack_says_so(open_page):
    text = pages.ordinary().replace("window.DecompressionStream", "window.NoSuchStream")
    policy = re.search("script-src .*?(?=; style-src)", text)[0]
    script = re.findall("<script>(.*?)</script>", text, re.DOTALL)[-1]
    text = text.replace(policy, f"script-src {hash_of(script)}", 1)
    seen = open_page(text, has_charts=False)

    seen.page.locator("#table-release-failures tbody tr:nth-child(2) a").first.click()
    seen.settle()

    assert "too old to unpack" in seen.page.text_content("#filter-missing")
    assert seen.rows("releases") == []
    assert seen.complaints == []


@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_a_component_s_page(open_page, size, scheme):
    seen = open_page(pages.of_a_component(), size=size, scheme=scheme, anchor="#releases&is=failed", has_charts=False)
    seen.settle()

    found = Axe().run(seen.page).response["violations"]

    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}] == []
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_without_scripts_a_component_s_page_lists_its_newest_releases(open_page):
    seen = open_page(pages.of_a_component(), has_scripts=False)

    assert seen.page.locator("#table-releases tbody tr:visible").count() == 100
    assert seen.page.locator(".scripted:visible").count() == 0
