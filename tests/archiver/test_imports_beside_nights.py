"""Imports into a past that nights have seen, that was pruned, or from which a plan has gone; on both databases."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from builders import component, deploy_info, plan_item
from fakes import FakeApi
from sqlalchemy import select, text

from archiver import schema
from archiver.asof import as_known_at
from archiver.audit import findings
from archiver.clock import ManualClock
from archiver.due import RunOptions
from archiver.importing import import_saved
from archiver.ingest import archive_project
from archiver.ledger import Night
from archiver.pruning import horizons, prune
from archiver.replay import FACTS, replay
from archiver.saved import Observation

START = datetime(2026, 11, 1, tzinfo=UTC)
NIGHT = Night("15 2 * * *", ZoneInfo("UTC"))
PRUNED_AND_LATER = [(1, "J1"), (2, "J2")]


def day(number):
    return START + timedelta(days=number)


def info(number, job_id, plan_id="p"):
    return Observation(plan_id, "deploy_info", deploy_info(plan_id, component(job_id=job_id)), day(number))


def item(number, status):
    return Observation("p", "list_item", json.dumps(plan_item("p", status)).encode(), day(number))


@pytest.fixture
def told(archive):
    return Told(archive)


class Told:
    """An archive, and what is told to it."""

    def __init__(self, archive):
        self.archive, self.engine = archive, archive.engine

    async def night(self, number, *items, infos=None):
        options = RunOptions(kind="scheduled", night=NIGHT, revision=self.archive.revision, is_full=True)
        clock = ManualClock(day(number))
        api = FakeApi(clock, items=list(items), infos=infos or {})
        return await archive_project(self.engine, api, "pr", clock, options)

    def imported(self, number, *observations):
        return import_saved(self.engine, "pr", self.archive.revision, observations, day(number))

    def pruned(self, number):
        with self.engine.begin() as connection:
            return prune(connection, horizons(connection, day(number)), day(number)).bodies

    def forget(self):
        with self.engine.begin() as connection:
            for table in reversed(schema.metadata.sorted_tables):
                connection.execute(table.delete())

    def facts(self):
        """Return facts and ranges, but for which run told them and when."""
        return {
            table.name: [
                {name: value for name, value in row.items() if name not in ("run_id", "gone_run_id", "recorded_at")}
                for row in self.archive.rows(table)
            ]
            for table in (*FACTS, schema.snapshots)
        }

    def gone(self):
        return {row["plan_id"]: row["gone_at"] for row in self.archive.rows(schema.plans)}

    def jobs(self):
        return {row["job_id"]: row["first_seen_at"] for row in self.archive.rows(schema.job_attempts)}

    def gone_as_of(self, number):
        with self.engine.connect() as connection:
            known = as_known_at(connection, day(number))
            with known.memory.connect() as memory:
                rows = memory.execute(select(schema.plans)).mappings()
                refolded = {row["plan_id"]: row["gone_at"] for row in rows}
        stored = [row for row in self.archive.rows(schema.plans) if row["plan_key"] not in known.refolded]
        return {row["plan_id"]: row["gone_at"] for row in stored} | refolded

    def is_sound(self):
        with self.engine.begin() as connection:
            found = replay(connection)
            return (list(findings(connection)), found.rows_written, found.rows_removed) == ([], 0, 0)


@pytest.mark.parametrize("order", list(itertools.permutations([(3.5, "J3"), (4, "J1"), (4.5, "J1")], 3)))
def test_after_a_pruning_each_body_is_kept_with_its_bytes_and_told_in_any_order(told, order):
    """The body that was pruned comes again after the horizon, and another before it."""
    told.imported(2.5, info(1, "J1"), info(2, "J1"))
    told.imported(5.5, info(5, "J2"))
    assert told.pruned(3) == 1

    outcomes = [told.imported(7 + number, info(*one)).outcome for number, one in enumerate(order)]

    assert outcomes == ["complete"] * 3
    assert told.jobs() == {"J1": day(1), "J2": day(5), "J3": day(3.5)}
    ranges = [
        (row["captured_at"], row["last_captured_at"], row["body"] is None)
        for row in sorted(told.archive.rows(schema.snapshots), key=lambda row: row["captured_at"])
    ]
    assert ranges == [
        (day(1), day(2), True),
        (day(3.5), day(3.5), False),
        (day(4), day(4.5), False),
        (day(5), day(5), False),
    ]
    assert told.is_sound()


def test_a_range_that_begins_earlier_after_a_pruning_is_parted_without_loss(told):
    told.imported(3, *(info(*one) for one in PRUNED_AND_LATER))
    assert told.pruned(4) == 1

    for number, one in enumerate([(10, "J5"), (9, "J5"), (9.5, "J6")]):
        told.imported(12 + number, info(*one))

    assert told.jobs() == {"J1": day(1), "J2": day(2), "J5": day(9), "J6": day(9.5)}
    assert told.is_sound()


def test_what_was_pruned_with_another_body_of_its_time_is_known_again(told):
    both = [info(1, "J1"), info(1, "J2")]
    told.imported(3, *both, info(2, "J3"))
    assert told.pruned(4) == 2

    assert [told.imported(5, one).outcome for one in both] == ["complete"] * 2
    assert not any(row["is_aside"] for row in told.archive.rows(schema.snapshots))


@pytest.mark.parametrize("is_back", [False, True])
async def test_no_range_goes_on_past_the_time_when_the_plan_was_gone(told, is_back):
    """A list that shows the plan between two absences, told in either order, brings it back in either order."""
    between, later = (1.2, "FAILED"), (1.6 if is_back else 2.5, "RUNNING" if is_back else "FAILED")
    found = []
    for order in ((between, later), (later, between)):
        told.forget()
        listed, other = plan_item("p", "RUNNING"), plan_item("q")
        await told.night(1, listed, other)
        await told.night(2, other)
        if is_back:
            await told.night(3, listed, other)
        for number, one in enumerate(order):
            told.imported(10 + number, item(*one))
        assert told.gone() == {"p": None, "q": None}
        assert told.is_sound()
        found.append(told.facts())
    assert found[0] == found[1]


async def test_as_of_then_a_plan_is_gone_whatever_was_imported_into_its_past(told):
    for number in range(1, 6):
        await told.night(number, plan_item("p", "RUNNING"), plan_item("q"))
    await told.night(6, plan_item("q"))
    told.imported(7, item(3, "RUNNING"))
    told.imported(8, item(2.5, "FAILED"))

    for number in (6.5, 7.5, 9):
        assert told.gone_as_of(number) == {"p": day(6), "q": None}
    assert told.gone_as_of(5.5) == {"p": None, "q": None}


async def test_a_plan_known_from_an_import_alone_has_a_tombstone_that_can_be_made_again(told):
    told.imported(0.5, info(0, "J1", plan_id="old"))
    await told.night(1, plan_item("q"))

    assert told.gone() == {"old": day(1), "q": None}
    assert told.is_sound()
    assert told.gone_as_of(0.7) == {"old": None}


def test_as_of_tells_two_bodies_of_one_instant_that_alternate(told):
    """The same change twice in one instant is one change."""
    told.imported(5, *(item(1, status) for status in ("RUNNING", "FAILED", "SUCCESS")), item(1, "RUNNING"))
    told.imported(6, info(2, "J1"))

    assert told.gone_as_of(5.5) == {"p": None}


def test_the_audit_finds_bodies_that_pruning_could_not_have_taken(told):
    told.imported(3, *(info(*one) for one in PRUNED_AND_LATER))
    assert told.pruned(4) == 1
    assert told.is_sound()
    with told.engine.begin() as connection:
        connection.execute(schema.snapshots.update().values(body=None))
    with told.engine.connect() as connection:
        [lost] = [found for found in findings(connection) if "is missing, and was not pruned" in found]

    [newest] = told.archive.rows(schema.snapshots, captured_at=day(2))
    assert newest["snapshot_id"] in lost


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("UPDATE job_attempts SET outcome = 'aborted'", "1 rows that rest on pruned bodies are not as they were kept"),
        ("DELETE FROM sights", "was imported, and no sight of that is noted"),
        ("UPDATE plan_states SET plan_id = 'other'", "is not of that plan"),
        ("UPDATE nights SET state = 'missed' WHERE state = 'done'", "is missed, and its run says otherwise"),
        ("UPDATE nights SET run_id = NULL", "is done, and its run says otherwise"),
        ("DELETE FROM nights", "was of a night that is not in the books"),
        ("UPDATE runs SET outcome = 'running', ended_at = NULL WHERE kind = 'import'", "though a later one has begun"),
        ("UPDATE runs SET plans_changed = plans_changed + 1", "does not add up"),
        ("UPDATE weeks SET week = '2026-W99' WHERE week = '2026-W47'", "2026-W99 of UTC is not where the calendar has"),
        ("DELETE FROM weeks WHERE week = '2026-W47'", "weeks of UTC are missing between 2026-W46 and 2026-W48"),
        ("DELETE FROM weeks", "there are no weeks"),
    ],
)
async def test_the_audit_finds_books_that_do_not_agree(told, damage, finding):
    told.imported(3, *(info(*one) for one in PRUNED_AND_LATER))
    assert told.pruned(4) == 1
    await told.night(5, plan_item("q"))
    assert told.is_sound()
    with told.engine.begin() as connection:
        connection.execute(text(damage))
    with told.engine.connect() as connection:
        assert any(finding in found for found in list(findings(connection)))
