"""Saved bodies put into the past: in any order, once and again, on both databases."""

import gzip
import json
import os
import random
import string
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
import stamina
import zstandard
from builders import component, deploy_info, plan_item
from sqlalchemy import event, exc, update

from archiver import importing, saved, schema
from archiver.audit import findings
from archiver.clock import ManualClock
from archiver.errors import DatabaseError, SettingsError
from archiver.importing import import_saved
from archiver.replay import FACTS
from archiver.saved import Observation, Unreadable, read_saved
from archiver.simulator import Request, Simulator, build_history

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
START = datetime(2026, 11, 1, tzinfo=UTC)


def day(number):
    return START + timedelta(days=number)


def observed(number, *components, plan_id="p"):
    return Observation(plan_id, "deploy_info", deploy_info(plan_id, *components), day(number))


def ranges(archive, **equal):
    rows = sorted(archive.rows(schema.snapshots, **equal), key=lambda row: (row["captured_at"], row["snapshot_id"]))
    return [((row["captured_at"] - START).days, (row["last_captured_at"] - START).days) for row in rows]


def all_rows(archive):
    """Return facts, ranges and sights, but for which import told of them, and when."""
    return {
        table.name: [
            {name: value for name, value in row.items() if name not in ("run_id", "recorded_at")}
            for row in archive.rows(table)
        ]
        for table in (*FACTS, schema.snapshots, schema.sights, schema.failures)
    }


FIRST = component(job_id="JOB1")
SECOND = component(job_id="JOB2", start_time=1_700_000_900_000, end_time=1_700_000_990_000)


def test_a_body_seen_on_several_days_is_one_range(archive):
    import_saved(archive.engine, "pr", archive.revision, [observed(1, FIRST), observed(3, FIRST)], NOW)
    import_saved(archive.engine, "pr", archive.revision, [observed(2, FIRST)], NOW)

    assert ranges(archive) == [(1, 3)]


def test_another_body_within_a_range_splits_it(archive):
    import_saved(archive.engine, "pr", archive.revision, [observed(1, FIRST), observed(5, FIRST)], NOW)
    import_saved(archive.engine, "pr", archive.revision, [observed(3, SECOND)], NOW)

    assert ranges(archive) == [(1, 1), (3, 3), (5, 5)]
    attempts = {row["job_id"]: row for row in archive.rows(schema.job_attempts)}
    assert attempts["JOB1"]["last_seen_at"] == day(5)
    assert attempts["JOB2"]["first_seen_at"] == attempts["JOB2"]["last_seen_at"] == day(3)


def test_an_attempt_from_before_the_archive_becomes_the_first_known(archive):
    import_saved(archive.engine, "pr", archive.revision, [observed(5, SECOND)], NOW)
    import_saved(archive.engine, "pr", archive.revision, [observed(1, FIRST)], NOW)

    assert {row["job_id"]: row["attempt"] for row in archive.rows(schema.job_attempts)} == {"JOB1": 1, "JOB2": 2}


def test_a_list_body_never_tombstones(archive):
    both = [Observation(name, "list_item", json.dumps(plan_item(name)).encode(), day(1)) for name in ("a", "b")]
    import_saved(archive.engine, "pr", archive.revision, both, NOW)
    only = [Observation("a", "list_item", json.dumps(plan_item("a")).encode(), day(2))]
    import_saved(archive.engine, "pr", archive.revision, only, NOW)

    assert [row["gone_at"] for row in archive.rows(schema.plans)] == [None, None]


def test_any_order_and_any_repetition_give_the_same_archive(archive):
    history = build_history(5, ends_at=datetime(2026, 11, 23, tzinfo=UTC), weeks=1, projects=1, plans_per_week=12)
    [project_id] = history.project_ids
    seen = []
    clock = [history.starts_at]
    simulator = Simulator(history, now=lambda: clock[0])
    plans_url = f"/v3/{project_id}/cas/release-plans"
    for _ in range(9):
        clock[0] += timedelta(days=1)
        for item in json.loads(simulator.handle(Request("GET", plans_url)).body)["release_plans"]:
            seen.append(Observation(item["id"], "list_item", json.dumps(item).encode(), clock[0]))
            answer = simulator.handle(Request("GET", f"{plans_url}/{item['id']}/deploy-info"))
            if answer.status == 200:
                later = clock[0] + timedelta(seconds=1)
                seen.append(Observation(item["id"], "deploy_info", answer.body, later))
    import_saved(archive.engine, project_id, archive.revision, seen, NOW)
    in_order = all_rows(archive)
    assert len(in_order["snapshots"]) < len(seen)
    with archive.engine.begin() as connection:
        for table in reversed(schema.metadata.sorted_tables):
            connection.execute(table.delete())

    shuffled = random.Random(1).sample(seen, len(seen))
    for part in (*(shuffled[start::7] for start in range(7)), shuffled[::3]):
        import_saved(archive.engine, project_id, archive.revision, part, NOW)

    assert all_rows(archive) == in_order
    with archive.engine.connect() as connection:
        assert list(findings(connection)) == []


