"""The page as a person meets it: opened from disk in Chromium, sorted, filtered, printed, and read aloud."""

import re

import pages
import pytest
from axe_playwright_python.sync_playwright import Axe

NOTHING = "\N{EN DASH}"
MOST_BYTES = 1_500_000


def test_it_opens_from_disk_without_a_complaint_and_asks_for_nothing_else(open_page):
    seen = open_page(pages.ordinary())

    assert seen.complaints == []
    assert seen.requests == [seen.url]
    assert len(pages.ordinary().encode()) < MOST_BYTES
    assert seen.page.locator(".live svg").count() == 5
    assert seen.page.locator(".still svg:visible").count() == 0


@pytest.mark.parametrize("name", pages.ODD)
def test_little_much_and_odd_open_without_a_complaint(open_page, name):
    seen = open_page(pages.odd(name))

    assert seen.complaints == []
    assert seen.requests == [seen.url]
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert len(pages.odd(name).encode()) < MOST_BYTES


def test_hostile_names_and_messages_execute_nothing(open_page):
    seen = open_page(pages.hostile())

    # Under the pointer and the filter, too.
    seen.page.locator(".live svg text").evaluate_all(
        "marks => marks.forEach(mark => ['pointermove', 'mousemove', 'mouseover'].forEach(name =>"
        " mark.dispatchEvent(new PointerEvent(name, {bubbles: true}))))"
    )
    seen.page.fill("#filter-text", "<script>window.pwned=1</script>")
    seen.page.locator("#table-failure-rates-by-component tbody td a:visible").first.click()
    assert seen.rows("releases") != []
    seen.page.evaluate("location.hash = '#releases&week=all'")
    assert len(seen.rows("releases")) > len(pages.HOSTILE)

    assert seen.page.evaluate("window.pwned") is None
    assert seen.complaints == []
    assert seen.requests == [seen.url]


def test_a_tip_shows_a_name_as_it_is(open_page):
    seen = open_page(pages.hostile())
    cell = seen.page.locator('.live[data-chart="component-weeks"] svg text', has_text="1/1").first

    cell.hover(force=True)

    assert "finished releases failed" in seen.page.locator("#tip").text_content()
    assert seen.page.locator("#tip *").count() == 0


def test_a_column_sorts_by_its_numbers_and_says_so(open_page):
    seen = open_page(pages.ordinary())
    head = seen.page.locator("#table-failure-rates-by-component thead th", has_text=re.compile("^failed"))
    place = 1 + head.evaluate("head => head.cellIndex")

    head.locator("button").click()
    up = [int(text) for text in seen.column("failure-rates-by-component", place)]
    assert head.get_attribute("aria-sort") == "ascending"
    head.locator("button").click()
    down = [int(text) for text in seen.column("failure-rates-by-component", place)]

    assert head.get_attribute("aria-sort") == "descending"
    assert (up, down) == (sorted(up), sorted(down, reverse=True))
    assert len(set(up)) > 1


def test_durations_sort_by_their_length_and_what_is_missing_stays_last(open_page):
    seen = open_page(pages.ordinary())
    head = seen.page.locator("#table-batch-timing thead th", has_text=re.compile("^p50"))
    place = 1 + head.evaluate("head => head.cellIndex")

    head.locator("button").click()
    up = seen.column("batch-timing", place)
    head.locator("button").click()
    down = seen.column("batch-timing", place)

    known = [text for text in up if text not in (NOTHING, "?")]
    assert [_seconds(text) for text in known] == sorted(_seconds(text) for text in known)
    assert set(up[len(known) :]) == set(down[len(known) :]) == {NOTHING, "?"}  # none finished, not collected


def _seconds(text):
    return sum(
        float(number) * {"s": 1, "m": 60, "h": 3600}[unit] for number, unit in re.findall(r"([\d.]+)([smh])", text)
    )


def test_the_filter_is_kept_in_the_address_and_works_again_from_there(open_page):
    seen = open_page(pages.ordinary())

    seen.page.fill("#filter-text", "svc-002")
    by_component = seen.rows("failure-rates-by-component")
    address = seen.page.evaluate("location.hash")
    again = open_page(pages.ordinary(), anchor=address)

    assert by_component == ["svc-002"]
    assert address == "#q=svc-002"
    assert again.rows("failure-rates-by-component") == ["svc-002"]
    assert again.page.input_value("#filter-text") == "svc-002"
    assert set(again.column("releases", 2)) == {"svc-002"}


def test_the_filter_is_taken_away_by_one_button(open_page):
    seen = open_page(pages.ordinary(), anchor="#q=svc-002&is=failed")

    seen.page.click("#filter-clear")

    assert len(seen.rows("releases")) == 60
    assert seen.page.evaluate("location.hash") == ""
    assert seen.page.text_content("#filter-said") == "60 releases"


