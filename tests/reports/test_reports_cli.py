"""The command: options, formats, exit codes, and one line for every mistake."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from report_builders import at, attempt, component, night, rollback, run, save
from sqlalchemy import create_engine

from archiver.clock import ManualClock
from archiver.database import open_writer
from archiver.migrate import upgrade
from reports import asked, cli

CLOCK = ManualClock(datetime(2026, 11, 24, 12, tzinfo=UTC))


@pytest.fixture(scope="module")
def archive_url(tmp_path_factory):
    """Return the URL of a migrated archive with a few rows; read only from here on."""
    url = f"sqlite:///{tmp_path_factory.mktemp('archive') / 'archive.db'}"
    upgrade(open_writer(url, "release_archive"), url, "release_archive")
    engine = create_engine(url)
    save(
        engine,
        attempts=[
            attempt("failed", component="=api"),
            attempt(component_id="web", batch=2, start="2026-11-17 10:00"),
            attempt(project_id="q", plan_id="other", start="2026-11-10 10:00"),
        ],
        rollbacks=[rollback()],
        components=[component(), component(component_id="web", batch=2), component(project_id="q", plan_id="other")],
        nights=[night("2026-11-16"), night("2026-11-09", project_id="q")],
        runs=[run()],
    )
    engine.dispose()
    return url


@pytest.fixture(autouse=True)
def settings(archive_url, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", archive_url)


@pytest.fixture
def report(capfdbinary):
    """Return a function that runs the command and gives exit code, output and errors."""

    def call(*arguments):
        code = cli.run(arguments, clock=CLOCK)
        captured = capfdbinary.readouterr()
        return code, captured.out.decode(), captured.err.decode()

    return call


def rows_of(answer):
    code, out, err = answer
    assert (code, err) == (0, "")
    return json.loads(out)


def test_failure_rates_of_two_weeks_as_json(report):
    answer = report(
        "failure-rates", "--since", "2026-11-09", "--until", "2026-11-23", "--by", "week", "--format", "json"
    )

    before, now = rows_of(answer)
    assert (before["week"], before["finished"], before["failed"]) == ("2026-W46", 1, 0)
    assert (now["week"], now["finished"], now["failed"], now["failure_rate"]) == ("2026-W47", 2, 1, 0.5)
    assert (now["is_cut"], now["nights_planned"], now["nights_done"], now["coverage"]) == (False, 1, 1, "complete")


def test_the_default_is_thirteen_whole_weeks(report):
    rows = rows_of(report("failure-rates", "--format", "json"))

    assert (len(rows), rows[0]["week"], rows[-1]["week"]) == (13, "2026-W35", "2026-W47")


def test_the_other_tables_answer_too(report):
    since = ("--since", "2026-11-16", "--until", "2026-11-23", "--format", "json")

    (undone,) = rows_of(report("rollbacks", *since))
    first, second = rows_of(report("batch-timing", *since))
    (shipped,) = rows_of(report("delivery", *since))
    trend = rows_of(report("batch-timing", "--trend", *since))

    assert (undone["finished"], undone["rolled_back"], undone["provisional"]) == (2, 1, True)
    assert [(first["batch"], first["p50_seconds"]), second["batch"]] == [(1, 60.0), 2]
    assert (shipped["releases"], shipped["change_failures"]) == (2, 1)
    assert list(trend[0]) == ["batch", "weeks", "slope_seconds_per_week", "ci_low", "ci_high"]


def test_component_shows_the_latest_name_and_is_found_by_it(report):
    (row,) = rows_of(report("failure-rates", "--by", "component", "--where", "component==api", "--format", "json"))

    assert list(row)[:3] == ["project_id", "component_id", "component"]
    assert (row["component_id"], row["component"], row["failed"]) == ("api", "=api", 1)


@pytest.mark.parametrize("options", [("--project", "q"), ("--where", "project=q")])
def test_a_project_brings_only_its_rows_and_nights(report, options):
    rows = rows_of(report("failure-rates", *options, "--since", "2026-11-09", "--format", "json"))

    assert [(row["finished"], row["nights_planned"]) for row in rows] == [(1, 1), (0, 0)]


def test_two_project_options_that_exclude_each_other_match_nothing(report):
    options = ("--project", "q", "--where", "project=p", "--by", "project", "--format", "json")

    assert rows_of(report("failure-rates", *options)) == []


def test_options_that_leave_no_project_bring_no_nights_either(report):
    rows = rows_of(report("failure-rates", "--project", "q", "--where", "project=p", "--format", "json"))

    assert len(rows) == 13
    assert {(row["finished"], row["nights_planned"], row["coverage"]) for row in rows} == {(0, 0, "none")}


@pytest.mark.parametrize("how", ["table", "csv", "markdown"])
def test_the_formats_for_people_name_the_week(report, how):
    code, out, err = report("failure-rates", "--format", how)

    assert (code, err) == (0, "")
    assert "2026-W47" in out


def test_a_file_is_written_instead_of_standard_output(report, tmp_path):
    target = tmp_path / "deep" / "rates.parquet"

    assert report("failure-rates", "--format", "parquet", "--output", str(target)) == (0, "", "")

    assert target.read_bytes()[:4] == b"PAR1"
    assert [path.name for path in target.parent.iterdir()] == ["rates.parquet"]


@pytest.mark.parametrize("target", ["taken", "."])
def test_an_output_that_can_not_be_written_leaves_nothing_behind(report, tmp_path, target):
    (tmp_path / "taken").mkdir()

    code, out, err = report("failure-rates", "--output", target)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert [path.name for path in tmp_path.rglob("*")] == ["taken"]
    assert not list(tmp_path.parent.glob(".*.part"))


@pytest.mark.parametrize("arguments", [("failure-rates",), ("weekly", "--out", "files"), ("--help",)])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_standard_output_is_one_line_and_exit_3(report, monkeypatch, arguments):
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device, opened as the shell does; closing it flushes it
        monkeypatch.setattr("sys.stdout", full)
        code, _, err = report(*arguments)

    assert (code, err) == (3, "reports: can't write to standard output: No space left on device\n")


@pytest.mark.parametrize("arguments", [("failure-rates",), ("weekly", "--out", "files")])
def test_a_reader_that_left_early_is_no_error(report, monkeypatch, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:  # noqa: PTH123 - a descriptor; closing it flushes it once more
        monkeypatch.setattr("sys.stdout", pipe)
        code, _, err = report(*arguments)

    assert (code, err) == (0, "")


def test_a_standard_output_that_was_never_open_is_one_line_and_exit_3(report, monkeypatch):
    monkeypatch.setattr("sys.stdout", None)

    code, _, err = report("failure-rates", "--format", "csv")

    assert (code, err) == (3, "reports: can't write to standard output: it is closed\n")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("failure-rates", "--by", "planet"), "planet"),
        (("failure-rates", "--by", ""), "choose from week, component"),
        (("failure-rates", "--by", "week,week"), "week twice"),
        (("batch-timing", "--by", "component"), "component"),
        (("batch-timing", "--by", "version"), "version"),
        (("failure-rates", "--since", "2026-11-23", "--until", "2026-11-16"), "2026-11-23"),
        (("failure-rates", "--since", "soon"), "soon"),
        (("failure-rates", "--until", "2026-02-30"), "2026-02-30"),
        (("failure-rates", "--where", "planet=mars"), "planet"),
        (("failure-rates", "--where", "component"), "'='"),
        (("failure-rates", "--where", "batch=one"), "one"),
        (("failure-rates", "--where", "week=2026-W60"), "2026-W60"),
        (("weekly", "--week", "2026-W60", "--out", "x"), "2026-W60"),
        (("weekly", "--week", "2025-W53", "--out", "x"), "2025-W53"),
        (("failure-rates", "--config", "nowhere.toml"), "nowhere.toml"),
        (("failure-rates", "--output", "/dev/null/x"), "/dev/null/x"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_2(report, arguments, named):
    code, out, err = report(*arguments)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert named in err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("planets",), "'planets'; reports --help"),
        (("failure-rates", "--unit", "x"), "'--unit': 'x' is not one of 'attempt', 'release'; reports failure-rates"),
        (("failure-rates", "--nope"), "reports failure-rates --help tells"),
        (("weekly",), "--out"),
        (("weekly", "--week"), "'--week' requires"),
    ],
)
def test_what_the_parser_refuses_is_one_line_and_exit_2(report, arguments, named):
    code, out, err = report(*arguments)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert named in err


def test_a_missing_archive_is_exit_3_and_no_file_is_made(report, monkeypatch, tmp_path):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")

    code, out, err = report("rollbacks")

    assert (code, out, err.count("\n")) == (3, "", 1)
    assert not (tmp_path / "none.db").exists()


def test_a_file_that_is_no_archive_is_exit_3(report, monkeypatch, tmp_path):
    (tmp_path / "notes.db").write_text("just notes, and long enough not to be taken for an empty database" * 50)
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", f"sqlite:///{tmp_path / 'notes.db'}")

    code, out, err = report("rollbacks")

    assert (code, out, err.count("\n")) == (3, "", 1)


def test_parquet_without_its_extra_names_the_extra(report, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    code, _, err = report("failure-rates", "--format", "parquet", "--output", "x.parquet")

    assert code == 2
    assert "release-archiver[parquet]" in err


def test_an_unexpected_error_is_exit_70_and_one_line(report, monkeypatch):
    def break_down(*_args, **_options):
        raise RuntimeError("on\nfire")

    monkeypatch.setattr("reports.asked.frames_of_tables", break_down)

    code, out, err = report("failure-rates")

    assert (code, out, err.count("\n")) == (70, "", 1)
    assert "RuntimeError" in err


def test_the_weekly_report_of_the_last_whole_week_is_the_default(report, tmp_path):
    code, out, err = report("weekly", "--out", str(tmp_path / "first"))
    again, _, _ = report("weekly", "--out", str(tmp_path / "second"), "--week", "2026-W47")

    assert (code, again, err) == (0, 0, "")
    assert str(tmp_path / "first" / "weekly-2026-W47.html") in out.splitlines()
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("first", "second")
    )
    assert first == second
    assert b"'=api" in first["weekly-2026-W47-failure-rates-by-component.csv"]


def test_a_component_takes_the_name_it_started_with_last(tmp_path, monkeypatch, report):
    url = f"sqlite:///{tmp_path / 'names.db'}"
    upgrade(open_writer(url, "release_archive"), url, "release_archive")
    engine = create_engine(url)
    # The old plan is fetched again later, and still shows the old name.
    old = component(plan_id="old", name="old name", last_seen_at=at("2026-11-24 02:16"))
    new = component(plan_id="new", name="new name", last_seen_at=at("2026-11-24 02:15"))
    attempts = [attempt(plan_id="old", start="2026-11-16 08:00"), attempt(plan_id="new", start="2026-11-18 08:00")]
    save(engine, attempts=attempts, components=[old, new])
    engine.dispose()
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", url)

    (row,) = rows_of(report("failure-rates", "--by", "component", "--format", "json"))

    assert (row["component"], row["finished"]) == ("new name", 2)


def test_a_pipe_named_as_output_is_written_to_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    asked.save(pipe, b"table")

    assert os.read(reader, 100) == b"table"
    assert pipe.is_fifo()
    os.close(reader)
