"""What is told of a night: troubles and their end, once, to the services of ARCHIVER_NOTIFY_URLS."""

import asyncio
import html
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import structlog
from sqlalchemy import Connection, Engine

from archiver.clock import Clock
from archiver.delivery import Delivered, deliver_all, services_of
from archiver.errors import ArchiverError, LeaseHeldError, NightServedError
from archiver.nightly import ProjectOutcome, exit_code, known_failures_ok
from archiver.pings import ping
from archiver.settings import Settings
from archiver.troubles import FAILED, GAP, INCOMPLETE, PLAN, Trouble, load_untold, mark_told
from archiver.writing import in_transaction

log = structlog.get_logger()

PLANS_TOLD = 10
_WORDS = {
    FAILED: "nothing was archived",
    INCOMPLETE: "archived in part",
    PLAN: "plans not archived",
    GAP: "nights missed",
}
# Only what means something within a line: identifiers are full of hyphens, and not every service reads Markdown.
_MARKDOWN = re.compile(r"([\\`*_\[\]|~])")
# A chat turns these into pings and links wherever they stand; the words of an upstream's error may hold them.
_INERT = str.maketrans(
    {
        "<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}",
        "@": "@\N{ZERO WIDTH SPACE}",
        ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}",
        "&": "+",
    }
)


async def tell_of(settings: Settings, engine: Engine, clock: Clock, outcomes: Sequence[ProjectOutcome]) -> None:
    """Ping how the runs of all projects went, and tell what is new. Plans that fail every night spoil no ping."""
    if settings.ping_url is not None:
        try:
            code = exit_code(known_failures_ok(list(outcomes), engine, settings))
        except ArchiverError:  # the database is away: what failed in it has failed
            code = exit_code(list(outcomes))
        if code != LeaseHeldError.exit_code:  # who is at work pings
            await ping(settings, "fail" if code else "success")
    await tell(settings, engine, clock, outcomes)


async def tell(settings: Settings, engine: Engine, clock: Clock, outcomes: Sequence[ProjectOutcome]) -> None:
    """Tell what is new of the projects that were archived just now. It never fails a run: what goes wrong is logged.

    What no service took is told after the next run; what one may have taken is not told again.
    """
    is_others = (LeaseHeldError, NightServedError)
    project_ids = [one.project_id for one in outcomes if not isinstance(one.error, is_others)]
    if settings.notify_urls is None or not project_ids:
        return
    try:
        await _tell(settings, engine, clock, project_ids)
    except (ArchiverError, OSError) as error:
        _log_not_sent(error)


def _log_not_sent(error: Exception) -> None:
    log.error("notify.not_sent", error=error.strerror if isinstance(error, OSError) else str(error))


async def tell_of_archive(settings: Settings, error: str | None) -> None:
    """Ping and tell that nothing can be archived, for want of the archive or of settings; None: that this is over.

    That it was told can be kept nowhere: the caller sees to it that it is told once.
    """
    if error is not None:
        await ping(settings, "fail")
    if settings.notify_urls is None:
        return
    line = "over: it can be archived again" if error is None else f"nothing can be archived: {_one_line(error)}"
    title = "recovered" if error is None else "nothing can be archived"
    delivered = Delivered()
    try:
        services = await asyncio.to_thread(services_of, settings, "ARCHIVER_NOTIFY_URLS")
        await deliver_all(_message(title, [line]), services, settings, delivered)
    except (ArchiverError, OSError) as fault:
        _log_not_sent(fault)
    for reason in delivered.failed:
        log.error("notify.not_delivered", error=reason)


async def _tell(settings: Settings, engine: Engine, clock: Clock, project_ids: Sequence[str]) -> None:
    def load(connection: Connection) -> tuple[list[Trouble], list[Trouble]]:
        return load_untold(connection, project_ids)

    def mark(connection: Connection) -> None:
        mark_told(connection, began, ended, clock.now())

    began, ended = await asyncio.to_thread(in_transaction, engine, load)
    if not began and not ended:
        return
    services = await asyncio.to_thread(services_of, settings, "ARCHIVER_NOTIFY_URLS")
    delivered = Delivered()
    try:
        await deliver_all(message_of(began, ended), services, settings, delivered)
    finally:  # told to stop, too
        for reason in delivered.failed:
            log.error("notify.not_delivered", error=reason)
        if delivered.sent or delivered.may_have_it:
            await asyncio.to_thread(in_transaction, engine, mark)
        if delivered.sent:
            log.info("notify.sent", began=len(began), ended=len(ended), services=len(delivered.sent))


def message_of(began: Sequence[Trouble], ended: Sequence[Trouble]) -> dict[str, Any]:
    """Write the message: a title, and a list as Markdown and as HTML."""
    lines = [*_lines(began), *(f"over: {line}" for line in _lines(ended))]
    return _message(_title(began, ended), lines)


def _message(title: str, lines: Sequence[str]) -> dict[str, Any]:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return {
        "title": f"Release archive: {title}",
        "markdown": "\n".join(f"- {_inert(line)}" for line in lines),
        "html": f"<ul>{items}</ul>",
        "files": {},
    }


def _title(began: Sequence[Trouble], ended: Sequence[Trouble]) -> str:
    kinds = {trouble.kind for trouble in began}
    told = ", ".join(words for kind, words in _WORDS.items() if kind in kinds)
    projects = sorted({trouble.project_id for trouble in (*began, *ended)})
    where = projects[0] if len(projects) == 1 else f"{len(projects)} projects"
    return f"{told or 'recovered'} ({where})"


def _lines(troubles: Sequence[Trouble]) -> Iterator[str]:
    for (project_id, kind), found in groupby(troubles, key=lambda one: (one.project_id, one.kind)):
        group = list(found)
        if kind != PLAN:
            yield from (f"{project_id}: {_WORDS[kind]}: {_one_line(one.message)}" for one in group)
            continue
        yield from (
            f"{project_id}: plan {one.subject} not archived: {_one_line(one.message)}" for one in group[:PLANS_TOLD]
        )
        if len(group) > PLANS_TOLD:
            yield f"{project_id}: and {len(group) - PLANS_TOLD:,} more plans not archived"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]


def _inert(line: str) -> str:
    escaped = _MARKDOWN.sub(r"\\\1", line.translate(_INERT))
    return escaped.replace("://", ":\N{ZERO WIDTH SPACE}//")
