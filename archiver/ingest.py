"""One run of one project, start to finish: lease, list, decide, fetch, save, tombstone, close."""

import asyncio
import random
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from operator import itemgetter

import structlog
from msgspec.structs import replace
from sqlalchemy import Engine

from archiver.api.client import ReleaseApi
from archiver.api.payloads import PlanList
from archiver.clock import Clock
from archiver.database import log_kept
from archiver.due import RunOptions
from archiver.errors import ApiError, ArchiverError, GiveUpPlanError, GiveUpRunError, PlanGoneError, SettingsError
from archiver.lease import kept_alive
from archiver.ledger import RunResult
from archiver.listing import read_list
from archiver.run_books import RunBooks
from archiver.store import KnownPlan, Seen, body_of

log = structlog.get_logger()

SAVE_PLANS = 100
# So many requests in a row without an answer, each tried for ARCHIVER_RETRY_SECONDS: the API is away, not the plan.
MOST_GIVEN_UP = 20
SAVE_BYTES = 32 * 2**20
_NEVER = datetime.min.replace(tzinfo=UTC)


async def archive_project(
    engine: Engine, api: ReleaseApi, project_id: str, clock: Clock, options: RunOptions
) -> RunResult:
    """Archive one project once. Errors of the API end in the result; LeaseHeldError and DatabaseError are raised
    where nothing was saved.
    """
    books = RunBooks(engine, project_id, clock, options)
    await books.open()
    # Whatever is logged from here on says of which run.
    said = structlog.contextvars.bound_contextvars(run_id=books.result.run_id, project_id=project_id)
    with said, log_kept(engine):
        async with kept_alive(engine, books.lease):
            return await _archive(_Run(api, books, clock, options))


async def refuse_project(
    engine: Engine, project_id: str, clock: Clock, options: RunOptions, error: SettingsError
) -> RunResult:
    """Write down a run that could not be tried for want of its settings: so nights, `status` and who is told know."""
    books = RunBooks(engine, project_id, clock, options)
    await books.open()
    async with kept_alive(engine, books.lease):
        books.stop("failed", str(error))
        await books.close()
    return books.result


async def _archive(run: "_Run") -> RunResult:
    books = run.books
    try:
        await run.archive()
    except asyncio.CancelledError:
        books.stop("interrupted", "the run was told to stop; what it had fetched is saved")
        raise
    except ApiError as error:
        books.fail(error)
    except ArchiverError as error:
        books.name_unsaved(error)
        books.stop("partial" if books.has_saved else "failed", str(error))
        if not books.has_saved:
            raise
    except BaseException:
        books.stop("interrupted", "an unexpected error ended the run; what it had fetched is saved")
        raise
    finally:
        counts, asked = books.result.counts, run.api.counts
        counts.requests, counts.retries = asked.requests, asked.retries
        await books.close()
    return books.result


