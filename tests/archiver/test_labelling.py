"""Labels in the archive: rules applied, and followed by what later runs, imports and replays bring."""

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from builders import component, deploy_info, plan_item
from fakes import FakeApi
from sqlalchemy import delete, event, select, update
from test_labels import HOSTILE

from archiver import schema
from archiver.asof import as_known_at
from archiver.audit import findings
from archiver.clock import ManualClock
from archiver.due import RunOptions
from archiver.importing import import_saved
from archiver.ingest import archive_project
from archiver.labelling import apply_rules, load_rules
from archiver.labels import LabelRule
from archiver.lease import acquire
from archiver.ledger import Night
from archiver.replay import replay
from archiver.saved import Observation
from reports.frames import load_frames
from reports.window import Window

NIGHT = datetime(2026, 11, 24, 2, 15, tzinfo=UTC)
PAY = LabelRule(component="pay-*", labels={"team": "payments"})
NIGHTLY = LabelRule(plan="nightly*", labels={"environment": "staging"})
NOBODY = {"project_name": None, "team": None, "environment": None, "tier": None}


@pytest.fixture
def api():
    return FakeApi(ManualClock(NIGHT))


async def run(archive, api):
    api.clock.advance(3600)
    night = Night("15 2 * * *", ZoneInfo("UTC"))
    options = RunOptions(night=night, revision=archive.revision, kind="manual", concurrency=1, is_full=True)
    return await archive_project(archive.engine, api, "p1", api.clock, options)


def shown(api, plan_id, *names, plan_name="weekly"):
    """Let the API show a plan with components of these names."""
    api.items = [item for item in api.items if item["id"] != plan_id] + [plan_item(plan_id, name=plan_name)]
    parts = [component(f"c{place}", job_id=f"J{place}", name=name) for place, name in enumerate(names)]
    api.infos[plan_id] = deploy_info(plan_id, *parts)


def applied(archive, *rules, **options):
    with archive.engine.begin() as connection:
        return apply_rules(connection, list(rules), NIGHT, **options)


def labels(archive):
    """Return by component name the labels that are set; a place without a row is left out."""
    components, labelled = schema.components, schema.component_labels
    query = select(components.c.name, labelled).join(labelled, labelled.c.component_key == components.c.component_key)
    with archive.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return {row["name"]: {name: row[name] for name in NOBODY if row[name] is not None} for row in rows}


async def test_every_place_is_labelled_and_those_without_are_counted(archive, api):
    shown(api, "one", "pay-api", "web", plan_name="nightly 1")
    shown(api, "two", "pay-job", "mail")
    await run(archive, api)

    found = applied(archive, PAY, NIGHTLY, LabelRule(component="x", labels={"tier": "gold"}))

    assert labels(archive) == {
        "pay-api": {"team": "payments", "environment": "staging"},
        "web": {"environment": "staging"},
        "pay-job": {"team": "payments"},
    }
    assert (found.places, found.changed, found.bare) == (4, 3, 1)
    assert found.counts["team"] == {"payments": 2, None: 2}
    assert found.counts["tier"] == {None: 4}
    assert found.idle == [(3, LabelRule(component="x", labels={"tier": "gold"}))]


async def test_applying_again_changes_nothing_not_even_when_the_rules_were_applied(archive, api):
    shown(api, "one", "pay-api")
    await run(archive, api)
    applied(archive, PAY, NIGHTLY)
    before = archive.rows(schema.label_rules), archive.rows(schema.component_labels)

    with archive.engine.begin() as connection:
        found = apply_rules(connection, [PAY, NIGHTLY], NIGHT + timedelta(days=1))

    assert found.changed == 0
    assert (archive.rows(schema.label_rules), archive.rows(schema.component_labels)) == before


async def test_other_rules_replace_all_of_the_earlier_ones(archive, api):
    shown(api, "one", "pay-api", "web")
    await run(archive, api)
    applied(archive, PAY, NIGHTLY)

    found = applied(archive, LabelRule(component="web", labels={"team": "front"}))

    assert labels(archive) == {"web": {"team": "front"}}
    assert found.changed == 2
    assert [row["position"] for row in archive.rows(schema.label_rules)] == [1]


async def test_no_rules_take_all_labels_away(archive, api):
    shown(api, "one", "pay-api")
    await run(archive, api)
    applied(archive, PAY)

    applied(archive)

    assert labels(archive) == {}
    assert archive.rows(schema.label_rules) == []


async def test_rules_come_back_from_the_archive_as_they_were_read(archive):
    rules = [LabelRule("p", "n*", "[!a]?", {"team": "t", "project_name": "库存"}), LabelRule(labels={"tier": "1"})]

    applied(archive, *rules)

    with archive.engine.connect() as connection:
        assert load_rules(connection) == rules


