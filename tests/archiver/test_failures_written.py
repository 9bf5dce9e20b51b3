"""Failures beside the facts: written with what they are made of, and made again wherever that is made again."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from alembic import command
from builders import LONG_AGO_MS, component, deploy_info, plan_item
from fakes import FakeApi
from sqlalchemy import delete, event, func, select, update

from archiver import failures, migrate, schema
from archiver.audit import findings
from archiver.clock import ManualClock
from archiver.due import RunOptions
from archiver.importing import import_saved
from archiver.ingest import archive_project
from archiver.ledger import Night
from archiver.masking import template_id
from archiver.replay import replay
from archiver.saved import Observation

NIGHT = datetime(2026, 11, 24, 2, 15, tzinfo=UTC)
SCHEMA = "release_archive"
STARTED_AT = datetime.fromtimestamp((LONG_AGO_MS + 60_000) / 1000, UTC)


@pytest.fixture
def api():
    return FakeApi(ManualClock(NIGHT))


async def run(archive, api):
    api.clock.advance(3600)
    night = Night("15 2 * * *", ZoneInfo("UTC"))
    options = RunOptions(night=night, revision=archive.revision, kind="manual", concurrency=1, is_full=True)
    return await archive_project(archive.engine, api, "p1", api.clock, options)


def shown(api, plan_id, *parts):
    api.items = [item for item in api.items if item["id"] != plan_id] + [plan_item(plan_id)]
    api.infos[plan_id] = deploy_info(plan_id, *parts)


def failed(message, component_id="c1", **fields):
    return component(component_id, status="FAILED", job_status="FAILED", fail_message=message, **fields)


def told(archive):
    return sorted((row["kind"], row["component_id"], row["template"]) for row in archive.rows(schema.failures))


async def test_a_run_writes_what_the_message_of_each_failed_attempt_and_rollback_has_in_common(archive, api):
    undone = {"rollback_job_id": "R1", "rollback_job_status": "ROLLBACK_FAILED", "rollback_fail_message": None}
    shown(api, "one", failed("web: exit code 137", name="web", **undone), component("c2", job_id="J2"))

    await run(archive, api)

    assert told(archive) == [("attempt", "c1", "<component>: exit code <n>"), ("rollback", "c1", "(no message)")]
    [row] = archive.rows(schema.failures, kind="attempt")
    [attempt] = archive.rows(schema.job_attempts, component_id="c1")
    assert (row["job_key"], row["started_at"]) == (attempt["attempt_key"], STARTED_AT)
    assert row["template_id"] == template_id("<component>: exit code <n>")


async def test_a_message_of_white_space_is_none(archive, api):
    shown(api, "one", failed(" \r\n\t", "c1"), failed(None, "c2", job_id="J2"))

    await run(archive, api)

    assert told(archive) == [("attempt", "c1", "(no message)"), ("attempt", "c2", "(no message)")]


async def test_a_failure_without_a_start_is_put_where_the_reports_put_it(archive, api):
    shown(api, "one", failed("early", start_time=None, end_time=None))

    await run(archive, api)

    [row] = archive.rows(schema.failures)
    assert row["started_at"] == STARTED_AT  # the plan's executed_at


async def test_a_failure_that_turns_out_to_be_none_is_taken_back(archive, api):
    shown(api, "one", failed("odd"))
    await run(archive, api)
    shown(api, "one", component())

    await run(archive, api)

    assert told(archive) == []


async def test_a_place_that_is_renamed_has_its_messages_masked_by_the_new_name(archive, api):
    shown(api, "one", failed("web can't reach mail", name="web"))
    await run(archive, api)
    shown(api, "one", failed("web can't reach mail", name="mail"))

    await run(archive, api)

    assert told(archive) == [("attempt", "c1", "web can't reach <component>")]


async def test_the_name_in_another_plan_masks_nothing(archive, api):
    shown(api, "one", failed("web can't reach mail", name="web"))
    await run(archive, api)
    shown(api, "two", component(name="mail"))

    await run(archive, api)

    assert told(archive) == [("attempt", "c1", "<component> can't reach mail")]


async def test_only_what_is_new_is_written(archive, api):
    for number in range(20):
        shown(api, f"plan{number}", failed(f"exit code {number}"))
    await run(archive, api)
    written = []

    @event.listens_for(archive.engine, "before_cursor_execute")
    def _note(_connection, _cursor, statement, parameters, _context, is_many):
        if "INTO failures" in statement or "DELETE FROM failures" in statement:
            written.append(len(parameters) if is_many else 1)

    await run(archive, api)
    quiet = list(written)
    shown(api, "plan3", failed("exit code 3"), failed("exit code 4", "c2", job_id="J2"))
    await run(archive, api)

    assert quiet == []
    assert written == [1]


async def test_an_import_writes_them_too(archive):
    body = deploy_info("one", failed("exit code 1"))

    import_saved(archive.engine, "p1", archive.revision, [Observation("one", "deploy_info", body, NIGHT)], NIGHT)

    assert told(archive) == [("attempt", "c1", "exit code <n>")]


async def test_a_replay_makes_the_same_again_and_check_says_where_they_are_other(archive, api):
    shown(api, "one", failed("exit code 1"), failed("no space", "c2", job_id="J2"))
    await run(archive, api)
    before = archive.rows(schema.failures)
    with archive.engine.connect() as connection:
        assert list(findings(connection)) == []
    with archive.engine.begin() as connection:
        connection.execute(update(schema.failures).where(schema.failures.c.component_id == "c1").values(template="?"))
        connection.execute(
            update(schema.failures).where(schema.failures.c.component_id == "c2").values(failure_key="?")
        )

    with archive.engine.begin() as connection:
        found = list(findings(connection))
        replay(connection)

    # One is altered, one is missing, and one should not be there.
    assert found == ["failures with another template than their messages give: 3; run `archiver replay`"]
    assert archive.rows(schema.failures) == before


@pytest.mark.parametrize("was", ["missing", "masked otherwise"])
@pytest.mark.parametrize("how", ["run", "import"])
async def test_the_first_writer_catches_up_on_what_an_earlier_program_left(archive, api, was, how, monkeypatch):
    shown(api, "one", failed("exit code 1"))
    await run(archive, api)
    before = archive.rows(schema.failures)
    if was == "missing":
        with archive.engine.begin() as connection:
            connection.execute(delete(schema.failures))
            connection.execute(update(schema.runs).values(schema_revision="an earlier one"))
    else:
        monkeypatch.setattr(failures, "MASKING_VERSION", 99)
        before = [row | {"masking_version": 99} for row in before]

    if how == "run":
        await run(archive, api)
    else:
        import_saved(archive.engine, "p1", archive.revision, [], NIGHT + timedelta(days=1))

    assert archive.rows(schema.failures) == before


async def test_a_migration_writes_them_for_what_was_there(archive, api):
    shown(api, "one", failed("exit code 1"))
    await run(archive, api)
    before = archive.rows(schema.failures)
    with archive.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            migrate.drop_sqlite_views(connection)
        else:
            connection.dialect.default_schema_name = SCHEMA
            migrate.drop_postgresql_views(connection, SCHEMA)
        command.downgrade(migrate.alembic_config(connection=connection, schema=SCHEMA), "0004")

    migrate.upgrade(archive.engine, archive.url, SCHEMA)

    assert archive.rows(schema.failures) == before


async def test_a_message_of_megabytes_is_masked_by_its_beginning(archive, api):
    shown(api, "one", failed("exit code 1 " * 500_000))

    await run(archive, api)

    with archive.engine.connect() as connection:
        assert connection.execute(select(func.length(schema.failures.c.template))).scalar() <= 2_000


async def test_a_project_of_which_nothing_had_failed_is_looked_through_once(archive, api):
    shown(api, "one", component())
    await run(archive, api)
    read = []
    event.listen(archive.engine, "before_cursor_execute", lambda *told: read.append(told[2]))

    import_saved(archive.engine, "p1", archive.revision, [], NIGHT + timedelta(days=1))
    assert not any("job_attempts" in statement for statement in read)

    import_saved(archive.engine, "p1", "a later one", [], NIGHT + timedelta(days=2))
    assert any("job_attempts" in statement for statement in read)
