"""Bodies cut, misshapen, huge or no JSON: archived as they are, or named in `fetch_failures`; never a crash."""

import json
import random

import pytest
import zstandard
from checker import facts, rows_of
from malformed import malformed_bodies
from program import Case, difference
from test_faults_of_the_api import MovingClock
from upstream import Upstream, body, cut, item, part

NOW_MS = 1_790_000_000_000
GENERATED = 5_000


def make_case(archive, tmp_path, bodies, items=None):
    """Return a case of these plans, with waits that take no time."""
    upstream = Upstream(items=items or [item(plan_id, "SUCCESS", NOW_MS) for plan_id in bodies], bodies=dict(bodies))
    return Case(archive.url, upstream, tmp_path, MovingClock())


def failures(case, ran):
    """Return (error, body) by plan of what a run could not archive."""
    query = f"SELECT plan_id, message, body FROM fetch_failures WHERE run_id = '{ran.result.run_id}'"
    return {
        row["plan_id"]: (row["message"], None if row["body"] is None else bytes(row["body"]))
        for row in rows_of(case.url, query)
    }


def stored_bodies(url):
    """Return the stored deployment information by plan, as it came."""
    rows = rows_of(url, "SELECT plan_id, body FROM snapshots WHERE kind = 'deploy_info' ORDER BY captured_at")
    return {row["plan_id"]: zstandard.decompress(bytes(row["body"])) for row in rows}


def test_a_body_cut_at_every_byte_is_asked_for_again_or_named(archive, tmp_path):
    """Every byte of 4 kB, with Content-Length and without; every tenth is cut for ever, the others once."""
    message = random.Random(4).randbytes(1_500).hex()
    bodies = {}
    for number in range(4_096):
        plan_id = f"p{number:04}"
        bodies[plan_id] = body(plan_id, [part("web", job="JOB1", at_ms=NOW_MS, fail_message=message)]).ljust(4_096)
    whole_bytes = {plan_id: len(content.rstrip()) for plan_id, content in bodies.items()}
    tried = set()
    items = [item(plan_id, "RUNNING", NOW_MS) for plan_id in bodies]  # so that they are due in each run
    case = make_case(archive, tmp_path, bodies, items)

    def strike(call):
        if call.kind == "list":
            return None
        at_byte = int(call.plan_id[1:])
        if call.plan_id in tried and at_byte % 10:
            return None
        tried.add(call.plan_id)
        return cut(call.good, at_byte, with_content_length=at_byte % 2 == int(has_length))

    for has_length in (False, True):  # even bytes with, odd ones without; and the other way round
        tried.clear()
        case.upstream.strike = strike
        ran = case.run_here(retry_seconds=5)
        named = failures(case, ran)
        # Beyond the last brace there are only spaces: what was sent is whole, where nothing said that more comes.
        lasting = {
            plan_id
            for plan_id in bodies
            if int(plan_id[1:]) % 10 == 0
            and not (int(plan_id[1:]) >= whole_bytes[plan_id] and int(plan_id[1:]) % 2 != int(has_length))
        }
        assert ran.code == 1
        assert {plan_id: named[plan_id][0] for plan_id in named.keys() - lasting} == {}
        assert named.keys() == lasting
        assert ran.result.counts.plans_fetched == len(bodies) - len(lasting)
        stored = stored_bodies(case.url)
        assert all(stored[plan_id].rstrip() == bodies[plan_id].rstrip() for plan_id in stored)
    case.upstream.strike = lambda _call: None
    assert case.run_here().code == 0
    rows = rows_of(case.url, "SELECT count(*) AS n FROM job_attempts")
    assert rows == [{"n": len(bodies)}]
    stored = stored_bodies(case.url)
    assert {plan_id: content.rstrip() for plan_id, content in stored.items()} == {
        plan_id: content.rstrip() for plan_id, content in bodies.items()
    }


