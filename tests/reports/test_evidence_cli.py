"""The commands `explain` and `quality`: options, formats, exit codes, and what a person sees."""

import json
from datetime import UTC, datetime

import pytest
from quality_builders import change, failure, night_run, save_doubts, snapshot
from report_builders import at, attempt, component, night, rollback
from sqlalchemy import create_engine

from archiver.clock import ManualClock
from archiver.database import open_writer
from archiver.migrate import upgrade
from reports import cli

CLOCK = ManualClock(datetime(2026, 11, 24, 12, tzinfo=UTC))
RUN = "p 2026-11-17 02:15 scheduled"


@pytest.fixture(scope="module")
def archive_url(tmp_path_factory):
    """Return the URL of a migrated archive with a few rows and their bodies; read only from here on."""
    url = f"sqlite:///{tmp_path_factory.mktemp('archive') / 'archive.db'}"
    upgrade(open_writer(url, "release_archive"), url, "release_archive")
    engine = create_engine(url)
    shown = {"first_snapshot_id": "body 1", "last_snapshot_id": "body 2"}
    save_doubts(
        engine,
        attempts=[
            attempt("failed", component="=api", job_id="J1", **shown),
            attempt(component_id="web", batch=2, start="2026-11-17 10:00", job_id="J2", **shown),
        ],
        rollbacks=[rollback(first_snapshot_id="body 2", last_snapshot_id="body 2", duration_seconds=60.0)],
        components=[component(), component(component_id="web", batch=2)],
        nights=[night("2026-11-17"), night("2026-11-18", "missed")],
        runs=[night_run("2026-11-17 02:15", "partial")],
        failures=[failure("other", run_id=RUN)],
        snapshots=[
            snapshot("body 1", "2026-11-17 02:15", run_id=RUN, body=None),
            snapshot("body 2", "2026-11-18 02:15", run_id=RUN),
        ],
        changes=[change("RUNNING", "2026-11-17 02:15", RUN)],
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


def test_a_figure_leads_to_its_rows_and_their_bodies(report):
    failed, worked = rows_of(report("explain", "failure-rates", "--week", "2026-W47", "--format", "json"))

    assert [failed["counts_in"], worked["counts_in"]] == ["numerator", "denominator"]
    assert (failed["component_id"], failed["job_id"], failed["started_at"]) == ("api", "J1", "2026-11-16T10:00:00.000Z")
    assert (failed["first_snapshot_id"], failed["first_run_id"], failed["first_sha256"], failed["is_first_pruned"]) == (
        *("body 1", RUN, "sha of body 1", True),
    )
    assert (failed["last_snapshot_id"], failed["last_sha256"], failed["is_last_pruned"]) == (
        *("body 2", "sha of body 2", False),
    )


@pytest.mark.parametrize("table", ["failure-rates", "rollbacks", "batch-timing", "delivery"])
@pytest.mark.parametrize("how", ["table", "csv", "markdown", "json"])
def test_every_table_is_explained_in_every_format(report, table, how):
    code, out, err = report("explain", table, "--week", "2026-W47", "--format", how)

    assert (code, err) == (0, "")
    assert "numerator" in out
    assert "sha of b" in out


def test_the_screen_says_how_many_rows_count_where(report):
    _, out, _ = report("explain", "failure-rates", "--week", "2026-W47", "--limit", "1")

    assert "1 in the numerator, 2 in the denominator. The first 1 rows are shown." in out
    assert "web" not in out


def test_a_filter_and_a_unit_choose_the_rows(report):
    week = ("--week", "2026-W47", "--format", "json")

    (row,) = rows_of(report("explain", "failure-rates", *week, "--unit", "release", "--where", "component=web"))
    rework = rows_of(report("explain", "delivery", *week, "--unit", "attempt", "--where", "batch=1"))
    (held,) = rows_of(report("explain", "rollbacks", *week, "--within-days", "0", "--where", "batch=1"))

    assert (row["component_id"], row["counts_in"], row["attempts"]) == ("web", "denominator", 1)
    assert [one["counts_in"] for one in rework] == ["denominator"]
    assert (held["counts_in"], held["rollback_job_id"]) == ("denominator", None)


@pytest.mark.parametrize("options", [("--week", "2026-W40"), ("--week", "2026-W47", "--project", "nobody")])
def test_a_week_without_rows_says_so(report, options):
    code, out, err = report("explain", "rollbacks", *options)

    assert (code, err) == (0, "")
    assert "No rows." in out
    assert "Nothing that started in this week, and passes the filter, counts." in out
    assert rows_of(report("explain", "rollbacks", *options, "--format", "json")) == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("planets", "--week", "2026-W47"), "planets"),
        (("rollbacks", "--week", "2026-W60"), "2026-W60"),
        (("rollbacks", "--week", "last"), "last"),
        (("rollbacks", "--week", "2026-W47", "--where", "planet=mars"), "planet"),
        (("batch-timing", "--week", "2026-W47", "--where", "component=api"), "component"),
        (("batch-timing", "--week", "2026-W47", "--unit", "release"), "--unit"),
        (("delivery", "--week", "2026-W47", "--within-days", "3"), "--within-days"),
    ],
)
def test_a_wrong_question_is_one_line_and_exit_2(report, arguments, named):
    code, out, err = report("explain", *arguments)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert named in err


def test_a_parquet_file_has_the_rows_with_their_types(report, tmp_path):
    import pandas as pd

    for command in (("explain", "rollbacks", "--week", "2026-W47"), ("quality",)):
        assert report(*command, "--format", "parquet", "--output", "rows.parquet") == (0, "", "")
        back = pd.read_parquet(tmp_path / "rows.parquet")
        assert len(back) > 0
        assert command[0] == "quality" or back["started_at"].iloc[0] == at("2026-11-16 10:00")


def test_quality_as_json_has_a_row_for_each_week_and_check(report):
    rows = rows_of(report("quality", "--since", "2026-11-09", "--until", "2026-11-23", "--format", "json"))

    counts = {(row["project_id"], row["week"], row["check"]): row["count"] for row in rows}
    assert len(counts) == len(rows) == 2 * 24
    assert counts["p", "2026-W47", "nights_missed"] == 1
    assert counts["p", "2026-W47", "plans_not_fetched"] == 1
    assert counts["p", "2026-W47", "bodies_pruned"] == 1
    assert counts["p", "2026-W46", "nights_missed"] == 0
    assert counts["p", "2026-W46", "observation_gap_p90_hours"] is None


def test_quality_on_a_screen_shows_what_was_found_alone(report):
    code, out, err = report("quality")

    assert (code, err) == (0, "")
    assert "nights_missed" in out
    assert "nights_partial" not in out
    assert "Checks that found nothing are left out." in out


@pytest.mark.parametrize("command", [("quality",), ("explain", "delivery", "--week", "2026-W47")])
def test_a_missing_archive_is_exit_3(report, command, monkeypatch, tmp_path):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")

    code, out, err = report(*command)

    assert (code, out, err.count("\n")) == (3, "", 1)
