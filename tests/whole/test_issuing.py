"""Issued reports: kept as they went out, made again byte for byte, and compared with what is known later."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from played import simulated

from archiver import schema
from archiver.clock import ManualClock
from archiver.importing import import_saved
from archiver.issued import save_issued
from archiver.pruning import horizons, prune
from archiver.saved import Observation
from archiver.settings import load_settings
from archiver.simulator import build_history
from reports import cli
from reports.definitions import DEFINITION_VERSIONS
from reports.issuing import make_weekly

ENDS_AT = datetime(2026, 11, 30, tzinfo=UTC)
WEEK = "2026-W47"
OVER = ("succeeded", "failed", "aborted")


@dataclass
class Told:
    """The archive, and what tells the story on."""

    archive: Any
    clock: ManualClock
    one_more_night: Any
    weekly: Any
    written: Any
    said: str


@pytest.fixture
async def told(archive, monkeypatch, tmp_path, capsysbinary):
    """Archive the nights of a week and issue its report in the morning after; return what tells the story on."""
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", archive.url)
    history = build_history(3, ends_at=ENDS_AT, weeks=2, projects=1, plans_per_week=20)
    async with simulated(archive, history) as (one_more_night, clock):

        def weekly(*arguments):
            assert cli.run(["weekly", "--week", WEEK, *arguments], clock=clock) == 0
            return capsysbinary.readouterr().out.decode()

        def written(*arguments):
            weekly("--out", str(tmp_path / "out"), *arguments)
            return (tmp_path / "out" / f"weekly-{WEEK}.json").read_bytes()

        for _ in range(5):  # the week is not over yet: much will change
            await one_more_night()
        capsysbinary.readouterr()
        said = weekly("--issue")
        yield Told(archive, clock, one_more_night, weekly, written, said)


async def test_an_issued_report_is_kept_once_as_it_went_out(told):
    archive, clock, weekly, written, said = told.archive, told.clock, told.weekly, told.written, told.said
    [issued] = archive.rows(schema.issued_reports)

    assert issued["week"] == WEEK
    assert issued["issued_at"] == issued["as_of"] == clock.now()
    assert issued["report"].encode() == written()
    assert issued["report_sha256"] == sha256(issued["report"].encode()).hexdigest() in said
    assert json.loads(issued["definition_versions"]) == json.loads(issued["report"])["definition_versions"]
    assert weekly("--issue") == said
    assert len(archive.rows(schema.issued_reports)) == 1


async def test_an_issued_report_is_made_again_byte_for_byte_after_later_nights_imports_and_issues(told):
    archive, clock, weekly, written = told.archive, told.clock, told.weekly, told.written
    [issued] = archive.rows(schema.issued_reports)
    for _ in range(3):
        await told.one_more_night()
    _import_into_the_past(archive, clock)
    weekly("--issue")

    assert written("--as-of", issued["as_of"].isoformat()) == issued["report"].encode()
    later = next(row for row in archive.rows(schema.issued_reports) if row["as_of"] > issued["as_of"])
    assert written("--as-of", later["as_of"].isoformat()) == later["report"].encode()


def _import_into_the_past(archive, clock):
    plan = next(
        row
        for row in archive.rows(schema.plans)
        if row["executed_at"] is not None and row["executed_at"] > datetime(2026, 11, 17, tzinfo=UTC)
    )
    start_ms = int(datetime(2026, 11, 16, 12, tzinfo=UTC).timestamp() * 1000)
    item = {"id": "found", "name": "found", "seq": 1, "job_id": "FOUND", "status": "FAILED", "job_status": "FAILED"}
    item |= {"start_time": start_ms, "end_time": start_ms + 60_000}
    content = json.dumps({"id": plan["plan_id"], "components": [item]}).encode()
    seen = Observation(plan["plan_id"], "deploy_info", content, plan["first_seen_at"])
    import_saved(archive.engine, plan["project_id"], archive.revision, [seen], clock.now())


async def test_a_later_report_tells_every_figure_and_every_fact_that_changed_and_why(told):
    """Checked against the rows of the archive as they were when the report was issued."""
    archive, clock, written = told.archive, told.clock, told.written
    [issued] = archive.rows(schema.issued_reports)
    then = {table.name: archive.rows(table) for table in (schema.job_attempts, schema.rollbacks)}
    for _ in range(5):
        await told.one_more_night()
    _import_into_the_past(archive, clock)
    clock.advance(3600)

    report = json.loads(written())

    assert report["restated"]["report_sha256"] == issued["report_sha256"]
    old_tables, tables = json.loads(issued["report"])["tables"], report["tables"]
    expected_figures = [
        (row["week"], name, figure, row[figure], now[figure])
        for name in ("failure-rates", "rollbacks", "batch-timing", "delivery")
        for row, now in zip(old_tables[name], tables[name], strict=True)
        for figure in row
        if row[figure] != now[figure] and figure not in ("provisional", "is_cut")
    ]
    told_figures = [tuple(row.values()) for row in tables["restated-figures"]]
    assert sorted(told_figures, key=str) == sorted(expected_figures, key=str)
    assert told_figures
    assert _told(tables["restated-facts"]) == _expected(archive, then)
    assert {"import", "seen late"} <= {row["why"] for row in tables["restated-facts"]}


def _told(rows):
    names = ("subject", "plan_id", "component_id", "job_id", "why")
    return sorted((tuple(row[name] for name in names) for row in rows), key=str)


def _expected(archive, then):
    monday, sunday = datetime(2026, 8, 24, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)
    attempts, rollbacks = archive.rows(schema.job_attempts), archive.rows(schema.rollbacks)
    executed = {row["plan_id"]: row["executed_at"] for row in archive.rows(schema.plans)}
    starts = {}
    for row in attempts:
        row["week_at"] = row["started_at"]
        if row["started_at"] is None and row["outcome"] == "failed":
            row["week_at"] = executed[row["plan_id"]] or row["first_seen_at"]
        if row["started_at"] is not None:
            starts[_place(row)] = min(row["started_at"], starts.get(_place(row), row["started_at"]))
    for row in rollbacks:
        row["week_at"] = starts.get(_place(row), row["started_at"])
    expected = []
    for subject, rows, name in (("attempt", attempts, "job_attempts"), ("rollback", rollbacks, "rollbacks")):
        was = {row[f"{subject}_key"]: row for row in then[name]}
        for row in rows:
            why = _expected_reason(subject, was.get(row[f"{subject}_key"]), row)
            if why and row["week_at"] is not None and monday <= row["week_at"] < sunday:
                job_id = row.get("rollback_job_id") or row["job_id"]
                expected.append((subject, row["plan_id"], row["component_id"], job_id, why))
    return sorted(expected, key=str)


def _place(row):
    return row["plan_id"], row["component_id"], row["batch"]


def _expected_reason(subject, before, row):
    if row["job_id"] == "FOUND":
        return "import"
    if before is None:
        return "late rollback" if subject == "rollback" else "seen late"
    if all(before.get(name) == row.get(name) for name in ("batch", "outcome", "started_at", "ended_at", "version")):
        return None
    if before["outcome"] not in OVER and row["outcome"] in OVER:
        return "late finish"
    return "replaced unseen" if before["outcome"] != row["outcome"] == "unknown" else "changed upstream"


async def test_a_report_of_the_week_after_tells_what_the_week_before_restates(told):
    archive = told.archive
    for _ in range(7):
        await told.one_more_night()
    assert cli.run(["weekly", "--week", "2026-W48", "--issue"], clock=told.clock) == 0

    rows = archive.rows(schema.issued_reports)
    report = json.loads(next(row["report"] for row in rows if row["week"] == "2026-W48"))

    assert report["restated"]["week"] == WEEK
    assert {row["week"] for row in report["tables"]["restated-facts"]} <= {WEEK, "2026-W46"}
    assert report["restated"]["facts"] == len(report["tables"]["restated-facts"]) > 0


async def test_a_definition_that_the_reports_of_earlier_weeks_had_otherwise_breaks_the_trend_there(told, monkeypatch):
    """Two definitions were raised, one after W46 was issued and one after W47: each breaks where it was."""
    versions = {**DEFINITION_VERSIONS, "rollbacks": 7, "delivery": 7}
    for week, older in (("2026-W46", versions), ("2026-W47", versions | {"rollbacks": 1})):
        with told.archive.engine.begin() as connection:
            save_issued(
                connection,
                zone="UTC",
                week=week,
                projects=None,
                as_of=told.clock.now() + timedelta(hours=1),
                issued_at=told.clock.now(),
                definition_versions=older,
                report='{"tables": {}}',
            )
    for _ in range(7):
        await told.one_more_night()

    report = make_weekly(load_settings(None), date(2026, 11, 23), None, None)
    as_of_then = make_weekly(load_settings(None), date(2026, 11, 23), None, told.clock.now() - timedelta(days=20))

    assert report.breaks == (("2026-W47", "rollbacks"), ("2026-W48", "delivery"))
    assert as_of_then.breaks == ()


async def test_where_the_bodies_were_pruned_only_figures_are_compared(told):
    archive, clock, written = told.archive, told.clock, told.written
    for _ in range(3):
        await told.one_more_night()
    with archive.engine.begin() as connection:
        prune(connection, horizons(connection, clock.now(), heeds_issued=False), clock.now())

    report = json.loads(written())

    assert report["restated"]["is_told_by_facts"] is False
    assert report["tables"]["restated-facts"] == []
    assert report["tables"]["restated-figures"]


async def test_without_a_run_since_it_is_the_same_report(told):
    told.clock.advance(60)

    assert json.loads(told.written())["restated"] is None


@pytest.mark.parametrize(
    ("arguments", "word"),
    [([], "--out"), (["--issue", "--as-of", "2026-11-23"], "--as-of"), (["--issue", "--week", "2026-W60"], "2026-W60")],
)
def test_what_can_not_be_asked_together_exits_2(arguments, word, capsys):
    assert cli.run(["weekly", *arguments]) == 2
    assert word in capsys.readouterr().err


def test_an_archive_without_a_run_has_nothing_to_issue(archive, monkeypatch, capsys):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", archive.url)

    assert cli.run(["weekly", "--issue"], clock=ManualClock(ENDS_AT)) == 3
    assert "nothing to issue" in capsys.readouterr().err
    assert archive.rows(schema.issued_reports) == []