class _Run:
    """What one run asks of the API: the list, then whatever is due."""

    def __init__(self, api: ReleaseApi, books: RunBooks, clock: Clock, options: RunOptions) -> None:
        self.api, self.books, self.clock, self.options = api, books, clock, options

    async def archive(self) -> None:
        """List, decide, fetch and save, tombstone."""
        counts = self.books.result.counts
        deadline = asyncio.get_running_loop().time() + self.options.run_seconds
        try:
            async with asyncio.timeout_at(deadline):
                listing, answer = await self.api.list_release_plans()
        except TimeoutError:
            raise GiveUpRunError("the list did not come within ARCHIVER_RUN_SECONDS", stage="list") from None
        present = await self.books.load_present(answer.captured_at)
        listed, nameless = read_list(listing, answer, present)
        due = [seen for seen in listed.values() if seen is not None]
        absent = sorted(present.keys() - listed.keys())
        self.books.failures += nameless
        counts.plans_failed = len(nameless)
        counts.plans_listed = len(listed) + len(nameless)
        counts.plans_skipped = len(listed) - len(due)
        await self.books.load_known([seen.plan_id for seen in due])
        due = _in_turn(due, self.books.known, self.books.failing, self.books.result.run_id)
        self.books.unsaved = {seen.plan_id for seen in due}
        with self.options.stop.held():
            await self._fetch_all(due, deadline)
        if self.books.unsaved:
            self.options.stop.check()  # what was in hand is saved; the night stays due
        if listing.is_whole and not nameless:
            for start in range(0, len(absent), SAVE_PLANS):
                await self.books.save_gone(absent[start : start + SAVE_PLANS], answer.captured_at)
        else:
            self.books.note(
                f"the list holds {len(nameless)} items without an id that can be asked for"
                if listing.is_whole
                else f"the list is incomplete ({_count(listing)}, {len(listing.release_plans)} plans in it)"
            )
            self.books.is_incomplete = True

    async def _fetch_all(self, due: list[Seen], deadline: float) -> None:
        """Fetch with bounded concurrency, saving whole plans on the way; what is left at the end has failed."""
        self.options.progress.begin(self.books.project_id, len(due))
        waiting = (seen for seen in due if not self.options.stop.is_asked)
        answered: asyncio.Queue[Seen | None] = asyncio.Queue()
        room = asyncio.Semaphore(2 * SAVE_PLANS)
        tried: set[str] = set()
        stopped: ApiError | None = None

        async def fetch() -> None:
            for seen in waiting:
                await room.acquire()
                fetched = await self._fetch_one(seen)
                tried.add(seen.plan_id)
                self.options.progress.advance()
                answered.put_nowait(fetched)
                self._break_off_if_away()

        async def fetch_together() -> None:
            nonlocal stopped
            try:
                async with asyncio.timeout_at(deadline), asyncio.TaskGroup() as group:
                    for _ in range(min(self.options.concurrency, len(due))):
                        group.create_task(fetch())
            except TimeoutError:
                stopped = GiveUpPlanError("the run reached ARCHIVER_RUN_SECONDS first", stage="not_tried")
            except ExceptionGroup as errors:
                stopped = next((error for error in errors.exceptions if isinstance(error, GiveUpRunError)), None)
                if stopped is None:
                    raise
            finally:
                answered.put_nowait(None)

        fetching = asyncio.create_task(fetch_together())
        try:
            await self._save_as_they_come(answered, room)
            await fetching
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)
        if stopped is not None:
            self.books.note(str(stopped))
            left = [seen for seen in due if seen.plan_id not in tried]
            await self.books.save([], [(seen.plan_id, _not_tried(stopped)) for seen in left])
            self.books.result.counts.plans_failed += len(left)
            if not self.books.has_saved:
                raise stopped

    async def _fetch_one(self, seen: Seen) -> Seen:
        """Return what was listed with what was fetched: a copy, so that a body is held no longer than until saved."""
        try:
            info, answer = await self.api.fetch_deploy_info(seen.plan_id)
        except PlanGoneError:
            return replace(seen, gone_at=self.clock.now())
        except GiveUpPlanError as error:
            self.books.failures.append((seen.plan_id, error))
            self.books.result.counts.plans_failed += 1
            log.warning("ingest.plan_failed", plan_id=seen.plan_id, stage=error.stage, error=str(error))
            return seen
        return replace(seen, info=info, info_body=body_of(answer.body, answer.captured_at))

    def _break_off_if_away(self) -> None:
        """Leave the rest to the next run instead of trying for hours, where it is the API that is away."""
        if (count := self.api.counts.given_up_in_a_row) >= MOST_GIVEN_UP:
            words = f"the API gave no answer to {count} requests in a row: the rest is left to the next run"
            raise GiveUpRunError(words, stage="not_tried")

    async def _save_as_they_come(self, answered: "asyncio.Queue[Seen | None]", room: asyncio.Semaphore) -> None:
        batch: list[Seen] = []
        size_bytes = 0
        try:
            while (seen := await answered.get()) is not None:
                batch.append(seen)
                room.release()
                size_bytes += 0 if seen.info_body is None else len(seen.info_body.content)
                if len(batch) >= SAVE_PLANS or size_bytes >= SAVE_BYTES:
                    await self.books.save(batch, self.books.take_failures())
                    batch, size_bytes = [], 0
        except asyncio.CancelledError:
            # Told to stop: what has come is kept. A save that was under way is done again, which changes nothing.
            while not answered.empty():
                if (seen := answered.get_nowait()) is not None:
                    batch.append(seen)
            await self.books.save(batch, self.books.take_failures())
            raise
        await self.books.save(batch, self.books.take_failures())


def _in_turn(due: list[Seen], known: Mapping[str, KnownPlan], failing: Collection[str], seed: str) -> list[Seen]:
    """Put the plans that were seen longest ago first, new ones before all: should the time not last for all of them,
    the next run begins with the rest. Those that failed when last tried stand here and there among the others.

    Many of these together would be taken for an API that is away, in run after run, and none behind them be archived.
    """

    def turn(seen: Seen) -> datetime:
        return known[seen.plan_id].last_seen_at if seen.plan_id in known else _NEVER

    others = sorted((seen for seen in due if seen.plan_id not in failing), key=turn)
    dice = random.Random(seed)  # noqa: S311 - no secret
    among = [(dice.random() * len(others), seen) for seen in due if seen.plan_id in failing]
    return [seen for _, seen in sorted([*enumerate(others), *among], key=itemgetter(0))]


def _count(listing: PlanList) -> str:
    return "no count" if listing.count is None else f"count {listing.count!r}"


def _not_tried(cause: ApiError) -> ApiError:
    return GiveUpPlanError(f"not tried: {cause}", stage="not_tried", error_code=cause.error_code, status=cause.status)
