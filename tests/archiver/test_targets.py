"""Several endpoints with their own credentials: each by itself, and none stops another."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from receivers import web_server

from archiver import schema
from archiver.clock import ManualClock
from archiver.errors import SettingsError
from archiver.nightly import archive_all, exit_code
from archiver.schedule import projects_to_do, tick
from archiver.settings import load_settings
from archiver.simulator import Credentials, Simulator, build_history, running
from archiver.targets import resolve_targets, target_names

ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
SECRET = "hunter2-do-not-show"


def write(text):
    Path("archiver.toml").write_text(text)
    return load_settings()


@pytest.fixture
def clouds(monkeypatch):
    """Serve two endpoints with two projects each, which take a token of their own; return URLs and project IDs."""
    opened, found = [], []
    for seed, token in ((7, "token-of-north"), (8, "token-of-south")):
        history = build_history(seed, ends_at=ENDS_AT, weeks=1, plans_per_week=4)
        context = running(Simulator(history, now=lambda: ENDS_AT, credentials=Credentials(tokens=(token,))))
        opened.append(context)
        found.append((context.__enter__(), history.project_ids))
    monkeypatch.setenv("NORTH_TOKEN", "token-of-north")
    Path("south").write_text("token-of-south\n")
    yield found
    for context in opened:
        context.__exit__(None, None, None)


def put_token_of_south(*, is_there):
    Path("south").unlink(missing_ok=True)
    if is_there:
        Path("south").write_text("token-of-south")


def two_targets(clouds, *, variable="NORTH_TOKEN"):
    (north_url, north), (south_url, south) = clouds
    return f"""
requests_per_second = 0
retry_seconds = 1
[[targets]]
name = "north"
endpoint = "{north_url}"
project_id = "{",".join(north)}"
token_env = "{variable}"
[[targets]]
endpoint = "{south_url}"
project_id = ["{south[0]}"]
token_file = "south"
"""


@pytest.fixture
def distinct(clouds):
    """Give the two histories' projects, which must differ."""
    (_, north), (_, south) = clouds
    if set(north) & set(south):
        pytest.skip("the seeds share projects")
    return north, south


async def test_each_target_is_archived_with_its_own_credentials(sqlite_archive_file, clouds, distinct):
    settings = write(two_targets(clouds))
    archive, (north, south) = sqlite_archive_file, distinct

    outcomes = await archive_all(settings, archive.engine, archive.revision, ManualClock(ENDS_AT))

    assert [(one.project_id, one.exit_code) for one in outcomes] == [(north[0], 0), (north[1], 0), (south[0], 0)]
    assert exit_code(outcomes) == 0
    assert settings.project_ids == [*north, south[0]]
    assert target_names(settings)[north[0]] == "north"
    assert target_names(settings)[south[0]].startswith("127.0.0.1:")


@pytest.mark.parametrize(("variable", "code"), [("NOT_THERE", 2), ("WRONG", 3)])
async def test_a_target_that_fails_stops_no_other_and_is_named(
    sqlite_archive_file, clouds, distinct, monkeypatch, variable, code
):
    monkeypatch.setenv("WRONG", SECRET)
    settings = write(two_targets(clouds, variable=variable))
    archive, (_, south) = sqlite_archive_file, distinct

    outcomes = await archive_all(settings, archive.engine, archive.revision, ManualClock(ENDS_AT))

    assert [one.exit_code for one in outcomes] == [code, code, 0]
    assert exit_code(outcomes) == 1
    assert {row["project_id"] for row in archive.rows(schema.plans)} == {south[0]}
    assert {row["project_id"]: row["outcome"] for row in archive.rows(schema.runs)} == {
        **dict.fromkeys(distinct[0], "failed"),
        south[0]: "complete",
    }
    if code == 2:
        assert str(outcomes[0].error) == "target north: token_env: there is no environment variable NOT_THERE"
    assert SECRET not in f"{outcomes}{settings!r}"


async def test_the_settings_outside_are_the_first_target_and_lend_what_others_lack(
    sqlite_archive_file, clouds, distinct, monkeypatch
):
    (north_url, north), (south_url, south) = clouds
    text = f"""
endpoint = "{north_url}"
project_id = "{north[0]}"
token = "token-of-north"
[[targets]]
project_id = "{north[1]}"
[[targets]]
endpoint = "{south_url}"
project_id = "{south[0]}"
token_file = "south"
"""
    settings = write(text)
    archive = sqlite_archive_file

    outcomes = await archive_all(settings, archive.engine, archive.revision, ManualClock(ENDS_AT))

    assert [(one.project_id, one.exit_code) for one in outcomes] == [(north[0], 0), (north[1], 0), (south[0], 0)]
    own, lent, other = (target.settings for target in resolve_targets(settings))
    assert own.targets == lent.targets == other.targets == []
    assert (lent.endpoint, other.endpoint) == (north_url, south_url)
    assert other.token.get_secret_value() == "token-of-south"