def test_five_thousand_malformed_bodies_are_archived_as_they_are_or_named(sqlite_archive_file, postgres_url, tmp_path):
    """Wrong types, missing, extra, deeply nested and duplicated keys; the same rows on both databases."""
    bodies = {f"p{number:04}": content for number, content in enumerate(malformed_bodies(GENERATED, seed=11))}
    case = make_case(sqlite_archive_file, tmp_path, bodies)
    other = Case(postgres_url, case.upstream, tmp_path, MovingClock())
    other.migrate()
    other.clock.set(case.clock.now())

    ran, ran_there = case.run_here(), other.run_here()

    named = failures(case, ran)
    stored = stored_bodies(case.url)
    assert stored.keys() | named.keys() == bodies.keys()
    assert stored.keys().isdisjoint(named)
    assert all(stored[plan_id] == bodies[plan_id] for plan_id in stored)
    assert all(named[plan_id][1] == bodies[plan_id] for plan_id in named)
    assert min(len(stored), len(named)) > GENERATED // 10  # both kinds are there in numbers
    assert failures(other, ran_there) == named
    assert list(difference(facts(case.url), facts(other.url))) == []
    assert case.problems() == other.problems() == []
    before = case.facts()
    assert case.run_here().result.counts.plans_changed == 0
    assert case.facts() == before


def test_duplicate_plans_and_components_in_one_answer_are_archived_once(archive, tmp_path):
    twice = [
        part("web", job="JOB1", at_ms=NOW_MS),
        part("web", job="JOB2", at_ms=NOW_MS + 60_000),
        part("web", job="JOB2", at_ms=NOW_MS + 60_000),
    ]
    items = [item("p1", "RUNNING", NOW_MS), item("p1", "SUCCESS", NOW_MS), item("p1", "SUCCESS", NOW_MS)]
    case = make_case(archive, tmp_path, {"p1": body("p1", twice)}, items)

    ran = case.run_here()

    assert ran.code == 0
    assert ran.result.counts.plans_listed == 1
    assert [row["status"] for row in rows_of(case.url, "SELECT status FROM plans")] == ["SUCCESS"]
    jobs = rows_of(case.url, "SELECT job_id, attempt FROM job_attempts ORDER BY attempt")
    assert jobs == [{"job_id": "JOB1", "attempt": 1}, {"job_id": "JOB2", "attempt": 2}]
    assert len(rows_of(case.url, "SELECT component_id FROM components")) == 1
    assert case.losses(case.facts()) == []


def test_messages_of_ten_megabytes_are_kept_whole(archive, tmp_path):
    message = random.Random(10).randbytes(5_000_000).hex()
    bodies = {name: body(name, [part("web", job="JOB1", at_ms=NOW_MS, fail_message=message + name)]) for name in "abc"}
    case = make_case(archive, tmp_path, bodies)

    ran = case.run_here()

    assert ran.code == 0
    kept = {
        row["plan_id"]: row["fail_message"]
        for row in rows_of(case.url, "SELECT plan_id, fail_message FROM job_attempts")
    }
    assert kept == {name: message + name for name in bodies}
    assert case.losses(case.facts()) == []


UNSPEAKABLE = {
    "NUL": rb'"a\u0000b"',
    "lone high surrogate": rb'"a\ud83db"',
    "lone low surrogate": rb'"a\udc00b"',
    "surrogates in the wrong order": rb'"a\udc00\ud83db"',
    "invalid UTF-8": b'"a\xffb"',
    "overlong UTF-8": b'"a\xc0\x80b"',
    "UTF-8 cut off": b'"a\xe4\xbd"',
    "raw control character": rb'"a\u0001\u007fb"',
}
NO_NUMBERS = {"NaN": b"NaN", "Infinity": b"-Infinity", "1e400": b"1e400", "minus 1e400": b"-1e400", "huge": b"9" * 400}


