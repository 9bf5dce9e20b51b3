"""The weekly report of an exported data set is that of its archive; one that can't be read is said in a line."""

import json
import logging
import os
import sys
from datetime import date, timedelta
from importlib.metadata import PackageNotFoundError

import dask
import pytest
from dask_parts import DATA, MONDAY, assert_same_report, export_again, export_random
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError
from report_builders import UTC_ZONE, at

from archiver import schema
from archiver.clock import ManualClock
from archiver.dataset import held, opened
from archiver.errors import LeaseHeldError
from archiver.settings import Settings
from reports import cli, dask_weekly
from reports.dask_weekly import ClusterError, data_set_report
from reports.frames import load_frames
from reports.messages import load_failures
from reports.night_frames import load_night_runs
from reports.reading import reading
from reports.weekly import weekly_report, weekly_window

CLOCK = ManualClock(at("2026-11-30 12:00"))


@pytest.fixture(params=["sqlite_archive", "postgres_archive"])
def engine(request):
    return request.getfixturevalue(request.param)


def of_archive(engine, monday, projects=None):
    window = weekly_window(monday, UTC_ZONE)
    with reading(engine, projects) as archive:
        said, known_failures = load_failures(archive, window), archive.known_failures(monday + timedelta(days=7))
        night_runs = load_night_runs(archive)
    return weekly_report(
        load_frames(engine, window, projects),
        monday,
        UTC_ZONE,
        recheck_days=14,
        failures=said,
        known_failures=known_failures,
        night_runs=night_runs,
    )


def of_data_set(monday, projects=None, rows_in_part=40):
    with held(DATA) as (_, partitions), dask.config.set(scheduler="synchronous"):
        window = weekly_window(monday, UTC_ZONE)
        return data_set_report(Settings(), window, projects, DATA, partitions, rows_in_part)


def test_the_report_of_a_data_set_is_that_of_its_archive(engine):
    export_random(engine, 51)
    with engine.begin() as connection:  # alike in three nights: a known failure
        for number in range(3):
            day = date(2026, 11, 20 + number)
            run = {"run_id": f"r{day}", "run_key": f"r{day}", "project_id": "p1", "kind": "scheduled"}
            run |= {"night_date": day, "started_at": at(f"{day} 02:15"), "ended_at": at(f"{day} 02:20")}
            run |= {"outcome": "partial", "archiver_version": "0.1.0", "schema_revision": "1", "mapping_version": 1}
            connection.execute(schema.runs.insert(), run)
            missed = {"fetch_failure_key": f"f{day}", "run_id": run["run_id"], "project_id": "p1", "plan_id": "stuck"}
            missed |= {"stage": "deploy_info", "error_code": "500", "message": "no", "failed_at": run["ended_at"]}
            connection.execute(schema.fetch_failures.insert(), missed)
    export_again(engine)
    expected = of_archive(engine, MONDAY)
    assert list(expected.tables["known-failures"]["plan_id"]) == ["stuck"]
    assert len(expected.tables["rollback-failures"]) > 0
    assert_same_report(of_data_set(MONDAY), expected)


def test_a_project_of_it_alone_and_an_earlier_week_are_equal_too(sqlite_archive):
    export_random(sqlite_archive, 52)
    earlier = MONDAY - timedelta(weeks=2)
    assert_same_report(of_data_set(earlier, ["p2"]), of_archive(sqlite_archive, earlier, ["p2"]))
    assert_same_report(of_data_set(MONDAY, ["nobody"]), of_archive(sqlite_archive, MONDAY, ["nobody"]))


def weekly(capsys, *options):
    """Ask for the report of the week by Dask; return exit code and the line on standard error."""
    code = cli.run(["weekly", "--out", "out", "--week", "2026-W47", *options], clock=CLOCK)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return code, lines[0].removeprefix("reports: ")


BY_DASK = ("--engine", "dask", "--data", str(DATA))


