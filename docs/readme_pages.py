"""Puts the README's sections into the site as pages, and leads links to the README to them (a hook of MkDocs).

The README stays whole for who reads it in the repository, and nothing is written twice.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# A page: its title, and the README's sections that make it.
PAGES = {
    "guides/install.md": ("Install for good", ["Install for good"]),
    "guides/accounts.md": ("Several regions or accounts", ["Several regions or accounts"]),
    "guides/health.md": (
        "Keep an eye on it",
        ["What is wrong?", "Is it well?", "Told when it fails, and when it is over", "Measured"],
    ),
    "guides/reports.md": ("Send the weekly report", ["Sent on Monday"]),
    "guides/labels.md": ("Teams and environments", ["Whose is it?"]),
    "guides/roles.md": ("Roles on PostgreSQL", ["Roles"]),
    "guides/sql.md": ("Ask with SQL", ["Views", "Tables"]),
    "explanation/how-it-flows.md": ("How it flows", ["How it flows"]),
    "explanation/reliability.md": ("Reliability", ["Reliability"]),
    "explanation/decisions.md": ("Decisions", ["Decisions"]),
}
# Whole files of the repository.
FILES = {"explanation/security.md": "SECURITY.md", "changelog.md": "CHANGELOG.md"}

_HEADING = re.compile(r"^(##+) (.+)$")
_ITEM = re.compile(r"(?:[-*]|\d+\.) ")
_LINK = re.compile(r"\[([^\]\n]+)\]\(([^)\s]+)\)")


def sections(readme: str) -> dict[str, str]:
    """Return the text below each heading of the README, with the headings below that one."""
    found: dict[str, list[str]] = {}
    opened: list[tuple[int, str]] = []
    is_code = False
    for line in readme.splitlines():
        is_code ^= line.startswith("```")
        heading = None if is_code else _HEADING.match(line)
        if heading:
            level = len(heading[1])
            opened = [one for one in opened if one[0] < level]
        for _, title in opened:
            found[title].append(line)
        if heading:
            opened.append((len(heading[1]), heading[2]))
            found[heading[2]] = []
    return {title: "\n".join(lines).strip() + "\n" for title, lines in found.items()}


def slug(title: str) -> str:
    """Return a heading's anchor, as GitHub and MkDocs make it."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower())


def pages() -> dict[str, str]:
    """Return the pages' Markdown by where they stand; their links are still the README's."""
    said = sections((ROOT / "README.md").read_text("utf-8"))
    made = {}
    for place, (title, names) in PAGES.items():
        parts = [f"# {title}\n"]
        for name in names:
            parts += [f"## {name}\n"] if len(names) > 1 else []
            parts.append(said[name])
        made[place] = "\n".join(parts)
    return made | {place: (ROOT / name).read_text("utf-8") for place, name in FILES.items()}


def led(markdown: str, place: str, *, comes_from: str) -> str:
    """Return a page with its links as the site has them.

    `place` is where the page stands in the site, `comes_from` the file in the repository that its links start from.
    """
    shown_in = {slug(name): page for page, (_, names) in PAGES.items() for name in names}
    shown_as = {name: page for page, name in FILES.items()}

    def target(match: re.Match[str]) -> str:
        text, link = match.groups()
        if "://" in link or link.startswith("mailto:"):
            return match[0]
        path, _, anchor = link.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(comes_from), path)) if path else comes_from
        if path == comes_from and path.startswith("docs/"):
            return match[0]
        if path == "README.md":
            page = shown_in.get(anchor)
            anchor = anchor if page and len(PAGES[page][1]) > 1 else ""
        else:
            page = shown_as.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if page is None:  # what the site has not, such as the benchmarks
            return text
        found = posixpath.relpath(page, posixpath.dirname(place) or ".")
        return f"[{text}]({found}{f'#{anchor}' if anchor else ''})"

    return _LINK.sub(target, markdown)


def with_lists(markdown: str) -> str:
    """Part a list from the paragraph above it: Python's Markdown sees none there, GitHub does."""
    lines: list[str] = []
    is_code = False
    for line in markdown.splitlines():
        is_code ^= line.startswith("```")
        above = lines[-1] if lines else ""
        if not is_code and _ITEM.match(line) and above.strip() and not (above[0] in " #|" or _ITEM.match(above)):
            lines.append("")
        lines.append(line)
    return "\n".join(lines) + "\n"


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages that stand in no file of their own."""
    for place, markdown in pages().items():
        files.append(File.generated(config, place, content=markdown))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Lead the links of a page, and show its lists."""
    place = page.file.src_uri
    return led(
        with_lists(markdown), place, comes_from=FILES.get(place) or ("README.md" if place in PAGES else f"docs/{place}")
    )