def test_what_no_database_can_hold_is_replaced_visibly_and_the_body_kept(sqlite_archive_file, postgres_url, tmp_path):
    """Equal rows on SQLite and PostgreSQL: U+FFFD for what is no text, no value for what is no time."""
    bodies = {}
    for place, (name, word) in enumerate(UNSPEAKABLE.items()):
        plan_id = f"text-{place}"
        good = body(plan_id, [part("web", job="JOB1", at_ms=NOW_MS, fail_message="here", version="there")])
        bodies[plan_id] = good.replace(b'"here"', word).replace(b'"there"', word)
        assert word in bodies[plan_id], name
    for place, word in enumerate(NO_NUMBERS.values()):
        plan_id = f"number-{place}"
        good = body(plan_id, [part("web", job="JOB1", at_ms=NOW_MS, extra="extra")])
        bodies[plan_id] = good.replace(str(NOW_MS).encode(), word).replace(b'"extra"', word)
    case = make_case(sqlite_archive_file, tmp_path, bodies)
    other = Case(postgres_url, case.upstream, tmp_path, MovingClock())
    other.migrate()

    ran, ran_there = case.run_here(), other.run_here()

    assert (failures(case, ran), ran.code) == (failures(other, ran_there), ran_there.code) == ({}, 0)
    assert list(difference(facts(case.url), facts(other.url))) == []
    assert stored_bodies(case.url) == stored_bodies(other.url) == bodies
    rows = rows_of(case.url, "SELECT plan_id, fail_message, version, started_at FROM job_attempts")
    by_plan = {row["plan_id"]: row for row in rows}
    assert by_plan.keys() == bodies.keys()
    for place, name in enumerate(UNSPEAKABLE):
        row = by_plan[f"text-{place}"]
        is_kept = name == "raw control character"
        assert ("\ufffd" in row["fail_message"]) != is_kept, name
        assert row["fail_message"] == row["version"]
    assert all(by_plan[f"number-{place}"]["started_at"] is None for place in range(len(NO_NUMBERS)))
    assert case.losses(case.facts()) == other.losses(other.facts()) == []


def test_a_list_of_unspeakable_items_is_archived_alike_on_both_databases(sqlite_archive_file, postgres_url, tmp_path):
    """NUL, surrogates and bad UTF-8 in names and statuses, items without an id, items that are none."""
    items = [
        item(f"p{place}", "SUCCESS", NOW_MS).replace(b'"wzh"', word).replace(b'"SUCCESS"', word)
        for place, word in enumerate(UNSPEAKABLE.values())
    ]
    bodies = {f"p{place}": body(f"p{place}", [part("web", job="JOB1", at_ms=NOW_MS)]) for place in range(len(items))}
    items += [b'{"name":"nameless"}', b"17", b'"plan"', b"null", b'{"id":null,"name":"nameless"}']
    case = make_case(sqlite_archive_file, tmp_path, bodies, items)
    other = Case(postgres_url, case.upstream, tmp_path, MovingClock())
    other.migrate()

    ran, ran_there = case.run_here(), other.run_here()

    assert (ran.code, ran_there.code) == (1, 1)
    assert failures(case, ran) == failures(other, ran_there)
    assert len(failures(case, ran)) == 5
    assert list(difference(facts(case.url), facts(other.url))) == []
    assert case.problems() == other.problems() == []
    case.upstream.items = items[: len(bodies)]
    assert case.losses(case.facts()) == []


@pytest.mark.parametrize(
    "answer",
    [b"", b"null", b"[]", b"{}", b'{"count":0}', b'{"release_plans":null}', b"<html>", b'{"release_plans":{}}'],
)
def test_a_list_that_is_none_fails_the_run_and_changes_nothing(after_one_night, flawless, answer):
    from upstream import said

    after_one_night.clock = MovingClock()
    before = after_one_night.facts()
    after_one_night.upstream.strike = lambda call: said(200, answer) if call.kind == "list" else None

    ran = after_one_night.run_here(retry_seconds=2)

    assert ran.code == 3
    assert after_one_night.facts() == before
    assert after_one_night.losses(flawless[2]) == []


def test_json_of_the_right_shape_with_a_body_for_another_plan_is_named(archive, tmp_path):
    bodies = {"p1": body("p1", [part("web", job="JOB1", at_ms=NOW_MS)]), "p2": body("p1", [part("web", job="JOB2")])}
    case = make_case(archive, tmp_path, bodies)

    ran = case.run_here()

    assert ran.code == 1
    assert failures(case, ran).keys() == {"p2"}
    assert case.problems() == []
    case.upstream.bodies["p2"] = json.dumps({"id": "p2", "components": []}).encode()
    assert case.run_here().code == 0
    assert case.problems(is_recovered=True) == []
