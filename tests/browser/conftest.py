"""What the browser's tests share: Chromium, pages opened from disk, and all that they complained of or asked for."""

import os
import shutil
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Page, sync_playwright

_IS_REQUIRED = os.environ.get("ARCHIVER_TEST_REQUIRE_BROWSER", "") not in ("", "0")
_HOW = "install Debian's package chromium, or name a Chromium with ARCHIVER_TEST_CHROMIUM"
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 900}}


@dataclass
class Seen:
    """One opened page, and what it said on its console and asked the network for."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def settle(self):
        """Wait until the page shows what its address says."""
        self.until("document.documentElement.dataset.shows === location.hash")

    def until(self, expression):
        """Wait until it holds; asked from outside, since the page's policy lets nothing be evaluated within."""
        for _ in range(600):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"it never came true: {expression}")

    def rows(self, table):
        """Return the texts of the first cell of the table's visible rows."""
        self.settle()
        cells = self.page.locator(f"#table-{table} tbody tr:visible > :first-child")
        return [text.strip() for text in cells.all_text_contents()]

    def column(self, table, number):
        """Return the texts of one column of the table's visible rows."""
        self.settle()
        return self.page.locator(f"#table-{table} tbody tr:visible > :nth-child({number})").all_text_contents()


@pytest.fixture(scope="session")
def chromium():
    """Return a running Chromium; without one, skip or fail."""
    path = os.environ.get("ARCHIVER_TEST_CHROMIUM") or shutil.which("chromium")
    if path is None:
        answer = pytest.fail if _IS_REQUIRED else pytest.skip
        answer(f"no Chromium is installed: {_HOW}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, tmp_path):
    """Return a function that writes a page to disk and opens it, once its charts are drawn."""
    contexts = []

    def opened(text, *, anchor="", size="desktop", scheme="light", has_scripts=True, has_charts=True):
        path = tmp_path / "weekly-2026-W47.html"
        path.write_text(text, "utf-8")
        context = chromium.new_context(
            viewport=SIZES[size], color_scheme=scheme, java_script_enabled=has_scripts, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        seen = Seen(page, path.as_uri())
        page.on("console", lambda message: seen.complaints.append(message.text))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (seen.complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: seen.requests.append(request.url))
        page.goto(seen.url + anchor)
        if has_scripts and has_charts:
            page.wait_for_selector("html[data-charts=drawn]")
        return seen

    yield opened
    for context in contexts:
        context.close()


def pytest_terminal_summary(terminalreporter):
    """Say loudly that the page was not looked at for want of a browser."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if "Chromium" in str(report.longrepr)]
    if skipped:
        terminalreporter.section("The page was NOT tested in a browser", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests were skipped for want of Chromium: {_HOW}.")