def test_a_figure_opens_as_many_releases_as_it_says(open_page):
    seen = open_page(pages.ordinary())
    tables = ("release-failures", "release-rollbacks", "recovery", "flaky-components")
    links = seen.page.locator(", ".join(f"#table-{name} tbody td a" for name in tables))

    head = "link => link.closest('table').tHead.rows[0].cells[link.closest('td').cellIndex].textContent"
    checked = []
    for place in range(0, links.count(), 5):
        link = links.nth(place)
        if not re.search("plans|rate|p50|p90|reruns|nights", link.evaluate(head)):
            link.evaluate("link => link.click()")
            told = link.text_content(), seen.page.evaluate("location.hash")
            assert len(seen.rows("releases")) == int(told[0]), told
            checked.append(told)

    assert len(checked) >= 10
    assert any("week=2026-W4" in address for _, address in checked)


def test_a_figure_of_a_week_that_the_page_has_no_room_for_says_where_its_releases_are(open_page, monkeypatch):
    monkeypatch.setattr("reports.page.MOST_BYTES", 0)
    seen = open_page(pages.page_of(*pages._times(2, 3, 10)))

    seen.page.locator("#table-release-failures tbody tr:nth-child(2) a").first.click()

    seen.settle()
    assert "reports explain delivery --week 2026-W46" in seen.page.text_content("#filter-missing")
    assert seen.rows("releases") == []


def test_a_figure_of_the_oldest_of_26_great_weeks_opens_all_of_its_releases(open_page):
    seen = open_page(pages.half_a_year())

    for column, count in ((2, "95"), (3, "1,600")):
        link = seen.page.locator(f"#table-release-failures tbody tr:last-child td:nth-child({column}) a")
        assert link.text_content() == count
        link.evaluate("link => link.click()")
        seen.settle()
        assert f"{count} releases" in seen.page.text_content("#filter-said")
        assert len(seen.rows("releases")) == min(int(count.replace(",", "")), 500)
        assert all(text.startswith("2026-0") for text in seen.rows("releases"))
        assert seen.page.is_hidden("#filter-missing")


def test_the_policy_lets_the_page_s_own_style_count_and_no_other(open_page):
    seen = open_page(pages.one_with_a_foreign_style())

    assert seen.page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "1280px"
    assert seen.page.evaluate("getComputedStyle(document.querySelector('h1')).color") != "rgb(1, 2, 3)"
    assert any("style" in complaint for complaint in seen.complaints)


def test_a_cell_of_nights_goes_to_the_nights_of_its_week_and_their_runs(open_page):
    seen = open_page(pages.of_missed_nights())
    row = seen.page.locator("#table-failure-rates tbody tr", has_text="2026-W46")

    row.locator("a", has_text="5/7").click()

    seen.settle()
    assert seen.page.evaluate("location.hash") == "#nights&week=2026-W46"
    assert seen.rows("nights") == [f"2026-11-{day:02}" for day in range(15, 8, -1)]
    assert seen.column("nights", 2).count("missed") == 2
    assert seen.page.evaluate("document.activeElement.id") == "nights"


def test_a_click_on_a_figure_goes_to_the_list_and_filters_it(open_page):
    seen = open_page(pages.ordinary())

    seen.page.locator("#table-release-failures tbody tr:first-child a").first.click()

    seen.settle()
    assert seen.page.evaluate("location.hash") == "#releases&is=failed"
    assert set(seen.column("releases", 4)) <= {"failed", "rollback failed"}
    assert seen.page.evaluate("document.activeElement.querySelector('table').id") == "table-releases"


def test_a_link_to_a_definition_keeps_the_filter(open_page):
    seen = open_page(pages.ordinary(), anchor="#q=svc-001")

    seen.page.locator("#table-delivery .meaning").first.click()

    assert seen.page.evaluate("location.hash") == "#definition-delivery&q=svc-001"
    assert seen.rows("failure-rates-by-component") == ["svc-001"]


def test_a_mark_of_a_chart_opens_the_releases_behind_it(open_page):
    seen = open_page(pages.ordinary())

    seen.page.locator('.live[data-chart="timeline"] svg text', has_text="failed").first.click(force=True)

    seen.until("location.hash.startsWith('#releases&plan=')")
    assert 0 < len(seen.rows("releases")) <= 6


def test_the_colours_can_be_changed_by_hand(open_page):
    seen = open_page(pages.ordinary())
    ground = "getComputedStyle(document.querySelector('.chart')).backgroundColor"
    light = seen.page.evaluate(ground)

    seen.page.click("#theme")

    assert seen.page.evaluate(ground) != light
    assert seen.page.text_content("#theme") == "Light colours"


