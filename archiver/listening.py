"""What `schedule` answers on loopback while it stays up: `/metrics` and `/healthz`."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog
from aiohttp import web

from archiver.archive import open_reader
from archiver.clock import Clock
from archiver.errors import ArchiverError, SettingsError
from archiver.metrics import Metric, exposition, load_metrics
from archiver.nights import next_due
from archiver.schedule import ScheduleCounts
from archiver.settings import Settings, is_loopback, load_settings

log = structlog.get_logger()

# The archive is counted once in so long, however often it is asked for.
KEPT_SECONDS = 60
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def listen_address(value: str) -> tuple[str, int]:
    """Read `127.0.0.1:9464` or `[::1]:9464`. SettingsError if it is no address of this machine's loopback."""
    host, colon, port = value.rpartition(":")
    host = host.strip("[]")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise SettingsError(f"--listen: {value!r} is no address; write 127.0.0.1:9464")
    if not is_loopback(host):
        raise SettingsError(
            f"--listen: {host} is not this machine's loopback: take 127.0.0.1 and put a proxy before it"
        )
    return host, int(port)


@asynccontextmanager
async def listening(where: str, config: Path | None, clock: Clock, counts: ScheduleCounts) -> AsyncIterator[int]:
    """Answer while the block runs, and give the port. SettingsError if the address can't be had."""
    address = listen_address(where)
    answers = _Answers(config, clock, counts)
    application = web.Application()
    application.router.add_get("/metrics", answers.metrics)
    application.router.add_get("/healthz", answers.health)
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, *address)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(f"--listen: can't listen on {address[0]}:{address[1]}: {error.strerror}") from None
        port = runner.addresses[0][1]
        log.info("schedule.listening", host=address[0], port=port)
        yield port
    finally:
        await runner.cleanup()


class _Answers:
    def __init__(self, config: Path | None, clock: Clock, counts: ScheduleCounts) -> None:
        self._config, self._clock, self._counts = config, clock, counts
        self._loaded_at, self._loaded = -float("inf"), list[Metric]()
        self._one_at_a_time = asyncio.Lock()

    async def metrics(self, _: web.Request) -> web.Response:
        async with self._one_at_a_time:
            if time.monotonic() - self._loaded_at >= KEPT_SECONDS:
                self._loaded = await asyncio.to_thread(self._load)
                self._loaded_at = time.monotonic()
        text = exposition([*self._loaded, *self._of_schedule()])
        return web.Response(body=text.encode(), headers={"Content-Type": _TEXT})

    async def health(self, _: web.Request) -> web.Response:
        counts = self._counts
        is_well = not counts.has_failed_last
        told = {"is_well": is_well, "looks": counts.ticks, "errors": counts.errors}
        return web.Response(text=json.dumps(told) + "\n", status=200 if is_well else 503)

    def _load(self) -> list[Metric]:
        up, found = 1, list[Metric]()
        try:
            settings = load_settings(self._config)
            engine = open_reader(settings.database_url.get_secret_value(), settings.database_schema)
            try:
                found = load_metrics(settings, engine, self._clock.now())
            finally:
                engine.dispose()
            found.append(self._next_night(settings))
        except ArchiverError as error:
            log.warning("metrics.archive_not_read", error=str(error))
            up = 0
        return [Metric("archiver_database_up", "gauge", "Whether the archive could be read.", [({}, up)]), *found]

    def _next_night(self, settings: Settings) -> Metric:
        now = self._clock.now()
        about = "When the next night falls due."
        at = next_due(settings.schedule, ZoneInfo(settings.timezone), now)
        return Metric("archiver_next_night_timestamp_seconds", "gauge", about, _sample(at))

    def _of_schedule(self) -> list[Metric]:
        counts = self._counts
        last_at = counts.last_ended_at
        return [
            _counter("alarms", "Alarms that rang.", counts.alarm.rings),
            _counter("misfires", "Alarms that rang more than a minute late.", counts.alarm.misfires),
            _counter("looks", "Looks at what is to do.", counts.ticks),
            _counter("errors", "Looks that failed.", counts.errors),
            Metric(
                "archiver_schedule_last_look_timestamp_seconds", "gauge", "When the last look ended.", _sample(last_at)
            ),
        ]


def _sample(instant: datetime | None) -> list[tuple[dict[str, str], float]]:
    return [] if instant is None else [({}, instant.timestamp())]


def _counter(name: str, about: str, value: int) -> Metric:
    return Metric(f"archiver_schedule_{name}_total", "counter", about, [({}, value)])
