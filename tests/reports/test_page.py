"""The page as text: it fetches nothing, runs only its own scripts, leads everywhere it says, and stays small."""

import base64
import gzip
import hashlib
import json
import re
import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from html.parser import HTMLParser
from urllib.parse import parse_qs

import pytest
from hostile import HOSTILE
from packs import read_pack
from report_builders import UTC_ZONE, at, attempt, failure, failures, frames, night, rollback

from reports import drawing, page
from reports.behind import COUNTS
from reports.definitions import DEFINITIONS
from reports.page import SECTIONS, WRONG, charts_of, render_page
from reports.page_parts import MESSAGE_LENGTH, ROOMS
from reports.page_tables import page_table
from reports.render import render_weekly
from reports.weekly import weekly_report

MONDAY = date(2026, 11, 16)
NIGHTS = [night(str(MONDAY + timedelta(days=day))) for day in range(7)]
MOST_BYTES = 1_500_000
# What only says what a row is of.
IDENTITIES = {"week", "team", "component", "component id", "project", "plan id", "batch", "measure", "job id"}


def report_of(*attempts, nights=NIGHTS, rollbacks=(), said=()):
    archive = frames(attempts, rollbacks, nights=nights, last_run_ended_at=datetime(2026, 11, 24, tzinfo=UTC))
    return weekly_report(archive, MONDAY, UTC_ZONE, recheck_days=14, failures=failures(*said))


def page_of(*attempts, **other):
    report = report_of(*attempts, **other)
    return render_page(report, charts_of(report))