async def test_a_dry_run_tells_the_same_and_changes_nothing(archive, api):
    shown(api, "one", "pay-api", "web")
    await run(archive, api)

    told = applied(archive, PAY, writes=False)

    assert (labels(archive), archive.rows(schema.label_rules)) == ({}, [])
    assert told == applied(archive, PAY)


async def test_what_a_later_run_brings_is_labelled_by_it(archive, api):
    shown(api, "one", "web")
    await run(archive, api)
    applied(archive, PAY)

    shown(api, "one", "web", "pay-api")
    shown(api, "two", "pay-job")
    await run(archive, api)

    assert labels(archive) == {"pay-api": {"team": "payments"}, "pay-job": {"team": "payments"}}


async def test_a_label_follows_the_present_name_of_component_and_plan(archive, api):
    shown(api, "one", "pay-api", "web", plan_name="nightly 1")
    await run(archive, api)
    applied(archive, PAY, NIGHTLY)

    shown(api, "one", "front", "pay-web", plan_name="release 1")
    await run(archive, api)

    assert labels(archive) == {"pay-web": {"team": "payments"}}


async def test_a_plan_that_is_renamed_without_news_of_its_components_is_labelled_anew(archive, api):
    shown(api, "one", "web", plan_name="release")
    await run(archive, api)
    applied(archive, NIGHTLY)

    api.items = [plan_item("one", name="nightly one")]
    await run(archive, api)

    assert labels(archive) == {"web": {"environment": "staging"}}


async def test_a_component_that_left_keeps_its_label(archive, api):
    shown(api, "one", "web", "pay-api")
    await run(archive, api)
    applied(archive, PAY)

    shown(api, "one", "web")
    await run(archive, api)

    assert labels(archive) == {"pay-api": {"team": "payments"}}


async def test_a_run_writes_labels_in_proportion_to_what_is_new(archive, api):
    for number in range(20):
        shown(api, f"plan{number}", "pay-api")
    await run(archive, api)
    applied(archive, PAY)
    written = []

    @event.listens_for(archive.engine, "before_cursor_execute")
    def _note(_connection, _cursor, statement, parameters, _context, is_many):
        if "INTO component_labels" in statement or "FROM component_labels" in statement:
            written.append(len(parameters) if is_many else 1)

    await run(archive, api)
    quiet = list(written)
    shown(api, "plan3", "pay-api", "pay-job")
    await run(archive, api)

    assert quiet == []
    assert written == [1]


async def test_what_an_import_brings_is_labelled_by_it(archive):
    applied(archive, PAY)
    body = deploy_info("one", component("c1", name="pay-api"), component("c2", name="web", job_id="J2"))

    import_saved(archive.engine, "p1", archive.revision, [Observation("one", "deploy_info", body, NIGHT)], NIGHT)

    assert labels(archive) == {"pay-api": {"team": "payments"}}


async def test_an_imported_earlier_name_does_not_unlabel_the_present_one(archive):
    applied(archive, PAY)
    bodies = [
        Observation("one", "deploy_info", deploy_info("one", component("c1", name=name)), NIGHT - timedelta(days=days))
        for name, days in (("pay-api", 1), ("web", 5))
    ]

    for body in bodies:
        import_saved(archive.engine, "p1", archive.revision, [body], NIGHT)

    assert labels(archive) == {"pay-api": {"team": "payments"}}


async def test_a_replay_takes_the_labels_of_a_place_that_vanishes_and_gives_those_that_are_missing(archive, api):
    shown(api, "one", "pay-api")
    await run(archive, api)
    applied(archive, PAY)
    with archive.engine.begin() as connection:
        [row] = connection.execute(select(schema.components)).mappings()
        connection.execute(schema.components.insert(), [dict(row) | {"component_key": "stray", "batch": 9}])
        connection.execute(schema.component_labels.insert(), [NOBODY | {"component_key": "stray", "team": "payments"}])
        connection.execute(
            delete(schema.component_labels).where(schema.component_labels.c.component_key == row["component_key"])
        )

    with archive.engine.begin() as connection:
        replay(connection)

    assert [one["component_key"] for one in archive.rows(schema.component_labels)] == [row["component_key"]]


async def test_check_names_places_with_other_labels_than_the_rules_give(archive, api):
    shown(api, "one", "pay-api", "web")
    await run(archive, api)
    applied(archive, PAY)
    with archive.engine.connect() as connection:
        sound = list(findings(connection))
    with archive.engine.begin() as connection:
        connection.execute(update(schema.component_labels).values(team="thieves"))

    with archive.engine.connect() as connection:
        found = list(findings(connection))

    assert sound == []
    assert found == ["places with other labels than the rules in force give: 1; run `archiver labels apply` again"]