def test_what_is_asked_of_both_engines_is_refused(capsys):
    assert weekly(capsys, "--engine", "dask")[0] == 2
    assert weekly(capsys, "--data", "data") == (2, "--data and --scheduler are for --engine dask")
    assert weekly(capsys, "--scheduler", "tcp://127.0.0.1:1")[0] == 2
    assert weekly(capsys, *BY_DASK, "--issue") == (
        2,
        "--issue and --as-of ask the archive: leave them out with --engine dask",
    )


def test_without_the_extra_its_name_is_told(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "reports.dask_weekly")
    code, said = weekly(capsys, *BY_DASK)
    assert (code, "pip install 'release-archiver[dask]'" in said) == (2, True)


def test_a_directory_that_is_no_data_set_is_told(capsys):
    assert weekly(capsys, *BY_DASK) == (2, "data is no data set: make one with `archiver export data`")
    DATA.mkdir()
    (DATA / "_manifest.json").write_text('{"format": 99}')
    assert weekly(capsys, *BY_DASK) == (2, "data/_manifest.json is no manifest of this version: name a new directory")


def test_a_data_set_that_is_not_whole_is_told(capsys, sqlite_archive):
    export_random(sqlite_archive, 53, plans=5)
    with opened(DATA, "UTC", is_whole=True):
        assert weekly(capsys, *BY_DASK)[0] == 75
    (DATA / "_staging").mkdir()
    assert weekly(capsys, *BY_DASK) == (3, "an export of data did not end: export again")
    (DATA / "_staging").rmdir()
    [file, *_] = sorted(DATA.glob("job_attempts/*/*/*.parquet"))
    os.truncate(file, 100)
    assert weekly(capsys, *BY_DASK) == (3, f"{file} is not the file that was exported: export again")
    file.unlink()
    assert weekly(capsys, *BY_DASK)[0] == 3


def test_a_week_of_which_it_knows_nothing_and_weeks_of_another_zone_are_told(capsys, sqlite_archive, monkeypatch):
    export_random(sqlite_archive, 54, plans=5)
    code, said = weekly(capsys, *BY_DASK, "--week", "2027-W20")
    assert (code, said[:34]) == (3, "data knows nothing of 2027-W20: it")
    monkeypatch.setenv("ARCHIVER_TIMEZONE", "Asia/Shanghai")
    assert weekly(capsys, *BY_DASK) == (2, "data has the weeks of UTC, not Asia/Shanghai: export in that zone")


