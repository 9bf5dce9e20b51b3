"""The commands that publish: `site`, all weeks and components as static pages; `dictionary`, what metrics mean."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from archiver.settings import load_settings
from reports.asked import parse_as_of, save, show
from reports.dictionary import markdown_dictionary
from reports.options import AsOf, Config, Output, Project, clock_of
from reports.site import site_files


def write_site(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory for the pages; made if missing.")],
    *,
    weeks: Annotated[int | None, typer.Option(min=1, help="Only the last so many whole weeks. Default: all.")] = None,
    project: Project = None,
    as_of: AsOf = None,
    config: Config = None,
) -> None:
    """Write a site: an index over all weeks, each week's report, a page a component, the metric dictionary.

    Static pages that need no server and load nothing. A page that is there already and says the same is left as it
    is; pages that an earlier site had and this one has not stay where they are.
    """
    settings = load_settings(config)
    zone = ZoneInfo(settings.timezone)
    at = parse_as_of(as_of, zone)
    today = (at or clock_of(context).now()).astimezone(zone).date()
    pages, written = _written(directory, site_files(settings, today, project or None, at, weeks))
    index = directory / "index.html"
    show(f"{index} ({pages:,} pages, {written:,} of them new or changed)\n".encode())


def _written(directory: Path, files: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """Write what differs; return how many pages there are, and how many were written."""
    pages = written = 0
    for name, text in files:
        path, content = directory / name, text.encode()
        pages += 1
        if not (path.is_file() and path.read_bytes() == content):
            save(path, content)
            written += 1
    return pages, written


def write_dictionary(output: Output = None) -> None:
    """Write the metric dictionary as Markdown: each metric with its definition, its version and its SQL."""
    content = markdown_dictionary().encode()
    if output is None:
        show(content)
    else:
        save(output, content)