async def test_a_night_is_done_target_by_target(sqlite_archive_file, clouds, distinct, monkeypatch):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", sqlite_archive_file.url)
    north, south = distinct
    settings, clock = write(two_targets(clouds, variable="NOT_THERE")), ManualClock(ENDS_AT)

    await tick(settings, clock)

    assert projects_to_do(settings, sqlite_archive_file.engine, clock) == list(north)
    await tick(write(two_targets(clouds)), clock)
    assert projects_to_do(settings, sqlite_archive_file.engine, clock) == []
    assert len(sqlite_archive_file.rows(schema.runs, project_id=south[0])) == 1


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise looks for it
async def test_a_target_without_its_credentials_is_told_once_and_so_is_its_recovery(
    sqlite_archive_file, clouds, distinct, monkeypatch
):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", sqlite_archive_file.url)
    _, south = distinct
    clock, texts = ManualClock(ENDS_AT), []
    with web_server() as web:
        monkeypatch.setenv("ARCHIVER_NOTIFY_URLS", f"json://127.0.0.1:{web.server_address[1]}/ok")
        for is_there in (False, False, True, True):
            put_token_of_south(is_there=is_there)
            await tick(write(two_targets(clouds)), clock)
            texts.append([one["message"] for one in web.taken])
            web.taken.clear()
            clock.advance(15 * 60)

    assert [len(found) for found in texts] == [1, 0, 1, 0]
    assert texts[0][0].startswith(f"- {south[0]}: nothing was archived: target ")
    assert "token\\_file: can't read south" in texts[0][0]
    assert texts[2][0].startswith(f"- over: {south[0]}: nothing was archived")
    [_, failed, complete] = sqlite_archive_file.rows(schema.runs, project_id=south[0])
    assert (failed["outcome"], complete["outcome"], complete["kind"]) == ("failed", "complete", "scheduled")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f'access_key = "{SECRET}"', "target 1: access_key may not stand in the file: name where it is found with"),
        ('colour = "x"', "target 1: unknown setting 'colour'"),
        ('endpoint = "http://example.com"', "target 1: endpoint must begin with https://"),
        ('project_id = "b"\n[[targets]]\nproject_id = "b"', "project b stands in two targets"),
        ('project_id = ""', "one names no project"),
    ],
)
def test_a_target_that_can_not_be_meant_is_refused_in_one_line(line, message):
    project = "" if line.startswith("project_id") else 'project_id = "a"\n'

    with pytest.raises(SettingsError) as caught:
        write(f"[[targets]]\n{project}{line}\n")

    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


def test_two_kinds_of_credentials_or_half_of_one_are_that_targets_error(monkeypatch):
    monkeypatch.setenv("T", SECRET)
    halves = write('[[targets]]\nregion = "r"\nproject_id = "a"\naccess_key_env = "T"\n')
    kinds = write(
        '[[targets]]\nregion = "r"\nproject_id = "a"\ntoken_env = "T"\naccess_key_env = "T"\nsecret_key_env = "T"\n'
    )

    assert "ARCHIVER_ACCESS_KEY is set but" in str(resolve_targets(halves)[0].error)
    assert "two kinds of credentials" in str(resolve_targets(kinds)[0].error)


def test_what_can_not_be_read_outside_is_the_error_of_whoever_would_use_it(monkeypatch):
    monkeypatch.setenv("T", SECRET)
    monkeypatch.setenv("ARCHIVER_ACCESS_KEY_FILE", "missing")
    lent, other = 'name = "lent"\nproject_id = "a"\n', 'name = "other"\nproject_id = "b"\ntoken_env = "T"\n'
    settings = write(f'region = "r"\nproject_id = "own"\n[[targets]]\n{lent}[[targets]]\n{other}')

    found = resolve_targets(settings)

    assert [str(one.error) for one in found[:2]] == [
        f"target {name}: ARCHIVER_ACCESS_KEY_FILE: can't read missing: No such file or directory"
        for name in ("r", "lent")
    ]
    assert (found[2].error, found[2].settings.credential_kind) == (None, "token")