def test_what_can_not_be_read_is_named_and_the_rest_is_saved(archive):
    bad = Unreadable("x.json", "no JSON", b"{")

    result = import_saved(archive.engine, "pr", archive.revision, [observed(1, FIRST), bad], NOW)

    assert (result.outcome, result.counts.plans_failed, result.counts.plans_changed) == ("partial", 1, 1)
    [failure] = archive.rows(schema.fetch_failures)
    assert (failure["plan_id"], failure["stage"], failure["body"]) == ("x.json", "import", b"{")


def endless_id():
    """Return an id past what an index of PostgreSQL takes, and not to be compressed; SQLite takes it."""
    return "".join(random.Random(1).choices(string.ascii_letters, k=4_000))


@pytest.mark.parametrize("what", ["plan", "component"])
def test_a_plan_that_the_database_refuses_fails_alone(archive, what):
    plan_id = endless_id() if what == "plan" else "long"
    refused = observed(1, component(endless_id() if what == "component" else "c1"), plan_id=plan_id)
    bad = Unreadable(f"{endless_id()}/x.json", "no JSON", b"{")
    others = [observed(1, FIRST, plan_id="a"), observed(2, SECOND, plan_id="z")]

    result = import_saved(archive.engine, "pr", archive.revision, [others[0], refused, bad, others[1]], NOW)

    assert {row["plan_id"] for row in archive.rows(schema.plans)} >= {"a", "z"}
    counts = result.counts
    failures = {row["stage"]: row for row in archive.rows(schema.fetch_failures)}
    assert (failures["import"]["plan_id"][-6:], failures["import"]["body"]) == ("x.json", b"{")
    [run] = archive.rows(schema.runs)
    assert (run["outcome"], run["plans_failed"]) == (result.outcome, counts.plans_failed)
    assert [row["is_released"] for row in archive.rows(schema.leases)] == [True]
    if archive.engine.dialect.name == "postgresql":
        assert (result.outcome, counts.plans_failed, counts.plans_fetched, counts.plans_listed) == ("partial", 2, 2, 3)
        assert result.error == "1 files, lines or items are no bodies; 1 plans are refused by the database"
        assert (failures["mapping"]["plan_id"], failures["mapping"]["body"]) == (plan_id[:500], refused.content)
        assert archive.rows(schema.plans, plan_id=plan_id) == []
    else:
        assert (result.outcome, counts.plans_failed, counts.plans_fetched) == ("partial", 1, 3)


def test_an_import_outlives_passing_faults_of_the_database(archive):
    """Another process holds the lock, or the server starts again: each transaction is done once more."""
    begun = []

    @event.listens_for(archive.engine, "begin")
    def fail_at_first(_connection):
        begun.append(len(begun))
        if begun[-1] % 2 == 0:
            raise exc.OperationalError("BEGIN", {}, Exception("database is locked"))

    with stamina.set_testing(True, attempts=2):
        result = import_saved(archive.engine, "pr", archive.revision, [observed(1, FIRST)], NOW)

    event.remove(archive.engine, "begin", fail_at_first)
    assert (result.outcome, len(begun)) == ("complete", 6)
    assert [row["outcome"] for row in archive.rows(schema.runs)] == ["complete"]
    assert len(archive.rows(schema.job_attempts)) == 1


def test_a_fault_that_lasts_ends_the_import_in_part_and_what_came_before_is_saved(archive, monkeypatch):
    monkeypatch.setattr(importing, "_BODIES_AT_ONCE", 1)

    def found(*before):
        yield from before
        raise DatabaseError("the database failed: it is away")

    result = import_saved(archive.engine, "pr", archive.revision, found(observed(1, FIRST)), NOW)
    with pytest.raises(DatabaseError, match="it is away"):
        import_saved(archive.engine, "pr", archive.revision, found(), NOW)

    assert (result.outcome, result.counts.plans_fetched) == ("partial", 1)
    assert result.error.startswith("the database failed: it is away; what came before it is saved")
    assert sorted(row["outcome"] for row in archive.rows(schema.runs)) == ["failed", "partial"]


def test_a_run_that_can_not_be_closed_is_marked_by_the_next(archive):
    """The lease went to another process meanwhile: nothing more is written, and what was saved stays."""

    class Thief(ManualClock):
        def now(self):
            with archive.engine.begin() as connection:
                connection.execute(update(schema.leases).values(fence=99))
            return super().now()

    result = import_saved(archive.engine, "pr", archive.revision, [observed(1, FIRST)], NOW, Thief(NOW))

    assert (result.outcome, "another process took over" in result.error) == ("partial", True)
    assert [row["outcome"] for row in archive.rows(schema.runs)] == ["running"]
    assert len(archive.rows(schema.job_attempts)) == 1


