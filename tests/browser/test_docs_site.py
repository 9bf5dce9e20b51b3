"""The documents' site opened from disk without a network: it is whole, fits, and can be searched."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 900}}
PAGES = ("index", "tutorial", "cookbook", "settings", "schema", "metrics", "guides/health", "tools/grafana")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return folder


@pytest.fixture
def page(chromium, request):
    """Return a page of a Chromium without a network, and what it complained of or asked other hosts for."""
    size, scheme = getattr(request, "param", ("desktop", "light"))
    context = chromium.new_context(viewport=SIZES[size], color_scheme=scheme, offline=True, reduced_motion="reduce")
    page, seen = context.new_page(), []
    page.on("console", lambda message: seen.append(message.text))
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("request", lambda asked: seen.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None)
    yield page, seen
    context.close()


@pytest.mark.parametrize("page", [(size, scheme) for size in SIZES for scheme in ("light", "dark")], indirect=True)
def test_pages_open_from_disk_ask_nothing_of_the_network_and_fit(page, site):
    opened, seen = page

    for name in PAGES:
        opened.goto((site / f"{name}.html").as_uri())
        opened.wait_for_selector("h1")
        width = opened.viewport_size["width"]
        assert opened.evaluate("document.documentElement.scrollWidth") <= width, name
    assert seen == []


def test_searching_works_from_disk(page, site):
    opened, seen = page
    opened.goto((site / "index.html").as_uri())

    found = opened.locator(".md-search-result__list")
    for _ in range(30):  # what is typed before the index is read may be lost
        opened.fill(".md-search__input", "")
        opened.locator(".md-search__input").press_sequentially("rollback rate")
        opened.wait_for_timeout(1_000)
        if "Rollback rate" in (found.text_content() or ""):
            break
    else:
        pytest.fail("nothing was found")
    assert seen == []
