"""The weekly report as a message to the services of ARCHIVER_NOTIFY_URLS."""

import asyncio
from collections.abc import Sequence

from archiver.delivery import Delivered, Service, deliver_all
from archiver.errors import ArchiverError
from archiver.settings import Settings
from reports.mail import mail_body, message_text, title_of
from reports.page import charts_of, render_page
from reports.render import render_json_file
from reports.weekly import WeeklyReport


class DeliveryError(ArchiverError):
    """The report was not delivered to every service; all else that was asked for is done."""

    exit_code = 1


def send_weekly(report: WeeklyReport, services: Sequence[Service], settings: Settings) -> tuple[list[str], list[str]]:
    """Send the report to each service; return the names of those that took it, and a line for each that did not.

    The page and the JSON file go along where a service takes files.
    """
    stem = f"weekly-{report.week.label}"
    page = render_page(report, charts_of(report))
    message = {
        "title": title_of(report),
        "markdown": message_text(report),
        "html": mail_body(report),
        "files": {f"{stem}.html": page, f"{stem}.json": render_json_file(report)},
    }
    delivered = Delivered()
    asyncio.run(deliver_all(message, services, settings, delivered))
    return delivered.sent, delivered.failed