def read(tmp_path, *names):
    return list(read_saved([str(tmp_path / name) for name in names], day(1), NOW))


def test_files_lines_lists_and_compressed_ones_are_read(tmp_path):
    one, two = deploy_info("one"), deploy_info("two")
    listing = json.dumps({"count": 1, "release_plans": [plan_item("one")]}).encode()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one.json").write_bytes(one)
    (tmp_path / "folder" / "lines.ndjson").write_bytes(one + b"\n" + two + b"\n" + listing + b"\n")
    (tmp_path / "two.json.gz").write_bytes(gzip.compress(two))
    (tmp_path / "two.json.zst").write_bytes(zstandard.compress(two))

    found = read(tmp_path, "folder", "two.json.gz", "two.json.zst")

    deploy, item = "deploy_info", "list_item"
    expected = [("one", deploy), ("two", deploy), ("one", item), ("one", deploy), ("two", deploy), ("two", deploy)]
    assert [(one.plan_id, one.kind) for one in found] == expected


def test_a_file_of_several_frames_is_read_to_its_end(tmp_path):
    parts = [deploy_info(f"p{number}") + b"\n" for number in range(40)]
    (tmp_path / "many.zst").write_bytes(b"".join(map(zstandard.compress, parts)))
    (tmp_path / "many.gz").write_bytes(b"".join(map(gzip.compress, parts)))

    for name in ("many.zst", "many.gz"):
        assert [one.plan_id for one in read(tmp_path, name)] == [f"p{number}" for number in range(40)]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_compressed_file_that_is_cut_off_or_altered_is_named(tmp_path, pack):
    whole = pack(deploy_info("p") * 400)
    for place in (3, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:place] if place > 4 else whole[:4])

        (found,) = read(tmp_path, "cut")

        assert "can't be decompressed" in found.reason
    (tmp_path / "altered").write_bytes(whole[:40] + b"\xff" * 60 + whole[100:])
    assert "can't be decompressed" in next(iter(read(tmp_path, "altered"))).reason


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, bytes])
def test_what_unpacks_to_more_than_memory_should_hold_is_named_and_never_unpacked_whole(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(saved, "_MAX_BYTES", 4 * 2**20)
    (tmp_path / "bomb").write_bytes(pack(bytes(192 * 2**20)))

    tracemalloc.start()
    (found,) = read(tmp_path, "bomb")
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert found.reason == "is larger than 4 MiB: part it into several files"
    assert len(found.content) < 2**20
    assert peak_bytes < 120 * 2**20


def test_a_file_without_a_given_time_was_seen_when_it_was_last_changed(tmp_path):
    file = tmp_path / "one.json"
    file.write_bytes(deploy_info("one"))
    os.utime(file, (day(3).timestamp() + 0.125,) * 2)

    [found] = read_saved([str(file)], None, NOW)

    assert found.captured_at == day(3) + timedelta(milliseconds=125)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"components": []}',
        b'{"release_plans": [{"name": "x"}]}',
        b"\x1f\x8bbroken",
        b"\x28\xb5\x2f\xfdx",
    ],
)
def test_what_is_no_body_is_named(tmp_path, content):
    (tmp_path / "bad.json").write_bytes(content)

    [found] = read(tmp_path, "bad.json")

    assert isinstance(found, Unreadable)
    assert found.name.endswith(("bad.json", "bad.json, item 1"))


def test_a_bad_line_is_named_by_its_number(tmp_path):
    (tmp_path / "lines.ndjson").write_bytes(deploy_info("one") + b"\nnonsense\n")

    good, bad = read(tmp_path, "lines.ndjson")

    assert good.plan_id == "one"
    assert bad.name.endswith("lines.ndjson, line 2")


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="there is no file or folder"):
        read(tmp_path, "nothing")


def test_an_import_writes_the_weeks_that_views_need_and_no_night(archive):
    import_saved(archive.engine, "pr", archive.revision, [observed(1, FIRST)], NOW, zone="Europe/Berlin")

    assert {row["time_zone"] for row in archive.rows(schema.weeks, week="2026-W47")} == {"UTC", "Europe/Berlin"}
    assert archive.rows(schema.nights) == []


def test_an_import_ends_when_it_is_done_not_when_it_began(archive):
    """What it brings was known only then: as of any instant before, it is left out."""
    clock = ManualClock(NOW + timedelta(minutes=5))

    result = import_saved(archive.engine, "pr", archive.revision, [observed(1, FIRST)], NOW, clock)

    [run] = archive.rows(schema.runs)
    assert (run["started_at"], run["ended_at"], result.ended_at) == (NOW, clock.now(), clock.now())