def test_a_column_that_an_older_program_did_not_write_is_told(capsys, sqlite_archive, monkeypatch):
    import pyarrow.parquet as pq

    export_random(sqlite_archive, 55, plans=5)
    manifest = json.loads((DATA / "_manifest.json").read_text())
    for one in manifest["partitions"]:
        if one["table"] == "component_releases":
            rows = pq.read_table(DATA / one["path"], partitioning=None)
            pq.write_table(rows.drop_columns(["team"]), DATA / one["path"])
            one["size_bytes"] = (DATA / one["path"]).stat().st_size
    (DATA / "_manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setattr(dask_weekly, "connected", lambda _: dask.config.set(scheduler="synchronous"))
    code, said = weekly(capsys, *BY_DASK)
    assert (code, said.endswith("has no team: export with --full, by this version")) == (3, True)


@pytest.mark.parametrize("table", ["job_attempts", "runs"])
@pytest.mark.parametrize("damaged", ["all", "footer", "data"])
def test_a_file_that_is_damaged_in_its_place_is_told(capsys, sqlite_archive, monkeypatch, table, damaged):
    export_random(sqlite_archive, 59, plans=5)
    monkeypatch.setattr(dask_weekly, "connected", lambda _: dask.config.set(scheduler="synchronous"))
    [file, *_] = sorted(DATA.glob(f"{table}/*/week=2026-W4*/*.parquet"))
    size = file.stat().st_size
    begin, end = {"all": (0, size), "footer": (size - 200, size - 8), "data": (4, 400)}[damaged]
    content = file.read_bytes()
    file.write_bytes(content[:begin] + b"\xff" * (end - begin) + content[end:])
    code, said = weekly(capsys, *BY_DASK)
    assert code == 3
    assert said.startswith(f"{file.resolve() if table == 'job_attempts' else file} can't be read: ")
    assert said.endswith("; export again")


def test_a_scheduler_out_of_reach_is_told(capsys, sqlite_archive, monkeypatch):
    monkeypatch.setattr(dask_weekly, "_PATIENCE", "200ms")
    export_random(sqlite_archive, 56, plans=5)
    code, said = weekly(capsys, *BY_DASK, "--scheduler", "tcp://127.0.0.1:1")
    assert (code, said[:50]) == (3, "the scheduler tcp://127.0.0.1:1 can't be reached: ")
    code, said = weekly(capsys, *BY_DASK, "--scheduler", "nonsense")
    assert (code, said[:39]) == (3, "the scheduler nonsense can't be reached")


@pytest.mark.parametrize("lost", [FutureCancelledError("key", "scheduler-connection-lost"), CommClosedError("closed")])
def test_a_scheduler_that_is_lost_on_the_way_is_told(capsys, sqlite_archive, monkeypatch, lost):
    def lose(*_, **__):
        raise lost

    export_random(sqlite_archive, 60, plans=5)
    monkeypatch.setattr(dask_weekly, "connected", lambda _: dask.config.set(scheduler="synchronous"))
    monkeypatch.setattr(dask_weekly, "weekly_report", lose)
    code, said = weekly(capsys, *BY_DASK)
    assert (code, said[:38]) == (3, "the scheduler was lost on the way: " + str(lost)[:3])


def test_what_dask_logs_of_a_lost_scheduler_is_not_shown(capsys):
    logging.getLogger("distributed.client").setLevel(logging.WARNING)  # as Dask does
    with pytest.raises(ClusterError), dask_weekly.connected("nonsense"):
        pass
    logging.getLogger("distributed.client").error("Traceback")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("theirs", "said"), [("0.0.1", "has 0.0.1"), (PackageNotFoundError("release-archiver"), "lacks it")]
)
def test_a_worker_with_another_program_is_told(theirs, said):
    class Workers:
        def run(self, function, *arguments, on_error):
            assert on_error == "return"
            return {"tcp://1": function(*arguments), "tcp://2": theirs}

    with pytest.raises(ClusterError, match=rf"^the worker tcp://2 needs release-archiver \S+, as here, and {said}$"):
        dask_weekly._refuse_others(Workers())


def test_weeks_whose_releases_stayed_where_they_are_have_lists_of_them(sqlite_archive, monkeypatch):
    from reports.page import lists_of
    from reports.render import render_weekly

    export_random(sqlite_archive, 57)
    every = of_archive(sqlite_archive, MONDAY).behind
    monkeypatch.setattr("reports.behind.ROWS_BEHIND", 60)
    report = of_data_set(MONDAY)
    weeks = sorted(set(every["week"]) - {""})
    last = {week.label for week in report.window.weeks[-report.behind_weeks :]}

    assert 0 < report.behind_weeks < 26
    assert report.behind["week"].isin(last).sum() <= 60
    assert sorted(report.lists) == [week for week in weeks if week not in last] != []
    assert dict(report.lists) == dict(lists_of(report.week, every, list(report.lists)))
    files = render_weekly(report)
    for week, text in report.lists.items():
        assert files[f"weekly-2026-W47-releases/{week}.html"] == text
        assert f'data-total="{(every["week"] == week).sum()}"' in text
    assert f'data-listed="{" ".join(weeks)}"' in files["weekly-2026-W47.html"]


def test_no_export_begins_while_a_report_reads(sqlite_archive):
    export_random(sqlite_archive, 58, plans=5)
    with held(DATA), held(DATA), pytest.raises(LeaseHeldError, match="or a report, is at work on data"):
        export_again(sqlite_archive)
    export_again(sqlite_archive)
