"""The command that applies labels, and how it tells what came of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from archiver.labelling import Labelled

_MOST_SHOWN = 20

app = typer.Typer(
    help="Name the teams, environments and tiers of what is released.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The rules; see labels.example.toml.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come of it; change nothing.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file; default archiver.toml, if there.")
    ] = None,
) -> None:
    """Replace the rules by those of FILE, and label every component's place in a plan by them."""
    from archiver.archive import open_archive, open_reader
    from archiver.clock import SystemClock
    from archiver.database import connected
    from archiver.labelling import apply_rules
    from archiver.labels import read_rules
    from archiver.lease import alone
    from archiver.logs import configure
    from archiver.settings import load_settings

    configure("text")
    settings = load_settings(config)
    rules = read_rules(file)
    now = SystemClock().now()
    url = settings.database_url.get_secret_value()
    # Nothing is made or migrated here: where there is no archive, there is nothing to label.
    reader = open_reader(url, settings.database_schema)
    if dry_run:
        with connected(reader, url) as connection:
            found = apply_rules(connection, rules, now, writes=False)
    else:
        engine, _ = open_archive(settings)
        found = alone(engine, lambda connection: apply_rules(connection, rules, now))
        engine.dispose()
    reader.dispose()
    for line in _lines(found, len(rules), is_done=not dry_run):
        typer.echo(line)


def _lines(found: "Labelled", rules: int, *, is_done: bool) -> Iterator[str]:
    from archiver.labels import UNLABELLED

    verb = "changed" if is_done else "would change"
    yield f"{rules} rules, {found.places:,} places of components in plans: {found.changed:,} {verb}"
    for label, counts in found.counts.items():
        known = sorted(((value, count) for value, count in counts.items() if value), key=lambda one: (-one[1], one[0]))
        for value, count in known[:_MOST_SHOWN]:
            yield f"  {label:12}  {count:>9,}  {value}"
        if left := known[_MOST_SHOWN:]:
            yield f"  {label:12}  {sum(count for _, count in left):>9,}  in {len(left)} more"
        if counts[None]:
            yield f"  {label:12}  {counts[None]:>9,}  {UNLABELLED}"
    if found.bare:
        yield f"{found.bare:,} of {found.places:,} places have no label at all"
    for number, rule in found.idle:
        yield f"entry {number} matches nothing: {rule}"