async def test_what_was_known_at_an_instant_has_the_labels_of_today(archive, api):
    shown(api, "one", "web", "old")
    await run(archive, api)
    then = api.clock.now()
    shown(api, "one", "pay-web")
    await run(archive, api)
    applied(archive, PAY)

    with archive.engine.connect() as connection:
        known = as_known_at(connection, then)

    with known.memory.connect() as memory:
        names = dict(memory.execute(select(schema.components.c.component_key, schema.components.c.name)).all())
        rows = memory.execute(select(schema.component_labels)).mappings().all()
    assert known.refolded
    assert [(names[row["component_key"]], row["team"]) for row in rows] == [("web", "payments")]


async def test_a_report_as_of_then_is_grouped_by_the_labels_of_today(archive, api):
    shown(api, "same", "pay-api")
    shown(api, "renamed", "web", "mail")
    await run(archive, api)
    then = api.clock.now()
    shown(api, "renamed", "pay-web", "mail")
    shown(api, "new", "pay-api")
    await run(archive, api)
    applied(archive, PAY)
    weeks = Window.between(date(2023, 11, 13), date(2023, 11, 20), ZoneInfo("UTC"))  # of LONG_AGO_MS

    def teams(as_of):
        attempts = load_frames(archive.engine, weeks, as_of=as_of).attempts
        columns = (attempts["plan_id"], attempts["component_id"], attempts["team"].astype("str").fillna("-"))
        return sorted(zip(*columns, strict=True))

    old = [("renamed", "c0", "payments"), ("renamed", "c1", "-"), ("same", "c0", "payments")]
    assert teams(None) == [("new", "c0", "payments"), *old]
    assert teams(then) == old


async def test_hostile_names_and_labels_are_kept_as_they_are(archive, api):
    names = [name for name in HOSTILE if name.strip()]
    shown(api, "one", *names)
    await run(archive, api)

    rules = [LabelRule(labels={"team": "'; DROP TABLE plans;--"})]
    rules += [LabelRule(component=name, labels={"tier": name.replace("\n", "")}) for name in names]
    applied(archive, *rules)

    found = labels(archive)
    assert set(found) == set(names)
    assert {one["team"] for one in found.values()} == {"'; DROP TABLE plans;--"}
    assert found["api"]["tier"] == "[ab]pi"  # the last glob that matches it
    with archive.engine.connect() as connection:
        assert load_rules(connection) == rules


# --- the command ------------------------------------------------------------------------------------------------


def command(archive_url, *arguments):
    """Run the command; return exit code, standard output, standard error. A traceback is never right."""
    done = subprocess.run(
        [sys.executable, "-m", "archiver", "labels", "apply", *arguments],
        env=os.environ | {"ARCHIVER_DATABASE_URL": archive_url},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_the_command_tells_what_got_which_label_and_what_matches_nothing(archive, api, tmp_path):
    shown(api, "one", "pay-api", "web")
    await run(archive, api)
    file = tmp_path / "labels.toml"
    file.write_text(
        '[[labels]]\ncomponent = "pay-*"\nteam = "payments"\n[[labels]]\nplan = "n*"\ntier = "gold"\n', "utf-8"
    )

    tried = command(archive.url, str(file), "--dry-run")
    labels_after_trying = labels(archive)
    done = command(archive.url, str(file))

    assert labels_after_trying == {}
    assert labels(archive) == {"pay-api": {"team": "payments"}}
    assert done[0] == tried[0] == 0
    assert done[1].splitlines() == [
        "2 rules, 2 places of components in plans: 1 changed",
        "  project_name          2  (unlabelled)",
        "  team                  1  payments",
        "  team                  1  (unlabelled)",
        "  environment           2  (unlabelled)",
        "  tier                  2  (unlabelled)",
        "1 of 2 places have no label at all",
        "entry 2 matches nothing: plan = 'n*'",
    ]
    assert tried[1] == done[1].replace("1 changed", "1 would change")


def test_the_command_needs_a_good_file_an_archive_and_the_whole_of_it(archive, tmp_path):
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text("labels = []", "utf-8")
    bad.write_text('[[labels]]\nteem = "a"', "utf-8")
    elsewhere = tmp_path / "elsewhere.db"

    refused = command(archive.url, str(bad))
    nowhere = command(f"sqlite:///{elsewhere}", str(good))
    with archive.engine.begin() as connection:
        acquire(connection, "project:p1")
    busy = command(archive.url, str(good))

    assert (refused[0], len(refused[2].splitlines())) == (2, 1)
    assert json.dumps(str(bad))[1:-1] in refused[2]
    assert (nowhere[0], elsewhere.exists()) == (3, False)
    assert (busy[0], "is at work on p1" in busy[2]) == (75, True)
