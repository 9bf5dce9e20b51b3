"""A night over several projects: what the exit code says, and that one project never stops another."""

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from archiver import schema
from archiver.archive import open_archive
from archiver.clock import ManualClock
from archiver.errors import DatabaseError, LeaseHeldError, SettingsError
from archiver.ingest import RunResult
from archiver.lease import acquire
from archiver.nightly import ProjectOutcome, archive_all, exit_code
from archiver.settings import Settings
from archiver.simulator import Credentials, Fault, Faults, Simulator, build_history, running

ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
HISTORY = build_history(7, ends_at=ENDS_AT, weeks=1, projects=3, plans_per_week=9)
IDS = HISTORY.project_ids
HELD = LeaseHeldError("held")
DOWN = DatabaseError("down")
NO_KEYS = SettingsError("there are no credentials")


def outcome(what):
    if isinstance(what, Exception):
        return ProjectOutcome("p", error=what)
    return ProjectOutcome("p", result=RunResult("r", "p", ENDS_AT, what))


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["complete"], 0),
        (["partial"], 1),
        (["failed"], 3),
        ([DOWN], 3),
        ([HELD], 75),
        (["complete", "complete"], 0),
        (["complete", "partial"], 1),
        (["partial", "partial"], 1),
        (["complete", "failed"], 1),
        (["partial", "failed"], 1),
        (["failed", "failed"], 3),
        (["failed", DOWN], 3),
        ([HELD, HELD], 75),
        ([HELD, "complete"], 0),
        ([HELD, "partial"], 1),
        ([HELD, "failed"], 3),
        ([NO_KEYS], 2),
        ([NO_KEYS, "failed"], 3),
        ([NO_KEYS, DOWN, HELD], 3),
        ([NO_KEYS, "complete"], 1),
    ],
)
def test_the_exit_code_sums_up_the_projects(outcomes, code):
    assert exit_code([outcome(what) for what in outcomes]) == code


@pytest.fixture
def clock():
    return ManualClock(ENDS_AT)


def settings(archive, base_url, **given):
    given.setdefault("token", SecretStr("t"))
    return Settings.model_construct(
        database_url=SecretStr(archive.url),
        endpoint=base_url,
        project_id=",".join(IDS),
        requests_per_second=0,
        retry_seconds=1,
        **given,
    )


async def test_a_project_that_fails_or_is_held_stops_no_other(archive, clock):
    faults = Faults([Fault("status", match=IDS[0], status=403)])
    with archive.engine.begin() as connection:
        acquire(connection, f"project:{IDS[1]}")
    with running(Simulator(HISTORY, now=clock.now, faults=faults)) as base_url:
        outcomes = await archive_all(settings(archive, base_url), archive.engine, archive.revision, clock)

    assert [one.exit_code for one in outcomes] == [3, 75, 0]
    assert exit_code(outcomes) == 1
    assert {row["project_id"] for row in archive.rows(schema.plans)} == {IDS[2]}


@pytest.mark.parametrize(
    ("credentials", "given"),
    [
        (Credentials(tokens=("right",)), {"token": SecretStr("right")}),
        (
            Credentials(access_key="ak", secret_key="sk", security_token="st"),
            {
                "token": None,
                "access_key": SecretStr("ak"),
                "secret_key": SecretStr("sk"),
                "security_token": SecretStr("st"),
            },
        ),
        (
            Credentials(user="u", password="p", domain="d"),
            {
                "token": None,
                "iam_user": SecretStr("u"),
                "iam_password": SecretStr("p"),
                "iam_domain": SecretStr("d"),
            },
        ),
    ],
)
async def test_each_kind_of_credentials_opens_the_door(sqlite_archive_file, clock, credentials, given):
    archive = sqlite_archive_file
    with running(Simulator(HISTORY, now=clock.now, credentials=credentials)) as base_url:
        chosen = settings(archive, base_url, iam_endpoint=base_url, **given)
        outcomes = await archive_all(chosen, archive.engine, archive.revision, clock)

    assert [one.exit_code for one in outcomes] == [0, 0, 0]


async def test_a_token_that_no_header_can_carry_is_a_matter_of_settings(sqlite_archive_file, clock):
    archive = sqlite_archive_file
    chosen = settings(archive, "http://127.0.0.1:1", token=SecretStr("hunter2 \n do not show"))

    outcomes = await archive_all(chosen, archive.engine, archive.revision, clock)

    assert {type(outcome.error) for outcome in outcomes} == {SettingsError}
    assert exit_code(outcomes) == 2
    assert {row["outcome"] for row in archive.rows(schema.runs)} == {"failed"}
    assert "hunter2" not in f"{outcomes}{archive.rows(schema.runs)}"


def test_an_sqlite_archive_is_made_and_migrated_where_a_postgresql_one_is_not(archive_url):
    chosen = Settings.model_construct(database_url=SecretStr(archive_url))

    if archive_url.startswith("sqlite"):
        engine, revision = open_archive(chosen)
        assert open_archive(chosen)[1] == revision
        engine.dispose()
    else:
        with pytest.raises(DatabaseError, match="archiver database upgrade"):
            open_archive(chosen)