def test_every_colour_of_a_chart_has_its_dark_one(open_page):
    seen = open_page(pages.ordinary(), scheme="dark")
    grounds = "[...document.querySelectorAll('.live svg')].map(one => getComputedStyle(one).backgroundColor)"
    # A mark whose colour is still the one that stands in its definition.
    unchanged = """() => {
      const probe = document.body.appendChild(document.createElement('i'));
      const asDrawn = (colour) => { probe.style.color = colour; return getComputedStyle(probe).color; };
      const isLeft = (mark, name) => (mark.getAttribute(name) || '').startsWith('#')
        && getComputedStyle(mark)[name] === asDrawn(mark.getAttribute(name));
      const marks = [...document.querySelectorAll('.live svg [fill^="#"], .live svg [stroke^="#"]')];
      return marks.flatMap((mark) =>
        ['fill', 'stroke'].filter((name) => isLeft(mark, name)).map((name) => mark.getAttribute(name)));
    }"""

    assert seen.page.evaluate(unchanged) == []
    assert set(seen.page.evaluate(grounds)) == {"rgba(0, 0, 0, 0)"}


@pytest.mark.parametrize("size", ["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["ordinary", "an empty archive"])
def test_axe_finds_nothing_serious(open_page, size, scheme, name):
    text = pages.ordinary() if name == "ordinary" else pages.odd(name)
    seen = open_page(text, size=size, scheme=scheme)

    found = Axe().run(seen.page).response["violations"]

    serious = [
        (one["id"], [node["html"][:160] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]
    assert serious == []


@pytest.mark.parametrize("name", ["ordinary", "two hundred components"])
def test_nothing_is_wider_than_a_phone(open_page, name):
    text = pages.ordinary() if name == "ordinary" else pages.odd(name)
    seen = open_page(text, size="phone")

    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390


def test_it_prints_all_of_its_tables_and_cuts_no_row(open_page):
    seen = open_page(pages.ordinary())

    pdf = seen.page.pdf(prefer_css_page_size=True)
    seen.page.emulate_media(media="print")
    cut = seen.page.evaluate(
        "() => [...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1"
        " || e.scrollHeight > e.clientHeight + 1).map(e => e.getAttribute('aria-label'))"
    )

    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 5
    assert cut == []
    assert seen.page.locator(".still svg:visible").count() == 5
    assert seen.page.locator(".live:visible, #theme:visible, .filter:visible").count() == 0
    assert seen.page.evaluate(
        "[...document.querySelectorAll('tr')].every(row => getComputedStyle(row).breakInside === 'avoid')"
    )


def test_on_paper_nothing_is_tiny_and_the_verdict_is_the_largest_paragraph(open_page):
    seen = open_page(pages.ordinary())
    seen.page.emulate_media(media="print")
    sizes = """(selector) => [...document.querySelectorAll(selector)]
        .filter((one) => one.checkVisibility() && one.textContent.trim())
        .map((one) => Math.round(parseFloat(getComputedStyle(one).fontSize) * 7.5) / 10)"""

    tables = seen.page.evaluate(f"({sizes})('td, th, small, caption, caption span')")
    paragraphs = seen.page.evaluate(f"({sizes})('p:not(.value, .word)')")

    assert min(tables) >= 7.5
    assert max(paragraphs) == seen.page.evaluate(f"({sizes})('.verdict p:not(.word)')")[0] == 11
    # What simply succeeded is left to the file, and said to be.
    assert set(seen.column("releases", 4)).isdisjoint({"succeeded"})
    assert "is left out" in seen.page.locator(".paper:visible").first.text_content()


def test_what_is_dark_on_the_screen_is_printed_on_white(open_page):
    seen = open_page(pages.ordinary(), scheme="dark")

    seen.page.emulate_media(media="print", color_scheme="dark")

    assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_without_scripts_the_pictures_and_all_tables_are_there(open_page):
    seen = open_page(pages.ordinary(), has_scripts=False)

    assert seen.page.locator(".still svg:visible").count() == 5
    assert seen.page.locator("#table-releases tbody tr:visible").count() == 60
    assert seen.page.locator(".scripted:visible").count() == 0


def test_the_keyboard_reaches_the_verdict_the_filter_and_the_heads_of_tables(open_page):
    seen = open_page(pages.ordinary())

    reached = []
    for _ in range(90):
        seen.page.keyboard.press("Tab")
        reached.append(
            seen.page.evaluate(
                "document.activeElement.id || document.activeElement.className || document.activeElement.tagName"
            )
        )

    assert reached[0] == "skip"
    assert {"theme", "filter-text", "filter-is", "filter-clear", "scroll"} <= set(reached)
