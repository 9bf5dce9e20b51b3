"""A notify URL opened by Apprise, or refused; its name, which shows no secret. The only place that knows Apprise."""

import logging
import re
from typing import Any

import apprise
from apprise.attachment.memory import AttachMemory

from archiver.settings import is_loopback

# Services that carry mail, by scheme: they get HTML. Elsewhere HTML means a handful of tags.
MAIL_SCHEMES = frozenset(
    {"mailto", "mailtos", "acs", "azure", "brevo", "mailersend", "mailgun", "o365", "postmark", "resend"}
    | {"sendgrid", "sendpulse", "ses", "smtp2go", "sparkpost"}
)
# Apprise waits 4 s at most; mail servers alone are known to greet later than that.
_SOCKET_SECONDS = 30.0
# Its words can hold parts of a URL: they go nowhere.
_log = logging.getLogger("apprise")
_log.addHandler(logging.NullHandler())
_log.propagate = False


class ServiceRefusedError(ValueError):
    """A URL is none that may be used; its text is what to do, and shows nothing of the URL but its scheme."""


def open_service(url: str) -> Any:
    """Return Apprise's service for a URL. Certificates are verified and redirects are not followed, whatever it says.

    ServiceRefusedError where Apprise knows no such service, or it would send in the clear past this machine.
    """
    apprise.URLBase.socket_connect_timeout = apprise.URLBase.socket_read_timeout = _SOCKET_SECONDS
    # Nothing is kept on disk, and the time limit is the courier's.
    asset = apprise.AppriseAsset(app_id="release-archiver", storage_mode="memory", service_timeout=0)
    service: Any = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        raise ServiceRefusedError(
            "is none that Apprise can use: see https://appriseit.com/services for how to write it"
        )
    if not service.verify_certificate:
        raise ServiceRefusedError(
            "says verify=no, but certificates are always verified: name a CA in ARCHIVER_CA_BUNDLE"
        )
    if _is_plain(service) and not is_loopback(getattr(service, "smtp_host", None) or service.host or ""):
        secure = service.secure_protocol if isinstance(service.secure_protocol, str) else service.secure_protocol[0]
        raise ServiceRefusedError(
            f"sends in the clear: write {secure}:// (only this machine's loopback may go without)"
        )
    service.redirects = False
    if service.schema not in MAIL_SCHEMES and "overflow=" not in url:
        # A chat refuses what is past its limit: rather two posts than none, or one without its end.
        service.overflow_mode = apprise.OverflowMode.SPLIT
    return service


def _is_plain(service: Any) -> bool:
    """Tell whether a service that can be secure is asked not to be."""
    if hasattr(service, "secure_mode"):  # mail, where ?mode= has the last word
        return bool(service.secure_mode == "insecure")
    return bool(service.protocol and service.secure_protocol and service.protocol != service.secure_protocol) and not (
        service.secure
    )


def service_name(service: Any) -> str:
    """Return scheme and host. The host stays out where that place of the URL can hold a token instead."""
    is_host = all("{host}" in template for template in service.templates)
    host = getattr(service, "smtp_host", None) or service.host
    return f"{service.schema}://{host}" if is_host and host else f"{service.schema}://…"


def deliver(service: Any, message: dict[str, Any]) -> str | None:
    """Send a message (title, markdown, html, files by name) to a service; return None, or why it did not go.

    Mail gets the HTML, everything else the Markdown, which Apprise turns into what the service writes. Files go
    along where the service takes any.
    """
    _log.setLevel(logging.DEBUG)  # what a socket said stands there, and nowhere else
    html = apprise.NotifyFormat.HTML
    is_mail = service.schema in MAIL_SCHEMES and service.resolve_format(html) == html
    sender = apprise.Apprise()
    sender.add(service)
    result = sender.notify(
        title=message["title"],
        body=message["html"] if is_mail else message["markdown"],
        body_format=html if is_mail else apprise.NotifyFormat.MARKDOWN,
        attach=[_attachment(name, text) for name, text in message["files"].items()],
        log_level=logging.DEBUG,
    )
    return None if result else _reason([(str(entry.level), str(entry.message)) for entry in result.logs()])


_MIME_TYPES = {"html": "text/html", "json": "application/json", "md": "text/markdown", "csv": "text/csv"}


def _attachment(name: str, text: str) -> Any:
    mime_type = _MIME_TYPES.get(name.rpartition(".")[2], "text/plain")
    memory: Any = AttachMemory
    return memory(content=text.encode(), name=name, mimetype=mime_type)


# What is told of a failure is one of these, never a line of the log, which can hold a token of the URL.
_STATUS = re.compile(r"error=([1-5]\d\d)\b")
_FAULTS = (
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted: name its CA in ARCHIVER_CA_BUNDLE"),
    ("roxyError", "the proxy can't be reached, or refuses"),
    ("Tunnel connection failed", "the proxy can't be reached, or refuses"),
    ("(535, ", "the login was refused"),
    ("AUTH extension not supported", "it takes no login"),
    ("Connection refused", "the connection was refused"),
    ("Name or service not known", "the host is not known"),
    ("name resolution", "the host is not known"),
    ("getaddrinfo failed", "the host is not known"),
    ("timed out", "it did not answer in time"),
    ("SSLError", "there was no secure connection"),
    ("was refused", "a recipient was refused"),
)


def _reason(lines: list[tuple[str, str]]) -> str:
    """Tell why a message did not go from the log's levels and lines."""
    for level, line in lines:
        if level != "DEBUG" and (found := _STATUS.search(line)):
            redirect = ", and redirects are not followed" if found[1].startswith("3") else ""
            return f"HTTP status {found[1]}{redirect}"
    # Payloads stand in the log too; what is looked at is what sockets and SMTP servers said.
    told = [line for _, line in lines if line.startswith(("Socket Exception", "SMTP recipient"))]
    return next(
        (words for sign, words in _FAULTS if any(sign in line for line in told)), "it was not reached, or refused"
    )