class Parsed(HTMLParser):
    """Collects the elements of a page with their attributes, and the text of its scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.scripts, self.styles = [], [], []
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs).get("type"), ""))
        self.inside = tag

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        if self.inside == "style":
            self.styles.append(data)

    def handle_endtag(self, tag):
        self.inside = ""

    def values(self, name):
        return [attrs[name] for _, attrs in self.elements if name in attrs]

    @property
    def tags(self):
        return {tag for tag, _ in self.elements}


@cache
def ordinary():
    """Return a page of a week in which a bit of everything happened."""
    attempts = [
        attempt("failed", component_id="api"),
        attempt(component_id="web", batch=2, start="2026-11-17 10:00"),
        *[attempt(plan_id=f"old{number}", start="2026-11-09 10:00") for number in range(12)],
    ]
    return page_of(*attempts, rollbacks=[rollback("failed")], said=[failure(), failure("no", kind="rollback")])


@cache
def hostile():
    attempts = [
        attempt("failed", component_id=text, component=text, plan_id=f"{text}{number}", project_id=text, version=text)
        for number, text in enumerate(HOSTILE)
    ]
    said = [failure(text, component_id=text, component=text, job_id=text) for text in HOSTILE]
    undone = [failure(text, kind="rollback", component_id=text, component=text, job_id=text) for text in HOSTILE]
    return page_of(*attempts, said=[*said, *undone])


def hashed(content):
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"


def test_only_the_scripts_and_styles_that_the_policy_names_count():
    parsed = Parsed(ordinary())

    (policy,) = [attrs["content"] for tag, attrs in parsed.elements if attrs.get("http-equiv")]
    (own,) = [text for kind, text in parsed.scripts if kind is None]
    allowed = re.search("script-src ([^;]*);", policy)[1].split()
    packed = re.search('<script type="text/plain" id="drawing">([^<]*)', ordinary())[1]
    drawing_script = gzip.decompress(base64.b64decode(packed))
    assert sorted(allowed) == sorted(hashed(text) for text in (own.encode(), drawing_script))
    assert re.search("style-src ([^;]*);", policy)[1] == hashed("".join(parsed.styles).encode())
    assert parsed.values("style") == []
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_the_page_asks_for_nothing():
    parsed = Parsed(ordinary())

    assert parsed.values("src") == []
    assert {value[0] for value in parsed.values("href")} == {"#"}
    assert not {"link", "img", "iframe", "object", "base"} & parsed.tags
    assert not re.search(r"@import|url\((?!#)", re.search("<style>.*?</style>", ordinary(), re.DOTALL)[0])


def test_hostile_names_and_messages_add_no_element_and_no_attribute():
    plain, parsed = Parsed(ordinary()), Parsed(hostile())

    handlers = [name for _, attrs in parsed.elements for name in attrs if name.startswith("on")]
    assert handlers == []
    assert parsed.tags <= plain.tags
    assert [kind for kind, _ in parsed.scripts] == [kind for kind, _ in plain.scripts]


def test_every_link_leads_somewhere():
    parsed = Parsed(ordinary())

    ids = parsed.values("id")
    assert len(ids) == len(set(ids))
    assert {value.removeprefix("#") for value in parsed.values("href")} <= set(ids)


def test_the_figures_of_the_week_open_the_releases_that_they_count():
    opened = Parsed(ordinary()).values("data-open")

    assert {"week=2026-W47", "is=change-failure-7", "is=rolled-back-7", "is=failed", "is=tried-failed"} <= set(opened)
    assert {"component=api&project=p", "week=2026-W46"} <= set(opened)


def test_a_figure_of_a_week_before_opens_the_releases_of_that_week():
    report = report_of(attempt("failed"), attempt("failed", plan_id="old", start="2026-11-09 10:00"))

    table = page_table(report, "failure-rates")

    links = {line.cells[0].text: [cell.opens for cell in line.cells[1:3]] for line in table.lines}
    assert links["2026-W47"] == ["is=tried-finished", "is=tried-failed"]
    assert links["2026-W46"] == ["week=2026-W46&is=tried-finished", "week=2026-W46&is=tried-failed"]


def test_the_row_and_the_head_of_a_figure_say_together_what_it_opens():
    """What the page leaves out of a link is what its script puts together again."""
    report = report_of(
        *[attempt(plan_id=f"p{week}", start=f"2026-11-{day:02} 10:00") for week, day in ((1, 9), (2, 17))]
    )

    for name in ("failure-rates", "delivery", "verdict", "batch-trend"):
        table = page_table(report, name)
        for line in table.lines:
            for head, cell in zip(table.heads, line.cells, strict=True):
                if cell.opens is not None and cell.own is None:
                    assert parse_qs(cell.opens) == parse_qs(line.opens) | parse_qs(head.opens)


def unpacked(text):
    """Return the releases that a page holds beside its list, by what their columns and the filter call them.

    And its weeks of which it has all, and those of which it has some.
    """
    whole, part, pack = re.search('id="pack" data-whole="([^"]*)" data-part="([^"]*)">([^<]*)</script>', text).groups()
    releases = read_pack(pack) if pack else []
    return releases, whole.split(), part.split()


def test_the_releases_of_the_weeks_before_travel_in_the_page():
    text = page_of(attempt(), *[attempt("failed", plan_id=f"old{n}", start="2026-11-09 10:00") for n in range(3)])

    releases, whole, part = unpacked(text)

    assert (len(whole), part) == (26, [])
    assert [release["week"] for release in releases] == ["2026-W46"] * 3
    assert {(release[1], release[2], release[3]) for release in releases} == {("api", "1.0", "failed")}
    began = at("2026-11-09 10:00").timestamp() / 60
    assert {(release[0], release[8]) for release in releases} == {(began, began + 1)}
    bits = int(releases[0]["is"])
    assert [name for place, name in enumerate(COUNTS) if bits >> place & 1] == [
        *("failed", "change-failure", "change-failure-7", "finished", "recovered"),
        *("tried", "tried-finished", "tried-failed"),
        *("timed", "at-risk", "surfaced", "compared", "compared-failed"),
    ]


def test_what_the_list_has_no_room_for_travels_beside_it():
    text = page_of(*[attempt(plan_id=f"plan{number}") for number in range(ROOMS[0].releases + 7)])

    assert [release["week"] for release in unpacked(text)[0]] == ["2026-W47"] * 7


def test_of_weeks_for_which_there_is_no_room_what_did_not_simply_succeed_is_kept(monkeypatch):
    """The version is what no packing makes small: one release of each is a hash."""
    report = report_of(
        *[
            attempt(
                "failed" if number == 0 else "succeeded",
                f"{day} 10:00",
                plan_id=f"{day}{number}",
                version=hashlib.md5(f"{day}{number}".encode()).hexdigest(),  # noqa: S324 - as versions look
            )
            for day in ("2026-11-16", "2026-11-09", "2026-11-02")
            for number in range(400)
        ]
    )
    monkeypatch.setattr(page, "MOST_BYTES", 0)
    without = len(render_page(report, ()).encode())
    monkeypatch.setattr(page, "MOST_BYTES", without + 24_000)

    text = render_page(report, ())

    releases, whole, part = unpacked(text)
    assert (whole, part[:1], len(part)) == (["2026-W47", "2026-W46"], ["2026-W45"], 24)
    assert [release[3] for release in releases if release["week"] == "2026-W45"] == ["failed"]
    assert sum(release["week"] == "2026-W46" for release in releases) == 400
    assert len(text.encode()) < page.MOST_BYTES


@cache
def half_a_year():
    """Return the page of 26 weeks of 1,600 releases each, in plans of 10, whose versions are all different."""
    attempts = [
        attempt(
            "failed" if number % 17 == 0 else "succeeded",
            str(at("2026-11-16 00:00") - timedelta(weeks=week) + timedelta(minutes=6 * number))[:16],
            plan_id=str(uuid.UUID(int=hash_of_number(week * 160 + number // 10))),
            component_id=str(uuid.UUID(int=hash_of_number(number % 200))),
            component=f"component-{number % 200}",
            project_id=f"{hash_of_number(0):032x}",
            version=f"2026.{week:02}.{hash_of_number(week * 1600 + number) % 100_000}",
            seconds=60.0 + hash_of_number(number) % 900,
            batch=1 + number % 10 // 3,
        )
        for week in range(26)
        for number in range(1600)
    ]
    return page_of(*attempts)


def hash_of_number(number):
    return int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:16])


def test_half_a_year_of_sixteen_hundred_releases_a_week_travels_whole_in_the_page():
    text = half_a_year()

    releases, whole, part = unpacked(text)

    assert (len(whole), part) == (26, [])
    assert len(releases) == 26 * 1600 - text.count("data-is=")
    assert len(text.encode()) < MOST_BYTES


def test_every_head_that_is_a_figure_leads_to_its_definition_and_that_to_its_sql():
    report = report_of(attempt("failed"), rollbacks=[rollback("failed")], said=[failure()])
    names = [*WRONG, "verdict", *(name for section in SECTIONS for name in section.tables if name != "releases")]

    undefined = {
        (name, head.text)
        for name in names
        for head in page_table(report, name).heads
        if head.definition is None and head.text not in IDENTITIES
    }
    sections = re.findall('<section class="definition">.*?</section>', ordinary(), re.DOTALL)

    assert undefined == set()
    assert all("The SQL that gives it" in section for section in sections)
    assert len(sections) == len(DEFINITIONS)
    cards = re.findall('<section class="card"><h2>(.*?)</h2>', ordinary())
    assert len(cards) == 6
    assert all('href="#definition-' in card for card in cards)


def test_a_release_says_in_which_counts_it_stands():
    report = report_of(
        attempt("failed", component_id="a"),
        attempt(component_id="b"),
        attempt("running", component_id="c", seconds=None),
        rollbacks=[rollback(component_id="b")],
    )

    shown = {"failed", "rolled-back", "change-failure", "finished", "open", "tried-unfinished", "recovered"}
    told = {
        line.about["component"]: {
            name for place, name in enumerate(COUNTS) if name in shown and int(line.about["is"]) >> place & 1
        }
        for line in page_table(report, "releases").lines
    }

    assert told == {
        "a": {"finished", "failed", "change-failure"},
        "b": {"finished", "rolled-back", "change-failure", "recovered"},
        "c": {"open", "tried-unfinished"},
    }


def test_of_too_many_releases_those_that_went_wrong_are_kept():
    good = [attempt(plan_id=f"good{number}", start="2026-11-16 09:00") for number in range(ROOMS[0].releases + 20)]
    bad = [attempt("failed", plan_id=f"bad{number}", start="2026-11-20 09:00") for number in range(3)]

    table = page_table(report_of(*good, *bad), "releases")

    assert len(table.lines) == ROOMS[0].releases
    assert [line.cells[3].text for line in table.lines[-3:]] == ["failed"] * 3
    assert table.more.startswith("300 of 323 releases")


def test_the_same_report_gives_the_same_page():
    drawing._drawn.cache_clear()
    report = report_of(attempt("failed"), attempt(component_id="web"))

    first = render_page(report, charts_of(report))
    drawing._drawn.cache_clear()

    assert render_page(report, charts_of(report)) == first


@pytest.mark.parametrize("length", [8, 40])
def test_two_hundred_components_and_three_thousand_releases_stay_under_a_page_s_limit(length):
    attempts = [
        attempt(
            "failed" if number % 7 == 0 else "succeeded",
            str(at("2026-11-16 00:00") - timedelta(days=7 * (number % 13)) + timedelta(minutes=number % 9000))[:16],
            plan_id=f"{number // 12:0{length}}",
            component_id=f"{number % 200:0{length}}",
            project_id="0" * 32,
        )
        for number in range(39_000)
    ]

    assert len(page_of(*attempts).encode()) < MOST_BYTES


@pytest.mark.parametrize("length", [61, 200, 10_000])
def test_five_hundred_components_of_very_long_names_stay_under_a_page_s_limit(length):
    """Shortened in the page, whole in the CSV and JSON files; told apart though they begin alike."""
    names = [f"{'x' * (length - 4)}{number:04}" for number in range(500)]
    attempts = [
        attempt(
            "failed" if number % 5 == 0 else "succeeded",
            f"{day} 10:00",
            **dict.fromkeys(["component_id", "component", "plan_id", "version"], name),
            project_id=names[0],
        )
        for number, name in enumerate(names)
        for day in ("2026-11-16", "2026-11-09")
    ]
    report = report_of(*attempts, said=[failure(name, component=name, component_id=name) for name in names[:100]])

    text = render_page(report, charts_of(report))

    assert len(text.encode()) < MOST_BYTES
    assert max(len(word) for word in re.findall("x+", text)) <= MESSAGE_LENGTH
    files = render_weekly(report)
    assert names[7] in files["weekly-2026-W47-releases.csv"]
    assert names[7] in files["weekly-2026-W47.json"]
    keys = {line.about["component"] for line in page_table(report, "failure-rates-by-component").lines}
    assert len(keys) == ROOMS[0].rows


def test_a_name_that_is_cut_short_stands_whole_in_a_tip():
    table = page_table(report_of(attempt(component="a" * 70)), "failure-rates-by-component")

    (line,) = table.lines
    assert (line.cells[0].text, line.cells[0].tip) == ("a" * 59 + "…", "a" * 70)


def test_a_component_with_ten_thousand_attempts_is_one_release():
    attempts = [
        attempt(
            "failed",
            str(at("2026-11-16 00:00") + timedelta(seconds=30 * number))[:16],
            job_id=str(number),
            attempt=number + 1,
        )
        for number in range(10_000)
    ]

    report = report_of(*attempts)

    (line,) = page_table(report, "releases").lines
    assert "10,000" in [cell.text for cell in line.cells]
    assert len(render_page(report, charts_of(report)).encode()) < MOST_BYTES


@pytest.mark.parametrize(
    ("attempts", "nights", "words"),
    [
        ([], [], ["Too little data", "not collected", "Not known: this week was not collected."]),
        ([], NIGHTS, ["Too little data", "No releases were seen.", "Nothing failed this week."]),
        ([attempt()], NIGHTS, ["Too little data", "No failures among 1 finished attempt."]),
        ([attempt("failed", seconds=-60)], NIGHTS, ["1 of 1 finished attempt failed."]),
        (
            [attempt(duration_seconds=None), attempt(component_id="b", start=None)],
            NIGHTS,
            [
                "Missing or impossible times: of 1 attempt, counted, but in no duration.",
                "Missing starts: of 1 attempt first seen this week, in no week&#39;s count.",
                "no batch finished",
            ],
        ),
    ],
)
def test_a_report_of_little_or_nothing_reads_well(attempts, nights, words):
    text = page_of(*attempts, nights=nights)

    assert [word for word in words if word not in text] == []


def test_what_was_not_collected_is_never_told_as_nothing():
    text = page_of(nights=[])

    assert [word for word in ("Nothing failed", "No rollback of", "No release of", "0 of 0") if word in text] == []
    assert "no component release is known to have finished, neither in the week nor in the 4 weeks before" in text
    assert text.count('<p class="value">?</p>') == 6


def test_without_the_drawing_libraries_the_page_says_so_and_keeps_its_tables(monkeypatch):
    monkeypatch.setattr(page, "can_draw", lambda: False)

    text = page_of(attempt("failed"))

    assert "release-archiver[page]" in text
    assert 'id="table-release-failures"' in text
    assert "specifications" not in Parsed(text).values("id")


def test_a_changed_definition_is_drawn_as_a_break():
    report = replace(report_of(attempt()), breaks=(("2026-W46", "release-failure-rates"),))

    charts = {chart.name: chart for chart in charts_of(report)}

    assert "definition changed" in charts["failure-rate"].svg
    assert charts["component-weeks"].svg.count("definition changed") == 1
    assert "definition changed" not in charts["rollbacks"].svg
    assert "From 2026-W46 on, reports follow a newer definition of Failure rate of component releases" in render_page(
        report, ()
    )


def test_a_changed_verdict_breaks_the_chart_of_rollbacks_which_counts_as_it_does():
    report = replace(report_of(attempt()), breaks=(("2026-W46", "verdict"),))

    charts = {chart.name: chart for chart in charts_of(report)}

    assert "definition changed" in charts["rollbacks"].svg
    assert "definition changed" not in charts["failure-rate"].svg


def test_the_charts_of_releases_say_that_their_band_counts_plans_and_of_rollbacks_their_age():
    charts = {chart.name: chart for chart in charts_of(report_of(attempt()))}

    for name in ("failure-rate", "rollbacks"):
        assert "Components of one plan fail together, so it counts plans." in charts[name].svg
    assert "Every week at the same age, as in the verdict" in charts["rollbacks"].svg
    assert "with plan-clustered intervals" in page_table(report_of(attempt()), "verdict").caption


def test_no_file_of_a_report_names_who_released():
    """People are never ranked."""
    files = render_weekly(report_of(attempt("failed", creator="ana-maria"), rollbacks=[rollback("failed")]))

    assert [name for name, text in files.items() if "ana-maria" in text or "creator" in text] == []


def test_a_chart_is_one_definition_for_the_picture_and_for_the_page():
    report = report_of(attempt("failed"))

    charts = charts_of(report)
    text = render_page(report, charts)

    packed = re.search('<script type="text/plain" id="specifications">([^<]*)', text)[1]
    embedded = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert embedded == {chart.name: json.loads(chart.spec) for chart in charts}
    assert all(chart.svg.startswith("<svg") for chart in charts)


def test_no_two_roles_share_a_colour_that_the_dark_page_replaces():
    light = [colours[0] for colours in drawing.PALETTE.values()]

    assert len(light) == len(set(light))
