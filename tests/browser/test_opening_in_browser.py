"""What figures open, on the site's pages and where a page has no room for all of its releases."""

import re
from datetime import timedelta

import pages
import pytest
from axe_playwright_python.sync_playwright import Axe

from reports.page import Site
from reports.page_scripts import hash_of

SITE = Site("../index.html", {f"2026-W{week}": f"weekly-2026-W{week}.html" for week in (45, 46, 47)})


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


def test_on_the_site_a_week_without_room_leads_to_its_own_page(open_page, monkeypatch, tmp_path):
    attempts = list(pages._times(2, 3, 10))
    older = pages.page_of(*attempts, monday=pages.MONDAY - timedelta(weeks=1), site=SITE)
    (tmp_path / "weekly-2026-W46.html").write_text(older, "utf-8")
    monkeypatch.setattr("reports.page.MOST_BYTES", 0)
    seen = open_page(pages.page_of(*attempts, site=SITE))
    figure = seen.page.locator("#table-release-failures tbody tr:nth-child(2) td a").first
    count = int(figure.text_content())

    figure.click()
    seen.settle()
    assert seen.rows("releases") == []
    assert "reports explain" not in seen.page.text_content("#filter-missing")
    below = "document.querySelector('#table-releases').getBoundingClientRect().top"
    assert seen.page.evaluate(f"{below} >= document.querySelector('.filter').getBoundingClientRect().bottom")
    seen.page.locator("#filter-missing a", has_text="2026-W46").click()
    seen.until("location.pathname.endsWith('weekly-2026-W46.html')")
    seen.page.wait_for_selector("html[data-shows]")

    assert len(seen.rows("releases")) == count > 0


def test_a_component_without_room_leads_to_the_pages_of_the_weeks(open_page, monkeypatch):
    monkeypatch.setattr("reports.component_page.MOST_BYTES", 0)
    weeks = {f"2026-W{week}": f"../weeks/weekly-2026-W{week}.html" for week in (46, 47)}
    seen = open_page(pages.component_page_of(*pages._times(1, 3, 60), pages=weeks), has_charts=False)

    seen.page.evaluate("location.hash = '#releases&is=failed'")
    seen.settle()

    said = seen.page.text_content("#filter-missing")
    links = seen.page.locator("#filter-missing a")
    assert [links.nth(number).get_attribute("href") for number in range(links.count())] == [
        f"../weeks/weekly-2026-W{week}.html#releases&week=2026-W{week}&component=svc-000&project=p&is=failed"
        for week in (46, 47)
    ]
    assert said.endswith("the releases of 2026-W45. The archive has them: reports explain delivery --week 2026-W45")


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
