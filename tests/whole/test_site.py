"""The site: all its pages, read back as a browser would, and what the command says."""

import base64
import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from urllib.parse import unquote

import pandas as pd
import pytest
from packs import read_pack
from random_archives import random_archive
from report_builders import UTC_ZONE, attempt, component, night, rollback, run, save
from sqlalchemy import event

from archiver.clock import ManualClock
from archiver.settings import load_settings
from reports import cli, site
from reports.failure_rates import failure_rates
from reports.frames import load_frames
from reports.groups import Selection
from reports.issuing import issue_weekly, make_weekly
from reports.keeping import kept
from reports.page import Site, charts_of, render_page
from reports.tables import records
from reports.window import Window

CLOCK = ManualClock(datetime(2026, 11, 24, 12, tzinfo=UTC))
MONDAY = date(2026, 11, 16)


class Page(HTMLParser):
    """A page as parsed: its links, anchors, tags with attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.tags, self.words = [], set(), [], []
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        self.links += [found[name] for name in ("href", "src") if name in found]
        self.ids |= {found["id"]} if "id" in found else set()

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def written(monkeypatch, tmp_path, capfdbinary):
    """Return a function that writes the site of an archive; it gives exit code, output, errors and pages."""

    def write(archive, *arguments, directory="site"):
        monkeypatch.setenv("ARCHIVER_DATABASE_URL", archive.url)
        code = cli.run(["site", str(tmp_path / directory), *arguments], clock=CLOCK)
        said = capfdbinary.readouterr()
        return code, said.out.decode(), said.err.decode(), pages_in(tmp_path / directory)

    return write


def pages_in(directory):
    return {path.relative_to(directory).as_posix(): path.read_text("utf-8") for path in directory.rglob("*.html")}


def put(archive, **rows):
    """Write rows, whatever bodies should prove them: foreign keys are left aside."""
    off = "PRAGMA foreign_keys = OFF" if archive.url.startswith("sqlite") else "SET session_replication_role = replica"

    @event.listens_for(archive.engine, "connect")
    def _without_foreign_keys(connection, _record):
        connection.execute(off)
        connection.commit()

    archive.engine.dispose()
    save(archive.engine, **rows)


def fill_week_47(archive):
    """Write two components in 2026-W47: one that failed, was rolled back and said why, and one that worked."""
    put(
        archive,
        attempts=[
            attempt("failed", fail_message="probe failed"),
            attempt(component_id="web", batch=2, start="2026-11-17 10:00"),
        ],
        rollbacks=[rollback("failed")],
        components=[component(), component(component_id="web", batch=2)],
        nights=[night("2026-11-17"), night("2026-11-18", "missed")],
        runs=[run()],
    )


def test_every_link_of_every_page_leads_to_a_page_and_a_place_that_exist(archive, written):
    put(archive, **random_archive(3, plans=30), runs=[run("p1"), run("p2", run_id="run-2")])

    code, _, err, pages = written(archive)

    assert (code, err) == (0, "")
    parsed = {name: Page(text) for name, text in pages.items()}
    ours = [name for name in pages if not name.startswith("weeks/")]
    assert len(ours) > 10
    for name in pages:
        for link in parsed[name].links:
            target, _, place = unquote(link).partition("#")
            folder = name.rpartition("/")[0]
            path = re.sub(r"[^/]+/\.\./", "", f"{folder}/{target}".lstrip("/")) if target else name
            assert path in pages, f"{name} links to {link}"
            assert not place or place.split("&")[0] in parsed[path].ids, f"{name} links to {link}"
    linked = {link.partition("#")[0] for link in parsed["index.html"].links}
    assert {name for name in pages if name != "index.html"} <= linked | {"index.html"}


@pytest.mark.parametrize("archive", ["sqlite"], indirect=True)
def test_the_pages_of_the_weeks_are_those_of_the_weekly_report(archive, written):
    put(archive, **random_archive(5, plans=40), runs=[run("p1"), run("p2", run_id="run-2")])

    _, _, _, pages = written(archive, "--weeks", "2")

    weeks = [name for name in pages if name.startswith("weeks/")]
    assert sorted(weeks) == ["weeks/weekly-2026-W46.html", "weeks/weekly-2026-W47.html"]
    for monday, label in ((MONDAY - timedelta(days=7), "2026-W46"), (MONDAY, "2026-W47")):
        report = make_weekly(load_settings(None), monday, None, None)
        beside = Site("../index.html", {one: f"weekly-{one}.html" for one in ("2026-W46", "2026-W47")})
        assert pages[f"weeks/weekly-{label}.html"] == render_page(report, charts_of(report), beside)


def test_a_week_leads_to_the_index_to_the_weeks_beside_it_and_from_each_of_its_rows(sqlite_archive_file, written):
    starts = ("2026-11-03 10:00", "2026-11-10 10:00", "2026-11-17 10:00")
    put(sqlite_archive_file, attempts=[attempt(plan_id=start, start=start) for start in starts], runs=[run()])

    _, _, _, pages = written(sqlite_archive_file)

    links = {
        label: [link for link in Page(pages[f"weeks/weekly-{label}.html"]).links if not link.startswith("#")]
        for label in ("2026-W45", "2026-W46", "2026-W47")
    }
    assert links["2026-W45"][:2] == ["../index.html", "weekly-2026-W46.html"]
    assert links["2026-W46"][:3] == ["../index.html", "weekly-2026-W45.html", "weekly-2026-W47.html"]
    assert set(links["2026-W47"]) == {"../index.html", *(f"weekly-{label}.html" for label in links)}


def test_each_page_allows_its_own_style_sheet_alone(sqlite_archive_file, written):
    fill_week_47(sqlite_archive_file)

    _, _, _, pages = written(sqlite_archive_file)

    for name, text in pages.items():
        policy = next(found["content"] for tag, found in Page(text).tags if found.get("http-equiv"))
        sheet = re.search("<style>(.*?)</style>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}';" in policy, name
        assert not any("style" in found for _, found in Page(text).tags), name


@pytest.mark.parametrize("seed", range(3))
def test_frames_cut_out_of_a_longer_time_are_those_read_for_the_shorter(sqlite_archive_file, seed):
    engine = sqlite_archive_file.engine
    put(sqlite_archive_file, **random_archive(20 + seed, plans=60), runs=[run("p1")])
    whole = load_frames(engine, Window.of_weeks(MONDAY, 30, UTC_ZONE))
    shorter = Window.of_weeks(date(2026, 10, 26), 1, UTC_ZONE)

    cut, read = site.within(whole, shorter), load_frames(engine, shorter)

    assert 0 < len(cut.attempts) < len(whole.attempts)
    for name in ("attempts", "rollbacks", "components"):
        mine, theirs = (getattr(frames, name).astype("str") for frames in (cut, read))
        columns = mine.columns.to_list()
        assert sorted(mine[columns].to_numpy().tolist(), key=str) == sorted(
            theirs[columns].to_numpy().tolist(), key=str
        )
    assert week_rows(cut, shorter) == week_rows(read, shorter)


def week_rows(frames, window):
    return records(failure_rates(frames, Selection(window, ("week", "component"))))


@pytest.mark.parametrize("archive", ["sqlite"], indirect=True)
def test_written_again_nothing_changes_and_elsewhere_it_is_the_same(archive, written, tmp_path):
    fill_week_47(archive)

    _, first, _, pages = written(archive)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "site").rglob("*")}
    _, again, _, _ = written(archive)
    _, _, _, elsewhere = written(archive, directory="other")

    assert f"({len(pages)} pages, {len(pages)} of them new or changed)" in first
    assert f"({len(pages)} pages, 0 of them new or changed)" in again
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "site").rglob("*")}
    assert elsewhere == pages


def file_name(project, component_id):
    return f"{hashlib.sha256(f'{project}{chr(10)}{component_id}'.encode()).hexdigest()[:16]}.html"


def test_the_index_tells_each_week_and_each_component(sqlite_archive_file, written):
    fill_week_47(sqlite_archive_file)

    _, _, _, pages = written(sqlite_archive_file)

    # Of two attempts one failed: Wilson's interval of 1 of 2 is 9.5 to 90.5 %.
    told = Page(pages["index.html"]).text
    assert "2026-W47 2026-11-16 to 11-22 too little data provisional 2" in told
    assert "1 of 2, 50.0 % (9.5\N{EN DASH}90.5), too few to say" in told
    assert "1 rollback failed" in told
    # What a figure opens is what the page of its week lists for it.
    week = "weeks/weekly-2026-W47.html"
    opened = {f"{week}#releases&{asked}" for asked in ("week=2026-W47", "is=tried-failed", "is=rollback-failed")}
    assert {*opened, f"{week}#nights&week=2026-W47"} <= set(Page(pages["index.html"]).links)
    # And what a component's page lists for it; nothing was rolled back of the one that worked.
    api, web = (f"components/{file_name('p', name)}" for name in ("api", "web"))
    told_of_api = {f"{api}#releases&{asked}" for asked in ("week=all", "is=tried-failed", "is=rolled-back")}
    told_of_web = {f"{web}#releases&{asked}" for asked in ("week=all", "is=tried-finished", "is=finished")}
    assert told_of_api | told_of_web <= set(Page(pages["index.html"]).links)
    assert "1 of 2" in told
    assert "api" in told
    assert "web" in told


def test_a_components_page_has_its_rate_rollbacks_releases_and_messages(sqlite_archive_file, written):
    fill_week_47(sqlite_archive_file)

    _, _, _, pages = written(sqlite_archive_file)

    name = f"components/{file_name('p', 'api')}"
    assert "../weeks/weekly-2026-W47.html#releases&component=api&project=p&is=tried" in Page(pages[name]).links
    told = Page(pages[name]).text
    assert "Component api of project p. team: (unlabelled), environment: (unlabelled), tier: (unlabelled)." in told
    assert "2026-W47: 1 of 1 failed, 100.0 % (20.7\N{EN DASH}100.0 %), too few to say" in told
    assert "Failed attempts 100.0 % 1 of 1, 95 % interval 20.7\N{EN DASH}100.0 %, too few to say" in told
    assert "probe failed 1 2026-11-16 10:00 2026-11-16 10:00 yes" in told
    assert "2026-11-16 11:00 plan 1 failed rb 2026-11-16 11:01" in told
    assert "2026-11-16 10:00 1.0 rollback failed plan 1 1 \N{EN DASH} 2026-11-16 10:01" in told


def test_a_components_page_holds_all_of_its_releases_and_each_once(sqlite_archive_file, written):
    mondays = [date(2026, 11, 16) - timedelta(weeks=back) for back in range(5)]
    starts = [
        f"{monday + timedelta(days=day)} 10:{minute:02}"
        for monday in mondays
        for day in range(7)
        for minute in (0, 9, 30, 59)
    ]
    attempts = [attempt(plan_id=f"plan {number}", start=start) for number, start in enumerate(starts)]
    put(sqlite_archive_file, attempts=attempts, components=[component(plan_id="plan 0")], runs=[run()])

    _, _, _, pages = written(sqlite_archive_file)

    text = pages[f"components/{file_name('p', 'api')}"]
    whole, part, pack = re.search('id="pack" data-whole="([^"]*)" data-part="([^"]*)">([^<]*)</script>', text).groups()
    listed = re.findall(r'<tr [^>]*data-week="[^"]+"[^>]*><th scope="row">([^<]+)</th>', text)
    packed = [f"{datetime.fromtimestamp(one[0] * 60, UTC):%Y-%m-%d %H:%M}" for one in read_pack(pack)]
    assert (len(whole.split()), part) == (5, "")
    assert listed == sorted(starts, reverse=True)[:100]
    assert packed == sorted(starts)[:-100]


@pytest.mark.parametrize("archive", ["sqlite"], indirect=True)
def test_an_issued_week_is_marked_as_such(archive, written):
    fill_week_47(archive)
    _, _, _, before = written(archive)
    issue_weekly(load_settings(None), MONDAY, None, datetime(2026, 11, 24, 6, tzinfo=UTC))

    _, _, _, after = written(archive)
    _, _, _, of_project = written(archive, "--project", "p", directory="other")

    assert "2026-11-24 06:00 UTC" not in before["index.html"]
    assert "2026-11-24 06:00 UTC" in after["index.html"]
    assert "2026-11-24 06:00 UTC" not in of_project["index.html"]  # that report was on all projects
    assert "project p." in Page(of_project["index.html"]).text


def test_an_empty_archive_gives_a_site_that_says_so(archive, written):
    code, out, err, pages = written(archive)

    assert (code, err) == (0, "")
    assert set(pages) == {"index.html", "metrics.html"}
    assert "The archive is empty: no run has ended yet" in Page(pages["index.html"]).text
    assert "2 pages" in out


def test_an_archive_of_this_week_alone_says_that_no_week_is_whole(sqlite_archive_file, written):
    put(sqlite_archive_file, attempts=[attempt(start="2026-11-23 10:00")], runs=[run()])

    _, _, _, pages = written(sqlite_archive_file)

    assert set(pages) == {"index.html", "metrics.html"}
    assert "no whole week yet" in Page(pages["index.html"]).text


def test_a_long_time_of_which_nothing_is_known_is_one_line_and_no_page(sqlite_archive_file, written):
    attempts = [attempt(start="1999-12-30 10:00", plan_id="old"), attempt()]
    put(sqlite_archive_file, attempts=attempts, runs=[run()])

    _, _, _, pages = written(sqlite_archive_file)

    # The week of the old attempt, and that of the new one.
    assert sorted(name for name in pages if name.startswith("weeks/")) == [
        "weeks/weekly-1999-W52.html",
        "weeks/weekly-2026-W47.html",
    ]
    assert "2000-W01 to 2026-W46 nothing known" in Page(pages["index.html"]).text


def test_no_releases_and_not_collected_do_not_look_alike(sqlite_archive_file, written):
    nights = [night(f"2026-11-{day:02}", "done" if day > 15 else "missed") for day in range(9, 23)]
    put(sqlite_archive_file, attempts=[attempt(start="2026-11-02 10:00")], nights=nights, runs=[run()])

    _, _, _, pages = written(sqlite_archive_file)

    told = Page(pages["index.html"]).text
    assert re.search(r"2026-W47 .* 0 no releases no releases 7 of 7 .*2026-W46", told)
    assert re.search(r"2026-W46 .* \? not collected not collected 0 of 7 .*2026-W45", told)


def sha256_of(text):
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


HOSTILE = (
    *("<script>alert(1)</script>", "</title><script>alert(2)</script>", '"><img src=x onerror=alert(3)>'),
    *("' onmouseover='alert(4)", "javascript:alert(5)", "<svg/onload=alert(6)>", "{{ 7 * 7 }}", "{% raw %}"),
    *("../../etc/passwd", "..", ".", "/", "\\", "CON", "a/b", "a?b#c", "%2e%2e%2f", "x" * 300, " ", "\n", "\t"),
    *("\u202egnp.exe", "\u0000".replace("\u0000", "\u0001"), "é", "日本語", "🚀", "&lt;b&gt;", "<!--", "]]>", "--"),
    *("=1+1", "@import 'x'", "</style><script>alert(8)</script>", "</pre>", "<base href=//evil>"),
)


def test_hostile_names_and_messages_stay_text_in_files_of_safe_names(sqlite_archive_file, written, tmp_path):
    put(
        sqlite_archive_file,
        attempts=[
            attempt("failed", component_id=name, version=name, plan_id=f"plan {name}", fail_message=name)
            for name in HOSTILE
        ],
        rollbacks=[
            rollback("failed", component_id=name, rollback_job_id=name, plan_id=f"plan {name}") for name in HOSTILE
        ],
        components=[component(component_id=name, plan_id=f"plan {name}") for name in HOSTILE],
        runs=[run()],
    )

    code, _, err, pages = written(sqlite_archive_file)

    assert (code, err) == (0, "")
    assert len(HOSTILE) >= 30
    stories = [name for name in pages if name.startswith("components/")]
    assert len(stories) == len(HOSTILE)
    assert all(re.fullmatch(r"components/[0-9a-f]{16}\.html", name) for name in stories)
    assert {path.name for path in tmp_path.iterdir()} <= {"site", "archive.db"} | {
        path.name for path in tmp_path.glob("archive.db-*")
    }
    for name in [*stories, "index.html"]:
        page = Page(pages[name])
        tags = {tag for tag, _ in page.tags}
        assert tags.isdisjoint({"img", "base", "iframe", "b", "link"}), name
        assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
        assert all(re.match(r"[\w./#=&,%~-]*\Z", link) for link in page.links)
        policy = next(found["content"] for tag, found in page.tags if found.get("http-equiv"))
        scripts = re.findall("<script>(.*?)</script>", pages[name], re.DOTALL)
        hashes = "".join(f" 'sha256-{sha256_of(script)}'" for script in scripts)
        assert policy.startswith(f"default-src 'none'; {f'script-src{hashes}; ' if scripts else ''}style-src 'sha256-")
        assert [found for tag, found in page.tags if tag == "script" and not found] == [{}] * len(scripts)
        assert len(scripts) == (name in stories)
    assert "<script>alert(1)</script>" in Page(pages["index.html"]).text


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ((), 2, "DIR"),
        (("site", "--weeks", "0"), 2, "weeks"),
        (("site", "--as-of", "yesterday"), 2, "yesterday"),
        (("site", "--config", "none.toml"), 2, "none.toml"),
        (("site",), 3, "archive"),
    ],
)
def test_what_can_not_be_done_is_said_with_its_exit_code(arguments, code, word, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")

    assert cli.run(["site", *arguments], clock=CLOCK) == code
    assert word in capfd.readouterr().err
    assert not (tmp_path / "site").exists()


def test_a_site_as_of_an_instant_ends_with_the_week_before_it(sqlite_archive_file, written):
    fill_week_47(sqlite_archive_file)

    code, _, _, pages = written(sqlite_archive_file, "--as-of", "2026-11-24T12:00:00Z")

    assert code == 0
    assert "weeks/weekly-2026-W47.html" in pages


def test_what_was_worked_out_is_kept_for_the_same_frame_alone_and_copied():
    asked = []

    @kept
    def doubled(frame, *, times=2):
        asked.append(times)
        return frame * times

    frame = week_frame()
    first = doubled(frame)
    first["failed"] = 0
    again = doubled(frame)
    doubled(frame, times=3)
    doubled(week_frame())

    assert again["failed"].to_list() == [2, 4]
    assert asked == [2, 3, 2]


def week_frame():
    return pd.DataFrame({"failed": [1, 2]})
