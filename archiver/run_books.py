"""The books of one run: its lease, its row, what of it is saved, and what failed on the way."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime
from typing import TypeVar

import structlog
from sqlalchemy import Connection, Engine

from archiver.clock import Clock
from archiver.due import RunOptions, load_present
from archiver.errors import ApiError, ArchiverError, GiveUpPlanError, NightServedError, RowRefusedError
from archiver.failures import catch_up
from archiver.lease import Lease, acquire
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
from archiver.store import KnownPlan, Seen, is_body_news, is_item_news, load_known, save_gone, save_seen
from archiver.troubles import load_failing_plans, note_troubles
from archiver.writing import in_transaction

log = structlog.get_logger()

Failures = list[tuple[str | None, ApiError]]  # with the plan's id, None where it is no plan's

_ID_LENGTH = 500  # as much of an id as any index takes
_T = TypeVar("_T")


class RunBooks:
    """What one run knows, saves and counts, and how it ends."""

    def __init__(self, engine: Engine, project_id: str, clock: Clock, options: RunOptions) -> None:
        self.engine, self.project_id, self.clock, self.options = engine, project_id, clock, options
        self.has_saved = self.is_incomplete = False
        self.known: dict[str, KnownPlan] = {}
        self.failing: set[str] = set()
        self.failures: Failures = []  # not yet written
        self.unsaved: set[str] = set()  # due, and not yet archived or written down as failed
        self.night_date: date | None = None
        self.lease: Lease
        self.result: RunResult

    async def open(self) -> None:
        """Take the lease, write the nights and weeks that fell due, and open the run's row, in one transaction."""

        def begin(connection: Connection) -> tuple[Lease, str, date | None]:
            lease = acquire(connection, f"project:{self.project_id}")
            zone = self.options.night.zone
            catch_up(connection, self.project_id, self.options.revision)
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

    async def load_present(self, now: datetime) -> dict[str, str | None]:
        """Load what the archive knows of the plans that are not gone, as `due.load_present` says."""
        night = self.night_date or now.date()
        return await self._transact(
            lambda connection: load_present(connection, self.project_id, night, now, self.options)
        )

    async def load_known(self, plan_ids: list[str]) -> None:
        """Load what the archive knows of the plans that are due, and which of its plans failed when last tried."""

        def load(connection: Connection) -> tuple[dict[str, KnownPlan], set[str]]:
            return load_known(connection, self.project_id, plan_ids), load_failing_plans(connection, self.project_id)

        self.known, self.failing = await self._transact(load)

    def take_failures(self) -> list[tuple[str | None, ApiError]]:
        taken, self.failures = self.failures, []
        return taken

    async def save(self, batch: list[Seen], failures: list[tuple[str | None, ApiError]]) -> None:
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
                await self.save([seen], [])
            await self.save([], failures)
            return
        if batch[0].info is not None or batch[0].gone_at is not None:  # else its fetch has failed already
            self.result.counts.plans_failed += 1
        body = batch[0].info_body.content if batch[0].info_body else batch[0].item_body.content
        refused = GiveUpPlanError(str(error), stage="mapping", body=body)
        self.unsaved.discard(batch[0].plan_id)  # named by as much of its id as an index takes
        await self.save([], [*failures, (batch[0].plan_id[:_ID_LENGTH], refused)])

    async def save_gone(self, plan_ids: list[str], at: datetime) -> None:
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

    def note(self, error: str) -> None:
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
        self.note(error)

    async def close(self) -> None:
        """Write how the run ended, if the lease is still ours and the database answers."""
        result, counts = self.result, self.result.counts
        if result.outcome == "running":
            is_partial = counts.plans_failed > 0 or self.is_incomplete
            result.outcome = "partial" if is_partial else "complete"
            result.has_only_failed_plans = is_partial and not self.is_incomplete
        if counts.plans_failed:
            self.note(f"{counts.plans_failed} of {counts.plans_listed} plans could not be archived")
        result.ended_at = ended_at = self.clock.now()
        failures = self.take_failures()

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
            self.note(f"how the run ended could not be written down: {error}")
        log.info("ingest.run_ended", run_id=result.run_id, outcome=result.outcome, **asdict(counts))
