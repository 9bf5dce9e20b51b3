"""A message sent to the services of ARCHIVER_NOTIFY_URLS, each by itself."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import certifi

from archiver.errors import SettingsError
from archiver.settings import Settings

# So long a service may take, retries that its URL asks for included.
DELIVERY_SECONDS = 60.0
_MAY_HAVE_IT = "and may have it or not"
_LOOPBACK = "localhost,127.0.0.1,::1"
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True)
class Service:
    """A service to send to: its URL, which holds secrets, and its name, which holds none."""

    url: str
    name: str

    def __repr__(self) -> str:
        """Show the name alone."""
        return f"Service({self.name})"


def services_of(settings: Settings, what: str = "notifications") -> list[Service]:
    """Return the services of ARCHIVER_NOTIFY_URLS. SettingsError if there is none, or one can't be used."""
    urls = settings.notify_services
    if not urls:
        raise SettingsError(f"{what}: nowhere to send to: set ARCHIVER_NOTIFY_URLS")
    if find_spec("apprise") is None:
        raise SettingsError(f"{what} needs the extra notify: pip install 'release-archiver[notify]'")
    if settings.ca_bundle is not None and not settings.ca_bundle.exists():
        raise SettingsError(f"ARCHIVER_CA_BUNDLE: there is no file {settings.ca_bundle}")
    from archiver.services import ServiceRefusedError, open_service, service_name  # noqa: PLC0415 - an extra's import

    services = []
    for place, url in enumerate(urls, 1):
        try:
            name = service_name(open_service(url))
        except ServiceRefusedError as error:
            raise SettingsError(f"ARCHIVER_NOTIFY_URLS: URL {place} of {len(urls)} {error}") from None
        services.append(Service(url, name if len(urls) == 1 else f"{name} (URL {place} of {len(urls)})"))
    return services


@dataclass
class Delivered:
    """What became of a message: the names of the services that took it, and a line for each that did not."""

    sent: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    may_have_it: bool = False  # one of those that did not, all the same


async def deliver_all(
    message: dict[str, Any], services: Sequence[Service], settings: Settings, delivered: Delivered
) -> None:
    """Send a message (title, markdown, html, files by name) to each service, and note what became of it on the way.

    Cancelled, it ends the courier at work, and what it noted stands.
    """
    with _surroundings(settings) as environment:
        for service in services:
            reason = await _send(json.dumps({"url": service.url, "message": message}), environment)
            if reason is None:
                delivered.sent.append(service.name)
            else:
                delivered.failed.append(f"{service.name}: {reason}")
                delivered.may_have_it = delivered.may_have_it or reason.endswith(_MAY_HAVE_IT)


async def _send(job: str, environment: dict[str, str]) -> str | None:
    """Let a courier do the job; return None, or why it was not done."""
    courier = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "archiver.courier", str(DELIVERY_SECONDS)),  # no part of a URL stands in the command
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it can hold parts of the URL
        env=environment,
    )
    try:
        answer, _ = await courier.communicate(job.encode())
    except asyncio.CancelledError:
        courier.kill()
        await courier.wait()
        raise
    if courier.returncode == -signal.SIGALRM:
        return f"it took longer than {DELIVERY_SECONDS:g} s, {_MAY_HAVE_IT}"
    try:
        reason: str | None = json.loads(answer)["reason"]
    except ValueError:
        return f"the delivery broke off (exit code {courier.returncode})"
    return reason


@contextmanager
def _surroundings(settings: Settings) -> Iterator[dict[str, str]]:
    """Give the environment in which a courier finds proxy and trust, as every connection of the archiver has them.

    ARCHIVER_PROXY carries all HTTP; without it the usual variables hold, and loopback is reached directly. Mail
    servers are reached directly. ARCHIVER_CA_BUNDLE adds to the system's trust. `.netrc` is not read.
    """
    ours = ("ARCHIVER_", "HUAWEICLOUD_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment["NETRC"] = os.devnull
    if settings.proxy is not None:
        environment = {name: value for name, value in environment.items() if name.lower() not in _PROXIES}
        proxy = settings.proxy.get_secret_value()
        environment |= dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), proxy)
    else:
        direct = environment.pop("NO_PROXY", "")
        environment["no_proxy"] = ",".join(filter(None, (environment.get("no_proxy", direct), _LOOPBACK)))
    with tempfile.TemporaryDirectory(prefix="archiver-trust-") as directory:
        trust = Path(directory) / "trust.pem"
        trust.write_bytes(_certificates(settings.ca_bundle))
        environment |= {"REQUESTS_CA_BUNDLE": str(trust), "SSL_CERT_FILE": str(trust)}
        yield environment


def _certificates(bundle: Path | None) -> bytes:
    """Return the system's trusted certificates and those of a file or directory, as PEM."""
    paths = [Path(ssl.get_default_verify_paths().cafile or certifi.where())]
    if bundle is not None:
        paths += sorted(path for path in bundle.iterdir() if path.is_file()) if bundle.is_dir() else [bundle]
    try:
        return b"\n".join(path.read_bytes() for path in paths)
    except OSError as error:
        raise SettingsError(f"ARCHIVER_CA_BUNDLE: can't read {error.filename}: {error.strerror}") from None
