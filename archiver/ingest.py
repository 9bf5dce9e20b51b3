"""One run of one project, start to finish: lease, list, decide, fetch, save, tombstone, close."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine

from archiver.api.client import ReleaseApi
from archiver.clock import Clock
from archiver.due import RunOptions, is_due
from archiver.errors import (
    ApiError,
    ArchiverError,
    GiveUpPlanError,
    GiveUpRunError,
    NightServedError,
    PlanGoneError,
    RowRefusedError,
)
from archiver.failures import catch_up
from archiver.lease import Lease, acquire, kept_alive
from archiver.ledger import (
    RunResult,
    close_run,
    is_served,
    open_nights,
    open_run,
    save_failures,
    settle_night,
    write_weeks,
)
from archiver.listing import read_list
from archiver.mapping import text
from archiver.store import (
    KnownPlan,
    Seen,
    body_of,
    is_body_news,
    is_item_news,
    load_known,
    save_gone,
    save_seen,
)
from archiver.troubles import note_troubles
from archiver.writing import in_transaction

log = structlog.get_logger()

SAVE_PLANS = 200
# So many requests in a row without an answer, each tried for ARCHIVER_RETRY_SECONDS: the API is away, not the plan.
MOST_GIVEN_UP = 20
_ID_LENGTH = 500  # as much of an id as any index takes
SAVE_BYTES = 32 * 2**20
_T = TypeVar("_T")


async def archive_project(
    engine: Engine, api: ReleaseApi, project_id: str, clock: Clock, options: RunOptions
) -> RunResult:
    """Archive one project once. Errors of the API end in the result; LeaseHeldError and DatabaseError are raised
    where nothing was saved.
    """
    run = _Run(engine, api, project_id, clock, options)
    await run.open()
    # Whatever is logged from here on says of which run.
    with structlog.contextvars.bound_contextvars(run_id=run.result.run_id, project_id=project_id):
        async with kept_alive(engine, run.lease):
            return await _archive(run)


async def _archive(run: "_Run") -> RunResult:
    try:
        await run.archive()
    except asyncio.CancelledError:
        run.stop("interrupted", "the run was told to stop; what it had fetched is saved")
        raise
    except ApiError as error:
        run.fail(error)
    except ArchiverError as error:
        run.name_unsaved(error)
        run.stop("partial" if run.has_saved else "failed", str(error))
        if not run.has_saved:
            raise
    except BaseException:
        run.stop("interrupted", "an unexpected error ended the run; what it had fetched is saved")
        raise
    finally:
        await run.close()
    return run.result


class _Run:
    """The state of one run: what is known, what is still to fetch, and what came of it."""

    def __init__(self, engine: Engine, api: ReleaseApi, project_id: str, clock: Clock, options: RunOptions) -> None:
        self.engine, self.api, self.project_id, self.clock, self.options = engine, api, project_id, clock, options
        self.has_saved = self.is_incomplete = False
        self.unreadable = 0
        self.known: dict[str, KnownPlan] = {}
        self.failures: list[tuple[str | None, ApiError]] = []
        self.unsaved: set[str] = set()  # due, and not yet archived or written down as failed
        self.night_date: date | None = None
        self.lease: Lease
        self.result: RunResult

    async def open(self) -> None:
        """Take the lease, write the nights and weeks that fell due, and open the run's row, in one transaction."""

        def begin(connection: Connection) -> tuple[Lease, str, date | None]:
            lease = acquire(connection, f"project:{self.project_id}")
            zone = self.options.night.zone
            catch_up(connection, self.project_id)
            write_weeks(connection, ("UTC", zone.key), now)
            night = open_nights(connection, self.project_id, self.options.night, now)
            night_date = None if self.options.kind == "watch" else night
            is_left = self.options.leaves_served_nights
            if is_left and night and is_served(connection, self.project_id, night):
                raise NightServedError(f"another process has done the night of {night} meanwhile")
            run_id = open_run(connection, self.project_id, self.options.kind, now, self.options.revision, night_date)
            return lease, run_id, night_date

        now = self.clock.now()
        self.lease, run_id, self.night_date = await asyncio.to_thread(in_transaction, self.engine, begin)
        self.result = RunResult(run_id, self.project_id, now)
        log.info("ingest.run_started", run_id=run_id, project_id=self.project_id, kind=self.options.kind)

    async def archive(self) -> None:
        """List, decide, fetch and save, tombstone."""
        counts = self.result.counts
        deadline = asyncio.get_running_loop().time() + self.options.run_seconds
        self.known = await self._transact(lambda connection: load_known(connection, self.project_id))
        try:
            async with asyncio.timeout_at(deadline):
                listing, answer = await self.api.list_release_plans()
        except TimeoutError:
            raise GiveUpRunError("the list did not come within ARCHIVER_RUN_SECONDS", stage="list") from None
        listed, nameless = read_list(listing, answer)
        self.failures += nameless
        self.unreadable = counts.plans_failed = len(nameless)
        counts.plans_listed = len(listed) + len(nameless)
        due = self._decide(listed, answer.captured_at)
        self.unsaved = {seen.plan_id for seen in due}
        with self.options.stop.held():
            await self._fetch_all(due, deadline)
        if self.unsaved:
            self.options.stop.check()  # what was in hand is saved; the night stays due
        if listing.is_whole and not self.unreadable:
            absent = [
                plan_id for plan_id, state in self.known.items() if plan_id not in listed and state.gone_at is None
            ]
            for start in range(0, len(absent), SAVE_PLANS):
                await self._save_gone(absent[start : start + SAVE_PLANS], answer.captured_at)
        else:
            self._note(
                f"the list holds {self.unreadable} items without an id"
                if listing.is_whole
                else f"the list is incomplete (count {listing.count!r}, {len(listing.release_plans)} plans in it)"
            )
            self.is_incomplete = True

    def _decide(self, listed: dict[str, Seen], now: datetime) -> list[Seen]:
        night = self.night_date or now.date()
        due = [
            seen
            for seen in listed.values()
            if is_due(
                self.known.get(seen.plan_id),
                seen.item_body.canonical_sha256,
                text(seen.item.status),
                night,
                now,
                self.options,
            )
        ]
        self.result.counts.plans_skipped = len(listed) - len(due)
        return due

    async def _fetch_all(self, due: list[Seen], deadline: float) -> None:
        """Fetch with bounded concurrency, saving whole plans on the way; what is left at the end has failed."""
        self.options.progress.begin(self.project_id, len(due))
        waiting = (seen for seen in due if not self.options.stop.is_asked)
        answered: asyncio.Queue[Seen | None] = asyncio.Queue()
        room = asyncio.Semaphore(2 * SAVE_PLANS)
        tried: set[str] = set()
        stopped: ApiError | None = None

        async def fetch() -> None:
            for seen in waiting:
                await room.acquire()
                await self._fetch_one(seen)
                tried.add(seen.plan_id)
                self.options.progress.advance()
                answered.put_nowait(seen)
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
            self._note(str(stopped))
            left = [seen for seen in due if seen.plan_id not in tried]
            await self._save([], [(seen.plan_id, _not_tried(stopped)) for seen in left])
            self.result.counts.plans_failed += len(left)
            if not self.has_saved:
                raise stopped

    async def _fetch_one(self, seen: Seen) -> None:
        try:
            info, answer = await self.api.fetch_deploy_info(seen.plan_id)
        except PlanGoneError:
            seen.gone_at = self.clock.now()
        except GiveUpPlanError as error:
            self.failures.append((seen.plan_id, error))
            self.result.counts.plans_failed += 1
            log.warning("ingest.plan_failed", plan_id=seen.plan_id, stage=error.stage, error=str(error))
        else:
            seen.info, seen.info_body = info, body_of(answer.body, answer.captured_at)

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
                    await self._save(batch, self._take_failures())
                    batch, size_bytes = [], 0
        except asyncio.CancelledError:
            # Told to stop: what has come is kept. A save that was under way is done again, which changes nothing.
            while not answered.empty():
                if (seen := answered.get_nowait()) is not None:
                    batch.append(seen)
            await self._save(batch, self._take_failures())
            raise
        await self._save(batch, self._take_failures())

    def _take_failures(self) -> list[tuple[str | None, ApiError]]:
        taken, self.failures = self.failures, []
        return taken

    async def _save(self, batch: list[Seen], failures: list[tuple[str | None, ApiError]]) -> None:
        """Save plans and failures in one transaction, and count them."""
        if not batch and not failures:
            return
        now = self.clock.now()
        run_id = self.result.run_id

        def write(connection: Connection) -> None:
            save_seen(connection, self.project_id, run_id, batch, self.known, now)
            save_failures(connection, self.project_id, run_id, failures, now)

        try:
            await self._transact(write)
        except RowRefusedError as error:
            await self._save_one_by_one(batch, failures, error)
            return
        except ArchiverError:
            self.failures = [*failures, *self.failures]  # still to be written, if the run can be closed
            raise
        self.unsaved -= {seen.plan_id for seen in batch} | {plan_id for plan_id, _ in failures if plan_id is not None}
        self.has_saved = self.has_saved or bool(batch)
        counts = self.result.counts
        for seen in batch:
            state = self.known.get(seen.plan_id)
            if seen.gone_at is not None:
                counts.plans_gone += state is None or state.gone_at is None
            elif seen.info is not None:
                counts.plans_fetched += 1
                is_news = is_item_news(seen, state) or is_body_news(seen, state)
                counts.plans_changed += is_news
                counts.plans_unchanged += not is_news
        log.info("ingest.plans_saved", run_id=run_id, plan_count=len(batch), failure_count=len(failures))

    async def _save_one_by_one(
        self, batch: list[Seen], failures: list[tuple[str | None, ApiError]], error: RowRefusedError
    ) -> None:
        """One plan that the database refuses is that plan's failure, and not its neighbours'."""
        if not batch:
            raise error
        if len(batch) != 1:
            for seen in batch:
                await self._save([seen], [])
            await self._save([], failures)
            return
        if batch[0].info is not None or batch[0].gone_at is not None:  # else its fetch has failed already
            self.result.counts.plans_failed += 1
        body = batch[0].info_body.content if batch[0].info_body else batch[0].item_body.content
        refused = GiveUpPlanError(str(error), stage="mapping", body=body)
        self.unsaved.discard(batch[0].plan_id)  # named by as much of its id as an index takes
        await self._save([], [*failures, (batch[0].plan_id[:_ID_LENGTH], refused)])

    async def _save_gone(self, plan_ids: list[str], at: datetime) -> None:
        run_id = self.result.run_id
        gone = await self._transact(lambda connection: save_gone(connection, self.project_id, run_id, plan_ids, at))
        self.result.counts.plans_gone += gone
        self.has_saved = True

    async def _transact(self, work: Callable[[Connection], _T]) -> _T:
        """Run a transaction beside the event loop, and check in it that the lease is still ours."""

        def fenced(connection: Connection) -> _T:
            self.lease.confirm(connection)
            return work(connection)

        return await asyncio.to_thread(in_transaction, self.engine, fenced)

    def _note(self, error: str) -> None:
        self.result.error = self.result.error or error

    def fail(self, error: ApiError) -> None:
        """The run can't go on: nothing was saved, unless it was."""
        self.stop("partial" if self.has_saved else "failed", str(error))
        if self.result.counts.plans_listed == 0:
            self.failures.append((None, error))

    def name_unsaved(self, error: ArchiverError) -> None:
        """Name the plans that a broken run leaves behind, one by one; they are owed by the next."""
        left = sorted(self.unsaved - {plan_id for plan_id, _ in self.failures})
        self.failures += [(plan_id, GiveUpPlanError(f"not archived: {error}", stage="not_tried")) for plan_id in left]
        self.result.counts.plans_failed += len(left)

    def stop(self, outcome: str, error: str) -> None:
        """Set how the run ended."""
        self.result.outcome = outcome
        self._note(error)

    async def close(self) -> None:
        """Write how the run ended, if the lease is still ours and the database answers."""
        result, counts = self.result, self.result.counts
        counts.requests, counts.retries = self.api.counts.requests, self.api.counts.retries
        if result.outcome == "running":
            is_partial = counts.plans_failed > 0 or self.is_incomplete
            result.outcome = "partial" if is_partial else "complete"
            result.has_only_failed_plans = is_partial and not self.is_incomplete
        if counts.plans_failed:
            self._note(f"{counts.plans_failed} of {counts.plans_listed} plans could not be archived")
        result.ended_at = ended_at = self.clock.now()
        failures = self._take_failures()

        def write(connection: Connection) -> None:
            save_failures(connection, self.project_id, result.run_id, failures, ended_at)
            close_run(connection, result.run_id, result.outcome, ended_at, counts, result.error)
            if self.night_date is not None:
                settle_night(connection, self.project_id, self.night_date, result.run_id, result.outcome)
                note_troubles(
                    connection,
                    self.project_id,
                    run_id=result.run_id,
                    outcome=result.outcome,
                    error=result.error,
                    has_only_failed_plans=result.has_only_failed_plans,
                    at=ended_at,
                )

        try:
            await self._transact(write)
        except ArchiverError as error:
            # The next run finds the row still open, and marks it interrupted.
            log.warning("ingest.run_not_closed", run_id=result.run_id, error=str(error))
            result.outcome = "partial" if self.has_saved else "failed"
        log.info("ingest.run_ended", run_id=result.run_id, outcome=result.outcome, **asdict(counts))


def _not_tried(cause: ApiError) -> ApiError:
    return GiveUpPlanError(f"not tried: {cause}", stage="not_tried", error_code=cause.error_code, status=cause.status)
