"""The archive against a second working-out of its rules: simulated nights, and generated upstream histories."""

import json
from datetime import UTC, datetime, time, timedelta
from itertools import count, product
from zoneinfo import ZoneInfo

import pytest
from comparing import COLUMNS, archived, expected, in_columns, replayed, rows_of_histories, whole_tables
from hypothesis import given, settings
from hypothesis import strategies as st
from model import SETTLED, Model, Night
from pydantic import SecretStr
from sqlalchemy import select
from upstream_histories import DAY_ONE, DAY_ONE_MS, JOB_WORDS, RELEASE_WORDS, upstream_nights

from archiver.api.payloads import DeployInfo, PlanItem, decode
from archiver.clock import ManualClock
from archiver.database import open_writer
from archiver.due import RunOptions, load_present
from archiver.history import PlanHistory
from archiver.ledger import Night as NightOf
from archiver.ledger import open_run
from archiver.migrate import upgrade
from archiver.nightly import archive_all, exit_code
from archiver.replay import replay
from archiver.schema import metadata
from archiver.settings import Settings
from archiver.simulator import Simulator, build_history, serve
from archiver.store import Seen, _Fold, body_of, load_known, save_gone, save_seen

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
TWO_FIFTEEN = time(2, 15, tzinfo=UTC)
SCHEMA = "release_archive"
FETCHES_ALL = RunOptions("manual", NightOf("15 2 * * *", ZoneInfo("UTC")), "test", is_full=True)


class Recorder(Simulator):
    """A simulated service that takes 3 ms for each answer, and writes down what it said. One request at a time."""

    def __init__(self, history, clock):
        super().__init__(history, now=clock.now)
        self.clock = clock
        self.said = []

    def handle(self, request):
        self.clock.advance(0.003)
        response = super().handle(request)
        content = json.loads(response.body) if response.status == 200 else None
        self.said.append((request.path.split("/"), self.clock.now(), content))
        return response

    def night_of(self, project_id):
        of_project = [said for said in self.said if said[0][2] == project_id]
        (listed,) = [said for said in of_project if said[0][-1] == "release-plans"]
        answers = {path[-2]: (at, content) for path, at, content in of_project if path[-1] == "deploy-info"}
        return Night(listed[1], listed[2]["release_plans"], answers)


def settings_for(base_url, archive_url, project_ids):
    return Settings.model_construct(
        database_url=SecretStr(archive_url),
        endpoint=base_url,
        project_id=",".join(project_ids),
        token=SecretStr("simulated"),
        requests_per_second=0,
        concurrency=1,
    )


async def archive_nights(archive_url, simulator, clock, nights, project_ids):
    """Archive night after night over loopback; yield (engine, the night's instant) after each."""
    engine = open_writer(archive_url, SCHEMA)
    _, revision = upgrade(engine, archive_url, SCHEMA)
    async with serve(simulator) as base_url:
        configured = settings_for(base_url, archive_url, project_ids)
        for night in nights:
            clock.set(night)
            outcomes = await archive_all(configured, engine, revision, clock, kind="scheduled")
            assert exit_code(outcomes) == 0, [str(outcome.error or outcome.result) for outcome in outcomes]
            yield engine, night
    engine.dispose()


def nights_from(starts_at, night_count):
    first = datetime.combine(starts_at.date() + timedelta(days=1), TWO_FIFTEEN)
    return [first + timedelta(days=day) for day in range(night_count)]


def owed(model, night, recheck=timedelta(days=14)):
    """Return the listed plans that the contract's words demand to be fetched."""
    for item in night.items:
        plan = model.plans.get(item["id"])
        is_changed = plan is None or plan["_item"] != json.dumps(item, sort_keys=True)
        if is_changed or item["status"] not in SETTLED or night.listed_at < plan["_window_from_at"] + recheck:
            yield item["id"]


