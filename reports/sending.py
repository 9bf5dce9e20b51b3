"""The weekly report as a message to the services of ARCHIVER_NOTIFY_URLS."""

import asyncio
from collections.abc import Sequence

from archiver.delivery import Delivered, Service, deliver_all
from archiver.errors import ArchiverError
from archiver.settings import Settings
from reports.mail import mail_body, message_text, title_of
from reports.render import render_weekly
from reports.weekly import WeeklyReport


class DeliveryError(ArchiverError):
    """The report was not delivered to every service; all else that was asked for is done."""

    exit_code = 1


def send_weekly(report: WeeklyReport, services: Sequence[Service], settings: Settings) -> tuple[list[str], list[str]]:
    """Send the report to each service; return the names of those that took it, and a line for each that did not.

    The page and the JSON file go along where a service takes files.
    """
    stem = f"weekly-{report.week.label}"
    files = render_weekly(report)
    message = {
        "title": title_of(report),
        "markdown": message_text(report),
        "html": mail_body(report),
        "files": {name: files[name] for name in (f"{stem}.html", f"{stem}.json")},
    }
    delivered = Delivered()
    asyncio.run(deliver_all(message, services, settings, delivered))
    return delivered.sent, delivered.failed
