"""Reports as of an instant: what runs and imports that had ended by then knew, whatever came later."""

import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from played import simulated
from sqlalchemy import select, update

from archiver import schema
from archiver.asof import as_known_at
from archiver.audit import findings
from archiver.clock import ManualClock, to_milliseconds
from archiver.importing import import_saved
from archiver.replay import FACTS
from archiver.saved import Observation
from archiver.simulator import Request, Simulator, build_history
from reports import cli

ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
# Times of sight are only known up to the instant asked for.
SIGHT = ("last_seen_at", "fetched_at")


def known_facts(engine, *, leaving_out=()):
    with engine.connect() as connection:
        return {
            table.name: [
                {name: value for name, value in row.items() if name not in SIGHT}
                for row in connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
                if row.get("plan_key") not in leaving_out
            ]
            for table in (*FACTS, schema.nights)
        }


def known_facts_at(engine, at):
    """Put together what is remembered otherwise and what is as it was, as a reader does."""
    with engine.connect() as connection:
        known = as_known_at(connection, at)
    stored, remembered = known_facts(engine, leaving_out=known.refolded), known_facts(known.memory)
    assert {row["plan_key"] for row in remembered["plans"]} <= known.refolded
    together = {
        table.name: sorted(
            stored[table.name] + remembered[table.name], key=lambda row: row[table.primary_key.columns.keys()[0]]
        )
        for table in FACTS
    }
    return together | {"nights": remembered["nights"]}


@pytest.fixture
async def nights(archive):
    """Archive seven nights, then a body from the past; return each night's end with the facts known then."""
    history = build_history(3, ends_at=ENDS_AT, weeks=1, projects=1, plans_per_week=20)
    [project_id] = history.project_ids
    known = []
    async with simulated(archive, history) as (one_more_night, clock):
        for night in range(7):
            if night == 3:
                clock.advance(86_400)  # one night is missed
            else:
                await one_more_night()
                known.append((clock.now(), known_facts(archive.engine)))
    with archive.engine.connect() as connection:
        row = connection.execute(
            select(schema.snapshots).where(schema.snapshots.c.kind == "deploy_info").limit(1)
        ).mappings()
        seen = row.one()
    body = b'{"id": "%s", "components": []}' % seen["plan_id"].encode()
    earlier = Observation(seen["plan_id"], "deploy_info", body, seen["captured_at"] - timedelta(hours=1))
    import_saved(archive.engine, project_id, archive.revision, [earlier], clock.now() + timedelta(hours=1))
    return known


async def test_what_was_known_then_is_told_again_after_later_nights_and_imports(archive, nights):
    for at, facts in nights:
        assert known_facts_at(archive.engine, at) == facts
        assert known_facts_at(archive.engine, at + timedelta(minutes=30)) == facts


async def test_nights_and_imports_into_their_past_are_told_again_as_each_left_them(archive):
    """Also which snapshot proved what: an import may begin a range earlier, lengthen it, or part it."""
    history = build_history(4, ends_at=ENDS_AT, weeks=1, projects=1, plans_per_week=8)
    [project_id] = history.project_ids
    then = ManualClock(history.starts_at)
    past = Simulator(history, now=then.now)
    dice = random.Random(7)
    plans_url = f"/v3/{project_id}/cas/release-plans"

    def saved_bodies():
        for _ in range(6):
            then.set(history.starts_at + dice.random() * (clock.now() - history.starts_at))
            at = to_milliseconds(then.now())
            for item in json.loads(past.handle(Request("GET", plans_url)).body)["release_plans"]:
                answer = past.handle(Request("GET", f"{plans_url}/{item['id']}/deploy-info"))
                if answer.status == 200 and dice.random() < 0.5:
                    yield Observation(item["id"], "deploy_info", answer.body, at)
                if dice.random() < 0.5:
                    yield Observation(item["id"], "list_item", json.dumps(item).encode(), at)

    known = []
    async with simulated(archive, history) as (one_more_night, clock):
        for _ in range(5):
            await one_more_night()
            known.append((clock.now(), known_facts(archive.engine)))
            clock.advance(3_600)
            import_saved(archive.engine, project_id, archive.revision, saved_bodies(), clock.now())
            known.append((clock.now(), known_facts(archive.engine)))

    for at, facts in known:
        assert known_facts_at(archive.engine, at) == facts
    with archive.engine.begin() as connection:
        assert list(findings(connection)) == []


async def test_before_the_first_run_ended_nothing_was_known(archive, nights):
    first_at, _ = nights[0]

    facts = known_facts_at(archive.engine, first_at - timedelta(seconds=1))

    assert not any(rows for name, rows in facts.items() if name != "nights")


@pytest.mark.parametrize("command", ["failure-rates", "rollbacks", "batch-timing", "delivery", "quality"])
async def test_a_report_as_of_then_is_the_one_that_was_made_then(archive, nights, command, capsysbinary, monkeypatch):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", archive.url)
    at, _ = nights[-1]
    arguments = [command, "--since", "2026-11-16", "--until", "2026-11-23", "--format", "json"]

    def printed(*more, now):
        assert cli.run([*arguments, *more], clock=ManualClock(now)) == 0
        return json.loads(capsysbinary.readouterr().out)

    asked = printed("--as-of", at.isoformat(), now=at + timedelta(days=30))

    assert asked == printed(now=at)
    assert asked != printed("--as-of", nights[0][0].isoformat(), now=at)


async def test_the_rows_behind_a_figure_as_of_then_keep_their_proof(archive, nights, capsysbinary, monkeypatch):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", archive.url)
    at, _ = nights[-1]

    def rows(*more):
        arguments = ("explain", "delivery", "--week", "2026-W47", "--format", "json", *more)
        assert cli.run(arguments, clock=ManualClock(at)) == 0
        return json.loads(capsysbinary.readouterr().out)

    asked = rows("--as-of", at.isoformat())

    assert asked == rows()
    assert all(row["last_run_id"] and row["last_sha256"] and row["is_last_pruned"] is False for row in asked)
    assert len(asked) > len(rows("--as-of", nights[0][0].isoformat())) > 0


@pytest.mark.parametrize("value", ["yesterday", "2026-13-01", ""])
def test_an_as_of_that_is_no_instant_exits_2(value, capsys):
    assert cli.run(["failure-rates", "--as-of", value]) == 2
    assert "--as-of" in capsys.readouterr().err


async def test_a_pruned_body_that_was_known_then_is_said_and_exits_3(archive, nights, monkeypatch, capsys):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", archive.url)
    with archive.engine.begin() as connection:
        connection.execute(update(schema.snapshots).values(body=None))

    assert cli.run(["failure-rates", "--as-of", nights[0][0].isoformat()]) == 3
    assert "prune horizon" in capsys.readouterr().err