def note_windows(model, night):
    """A settled plan's window counts from `settled_at`, or from its own latest time if it was settled at first."""
    for plan in model.plans.values():
        own = [plan[name] for name in ("modified_at", "executed_at", "created_at") if plan[name]]
        is_first_seen_so = plan["settled_at"] == plan["first_seen_at"]
        plan["_window_from_at"] = max(own, default=night.listed_at) if is_first_seen_so else plan["settled_at"]


@pytest.mark.parametrize("seed", [7, 1234])
async def test_simulated_weeks_are_archived_as_the_model_says(archive_url, seed):
    history = build_history(seed, ends_at=MONDAY, weeks=3, plans_per_week=14)
    clock = ManualClock(history.starts_at)
    recorder = Recorder(history, clock)
    models = {project_id: Model() for project_id in history.project_ids}
    nights = nights_from(history.starts_at, 28)

    async for engine, _ in archive_nights(archive_url, recorder, clock, nights, history.project_ids):
        for project_id, model in models.items():
            night = recorder.night_of(project_id)
            not_asked = set(owed(model, night)) - night.answers.keys()
            model.see_night(night)
            note_windows(model, night)
            with engine.connect() as connection:
                assert archived(connection, project_id) == expected(model)
            assert not_asked == set()
        recorder.said.clear()

    with engine.connect() as connection:
        for project_id, model in models.items():
            assert len(model.job_attempts) > 30
            assert replayed(connection, project_id) == whole_tables(connection, project_id)
        found = replay(connection, writes=False)
    assert (found.plans_kept, found.rows_written, found.rows_removed) == (0, 0, 0)
    engine.dispose()


async def test_a_second_run_on_an_unchanged_service_moves_only_times_of_sight(archive_url):
    history = build_history(7, ends_at=MONDAY, weeks=2, plans_per_week=14)
    nights = nights_from(history.starts_at, 14)
    clock = ManualClock(history.starts_at)
    upstream_now = ManualClock(nights[-2])
    simulator = Simulator(history, now=upstream_now.now)
    dumps = []

    async for engine, _ in archive_nights(archive_url, simulator, clock, nights[-2:], history.project_ids):
        with engine.connect() as connection:
            dumps.append(
                {table.name: connection.execute(select(table)).mappings().all() for table in metadata.sorted_tables}
            )
    engine.dispose()

    before, after = ({name: dump_without_sight(name, rows) for name, rows in dump.items()} for dump in dumps)
    assert len(after["runs"]) == 2 * len(before["runs"])
    for name in before.keys() - {"runs", "nights", "leases", "weeks"}:
        assert after[name] == before[name], name
    assert len(after["job_attempts"]) > 50
    later = [row["last_seen_at"] for row in dumps[1]["plans"]]
    assert min(later) >= nights[-1]


def dump_without_sight(name, rows):
    moving = {"last_seen_at", "fetched_at"} if name != "snapshots" else {"last_captured_at"}
    return sorted(repr({column: value for column, value in row.items() if column not in moving}) for row in rows)


def seen_of(night):
    """Turn a night into what a run hands to the store."""
    for item in night.items:
        content = json.dumps(item).encode()
        seen = Seen(item["id"], decode(content, PlanItem), body_of(content, night.listed_at))
        answered_at, body = night.answers.get(item["id"], (None, None))
        if body is not None:
            raw = json.dumps(body).encode()
            seen.info, seen.info_body = decode(raw, DeployInfo), body_of(raw, answered_at)
        elif answered_at is not None:
            seen.gone_at = answered_at
        yield seen


def folded(nights):
    """Fold the nights in memory, as a run does; return the histories."""
    histories = {}
    for night in nights:
        listed = set()
        for seen in seen_of(night):
            listed.add(seen.plan_id)
            history = histories.setdefault(seen.plan_id, PlanHistory("project", seen.plan_id))
            _Fold(history, "run", night.listed_at, [], []).take_in(seen)
            if seen.gone_at is not None:
                history.see_gone(seen.gone_at, "run")
        for plan_id in histories.keys() - listed:
            histories[plan_id].see_gone(night.listed_at, "run")
    return histories


