"""The documents' site: built with warnings as errors, whole, and asking nothing of any other host."""

import importlib.util
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from fenced import DOCUMENTS, ROOT

_SPEC = importlib.util.spec_from_file_location("readme_pages", ROOT / "docs" / "readme_pages.py")
readme_pages = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(readme_pages)


def built(root, site):
    """Build a checkout's site."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return the folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    done = built(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_document_and_every_section_that_is_led_to_is_a_page(site):
    pages = {str(path.relative_to(ROOT / "docs")) for path in DOCUMENTS if path.parent != ROOT}

    for page in sorted(pages | readme_pages.pages().keys()):
        assert "<h1" in (site / page).with_suffix(".html").read_text("utf-8"), page


def test_nothing_is_loaded_from_another_host(site):
    loading = re.compile(r"<(?:script|img|iframe|link)[^>]*?(?:src|href)=[\"']?(?:https?:)?//[^\s>]+")
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    loaded = {
        match for page in pages for match in loading.findall(page.read_text("utf-8")) if 'rel="canonical"' not in match
    }

    assert len(pages) > 30
    assert loaded == set()


def test_diagrams_are_shown_as_text_since_drawing_them_would_load_a_program(site):
    assert 'class="mermaid"' not in (site / "schema.html").read_text("utf-8")
    assert "erDiagram" in (site / "schema.html").read_text("utf-8")


@pytest.mark.parametrize("wrong", ["[no page](nowhere.md)", "[no heading](settings.md#nowhere)"])
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path, wrong):
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "SECURITY.md", "CHANGELOG.md", "mkdocs.yml"):
        shutil.copy(ROOT / name, tmp_path)
    with (tmp_path / "docs" / "tutorial.md").open("a") as page:
        page.write(f"\n{wrong}\n")

    assert built(tmp_path, tmp_path / "site").returncode != 0


def test_links_between_the_files_lead_somewhere_in_the_repository_too():
    link = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]+)?\)")
    lost = [
        f"{document.relative_to(ROOT)}: {match[0]}"
        for document in DOCUMENTS
        for match in link.finditer(document.read_text("utf-8"))
        if not (document.parent / match[1]).exists()
        or (match[2] and match[1].endswith("README.md") and match[2][1:] not in _anchors())
    ]

    assert lost == []


def _anchors():
    return {readme_pages.slug(title) for title in readme_pages.sections((ROOT / "README.md").read_text("utf-8"))}


def test_a_section_goes_to_the_next_heading_of_its_height_and_code_is_none():
    readme = "# R\n\n## One\n\na\n\n```console\n## no heading\n```\n\n### Inner\n\nb\n\n## Two\n\nc\n"

    assert readme_pages.sections(readme) == {
        "One": "a\n\n```console\n## no heading\n```\n\n### Inner\n\nb\n",
        "Inner": "b\n",
        "Two": "c\n",
    }


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("[a](../../README.md#roles)", "[a](../guides/roles.md)"),
        ("[a](../../README.md#measured)", "[a](../guides/health.md#measured)"),
        ("[a](../../SECURITY.md)", "[a](../explanation/security.md)"),
        ("[a](../../benchmarks/README.md)", "a"),
        ("[a](../schema.md#weeks)", "[a](../schema.md#weeks)"),
        ("[a](#below)", "[a](#below)"),
        ("[a](https://example.com/README.md)", "[a](https://example.com/README.md)"),
    ],
)
def test_a_link_of_the_repository_becomes_one_of_the_site(link, expected):
    assert readme_pages.led(link, "tools/psql.md", comes_from="docs/tools/psql.md") == expected


def test_the_readme_s_own_links_are_led_from_where_its_sections_are_shown():
    led = readme_pages.led(
        "[a](#roles), [b](docs/export.md), [c](#no-section)", "guides/sql.md", comes_from="README.md"
    )

    assert led == "[a](roles.md), [b](../export.md), c"


def test_a_list_right_below_a_paragraph_is_a_list():
    text = "It has\n- one, which\n  goes on\n- two\n\nand\n```\nso\n- no list\n```\n"

    assert readme_pages.with_lists(text) == text.replace("has\n", "has\n\n")


def test_every_page_stands_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    named = set(re.findall(r"[\w/-]+\.md", str(yaml.safe_load(text)["nav"])))
    pages = {str(path.relative_to(ROOT / "docs")) for path in DOCUMENTS if path.parent != ROOT}

    assert named == pages | readme_pages.pages().keys()