def modelled(nights):
    model = Model()
    for night in nights:
        model.see_night(night)
    return model


def in_memory(nights):
    tables = rows_of_histories(folded(nights).values())
    return {
        table.name: in_columns(rows, columns) for (table, columns), rows in zip(COLUMNS.items(), tables, strict=True)
    }


@settings(max_examples=400, deadline=None, derandomize=True)
@given(upstream_nights())
def test_any_upstream_history_folds_to_what_the_model_says(nights):
    assert in_memory(nights) == expected(modelled(nights))


def told_with(status, **fields):
    part = {"id": "a", "seq": 1, "start_time": DAY_ONE_MS, "status": status}
    return {"id": "p", "name": "x", "status": status}, {"components": [part | fields]}


@pytest.mark.parametrize(
    "told",
    [
        [told_with(word, job_id=job_id) for word in RELEASE_WORDS for job_id in (None, "J")],
        [told_with("SUCCESS", job_id=job_id, job_status=word) for word in JOB_WORDS for job_id in (None, "J")],
        [told_with("FAILED", rollback_job_id=own_id, rollback_job_status=w) for w in JOB_WORDS for own_id in ("", "R")],
    ],
    ids=["release", "job", "rollback"],
)
def test_any_two_statuses_in_turn_fold_to_what_the_model_says(told):
    days = (DAY_ONE, DAY_ONE + timedelta(days=1))

    for pair in product(told, repeat=2):
        nights = [Night(at, [item], {"p": (at, body)}) for at, (item, body) in zip(days, pair, strict=True)]
        assert in_memory(nights) == expected(modelled(nights))


def store_nights(engine, project_id, nights):
    """Store the nights as runs do, one transaction a night."""
    for night in nights:
        with engine.begin() as connection:
            run_id = open_run(connection, project_id, "manual", night.listed_at, "test", None)
            present = load_present(connection, project_id, night.listed_at.date(), night.listed_at, FETCHES_ALL)
            seen = list(seen_of(night))
            known = load_known(connection, project_id, [one.plan_id for one in seen])
            save_seen(connection, project_id, run_id, seen, known, night.listed_at)
            listed = {one.plan_id for one in seen}
            absent = [plan_id for plan_id in present if plan_id not in listed]
            save_gone(connection, project_id, run_id, absent, night.listed_at)


def test_any_upstream_history_is_stored_as_the_model_says_and_can_be_replayed(archive_url):
    engine = open_writer(archive_url, SCHEMA)
    upgrade(engine, archive_url, SCHEMA)
    numbers = count()

    @settings(max_examples=40, deadline=None, derandomize=True)
    @given(upstream_nights(("p", "q")))
    def check(nights):
        project_id = f"project-{next(numbers)}"
        store_nights(engine, project_id, nights)
        with engine.connect() as connection:
            assert archived(connection, project_id) == expected(modelled(nights))
            assert replayed(connection, project_id) == whole_tables(connection, project_id)

    check()
    engine.dispose()


def test_what_is_stored_by_a_clock_that_jumps_back_can_be_replayed(archive_url):
    engine = open_writer(archive_url, SCHEMA)
    upgrade(engine, archive_url, SCHEMA)
    numbers = count()

    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(upstream_nights(), st.lists(st.integers(-3, 3), min_size=7, max_size=7))
    def check(nights, days_off):
        project_id = f"project-{next(numbers)}"
        wrong = [at_another_time(night, timedelta(days=days)) for night, days in zip(nights, days_off, strict=False)]
        store_nights(engine, project_id, wrong)
        with engine.connect() as connection:
            assert replayed(connection, project_id) == whole_tables(connection, project_id)

    check()
    with engine.connect() as connection:
        found = replay(connection, writes=False)
    assert (found.rows_written, found.rows_removed) == (0, 0)
    engine.dispose()


def at_another_time(night, off):
    answers = {plan_id: (at + off, body) for plan_id, (at, body) in night.answers.items()}
    return Night(night.listed_at + off, night.items, answers)
