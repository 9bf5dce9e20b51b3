"""Failures by message: counted by hand, read from both databases, and asked for on the command line."""

import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from random_archives import random_archive
from report_builders import attempt, component, failure, failures, rollback, save, week_47
from sqlalchemy import create_engine

from archiver import schema
from archiver.clock import ManualClock
from archiver.database import open_writer
from archiver.failures import write_all_failures
from archiver.masking import mask, template_id
from archiver.migrate import upgrade
from reports import cli
from reports.columns import FAILURES, empty
from reports.failures import failure_templates, rollback_failures
from reports.groups import Selection, parse_where
from reports.messages import load_failures
from reports.reading import reading
from reports.tables import records


def test_messages_that_differ_in_numbers_are_one_template_with_its_counts_and_times():
    told = failures(
        failure("exit code 1", "2026-11-16 10:00"),
        failure("exit code 137", "2026-11-17 10:00", component_id="web", component="web"),
        failure("exit code 9", "2026-11-18 10:00", project_id="q"),
        failure("exit code 2", "2026-11-17 11:00"),
    )

    (row,) = records(failure_templates(told, Selection(week_47())))

    assert (row["template"], row["count"], row["components"], row["is_new"]) == ("exit code <n>", 4, 3, True)
    assert (row["first_seen_at"], row["last_seen_at"]) == ("2026-11-16T10:00:00.000Z", "2026-11-18T10:00:00.000Z")
    assert row["template_id"] == template_id("exit code <n>")


def test_new_ones_come_first_then_the_most_frequent():
    told = failures(
        failure("old", "2026-01-05 10:00"),
        *[failure("old", "2026-11-16 10:00") for _ in range(3)],
        failure("older week", "2026-11-10 10:00"),
        failure("new", "2026-11-20 10:00"),
    )

    rows = records(failure_templates(told, Selection(week_47(2))))

    assert [(row["template"], row["count"], row["is_new"]) for row in rows] == [
        ("new", 1, True),
        ("old", 3, False),
        ("older week", 1, False),
    ]
    assert rows[1]["first_seen_at"] == "2026-01-05T10:00:00.000Z"


def test_only_the_window_is_counted_and_what_was_only_before_is_no_row():
    told = failures(failure("gone", "2026-11-15 23:59"), failure("here", "2026-11-16 00:00"))

    assert [row["template"] for row in records(failure_templates(told, Selection(week_47())))] == ["here"]


def test_a_failure_without_a_message_is_counted_as_one():
    told = failures(failure(None), failure(None, component_id="web", component=None))

    (row,) = records(failure_templates(told, Selection(week_47())))

    assert (row["template"], row["count"], row["components"]) == ("(no message)", 2, 2)


def test_a_filter_holds_for_the_past_too():
    told = failures(
        failure("broken", "2026-01-05 10:00", component_id="web", component="web"),
        failure("broken", "2026-11-16 10:00"),
    )
    where = parse_where(["component=api"], ["component"])

    (row,) = records(failure_templates(told, Selection(week_47(), where=where)))

    assert (row["first_seen_at"], row["is_new"]) == ("2026-11-16T10:00:00.000Z", True)


def test_a_hundred_thousand_messages_that_all_differ_are_counted_in_their_five_kinds():
    kinds = (
        "Readiness probe failed: Get http://10.0.{a}.{b}:8080/health: context deadline exceeded (pod web-{n:09x})",
        "exit code {n} after {b}s: see /var/log/job-{n}.log",
        "JOB4cf4d39e-c11a-41b0-82eb-{n:012x} was aborted at 2026-11-{a:02} 10:00:{b:02}",
        'image "registry.example.com/web:{n}" not found',
        "dial tcp 10.1.{a}.{b}:{n}: connection refused",
    )
    said = [kinds[n % 5].format(n=n + 1_000, a=n % 28 + 1, b=n % 60) for n in range(100_000)]

    templates = [mask(message, "web") for message in said]
    ids = [template_id(template) for template in templates]
    one = failures(failure())
    rows = one.loc[one.index.repeat(len(said))].reset_index(drop=True)
    table = failure_templates(rows.assign(template=templates, template_id=ids), Selection(week_47()))

    assert list(table["count"]) == [20_000] * 5
    assert len(set(said)) == len(said)


def test_nothing_failed_is_no_row_with_every_column():
    table = failure_templates(empty(FAILURES), Selection(week_47()))

    assert (len(table), len(rollback_failures(empty(FAILURES), Selection(week_47())))) == (0, 0)
    assert list(table) == ["template_id", "template", "count", "components", "first_seen_at", "last_seen_at", "is_new"]


def test_failed_rollbacks_are_listed_one_by_one_the_latest_first():
    told = failures(
        failure("attempt"),
        failure("version 1 is gone", "2026-11-16 11:00", kind="rollback", job_id="r1", batch=2),
        failure(None, "2026-11-17 11:00", kind="rollback", job_id="r2", batch=None),
        failure("before", "2026-11-15 11:00", kind="rollback", job_id="r0"),
    )

    rows = records(rollback_failures(told, Selection(week_47())))

    assert [(row["rollback_job_id"], row["batch"], row["message"], row["week"]) for row in rows] == [
        ("r2", None, None, "2026-W47"),
        ("r1", 2, "version 1 is gone", "2026-W47"),
    ]
    assert rows[1]["template_id"] == template_id("version <n> is gone")


# --- read from the archive ----------------------------------------------------------------------------------


def told_archive(seed):
    """Return a random archive whose failed rows say something, now and then nothing."""
    archive = random_archive(seed, plans=40)
    for number, row in enumerate([*archive["attempts"], *archive["rollbacks"]]):
        row["fail_message"] = None if number % 5 == 0 else f"exit code {number} in step {'abc'[number % 3]}"
    return archive


def plainly(archive, window):
    """Count templates in the window once more, and their first starts, row by row."""
    counts, firsts = Counter(), {}
    for kind in ("attempts", "rollbacks"):
        for row in archive[kind]:
            executed_at = row.get("executed_at")
            start = row["started_at"] or executed_at or row["first_seen_at"]
            if row["outcome"] != "failed" or start >= window.ends_at:
                continue
            template = "(no message)" if row["fail_message"] is None else mask(row["fail_message"])
            firsts[template] = min(start, firsts.get(template, start))
            counts[template] += start >= window.starts_at
    return {
        name: (count, firsts[name], firsts[name] >= window.weeks[-1].starts_at)
        for name, count in counts.items()
        if count
    }


@pytest.mark.parametrize("kind", ["sqlite_archive", "postgres_archive"])
def test_both_databases_tell_what_plain_python_counts(request, kind):
    archive, window = told_archive(5), week_47(3)
    engine = request.getfixturevalue(kind)
    save(engine, **archive)

    with reading(engine) as state:
        told = load_failures(state, window)

    table = failure_templates(told, Selection(window))
    found = {
        one: (count, first, is_new)
        for one, count, first, is_new in zip(
            table["template"], table["count"], table["first_seen_at"], table["is_new"], strict=True
        )
    }
    assert found == plainly(archive, window)
    assert len(found) >= 3


def loaded(engine, projects):
    with reading(engine, projects) as archive:
        return load_failures(archive, week_47())


def test_of_a_long_message_only_the_beginning_is_read_and_only_named_projects(sqlite_archive):
    rows = [attempt("failed", fail_message="x" * 100_000), attempt("failed", project_id="q", fail_message="other")]
    save(
        sqlite_archive,
        attempts=rows,
        rollbacks=[rollback("failed", fail_message="undone")],
        components=[component(name="API")],
    )

    everything, named, none = (loaded(sqlite_archive, projects) for projects in (None, ["p"], []))

    assert sorted(everything["message"].str.len()) == [5, 6, 2000]
    assert sorted(named["kind"]) == ["attempt", "rollback"]
    assert set(named["component"]) == {"API"}
    assert len(none) == 0


@pytest.mark.parametrize("database", ["sqlite_archive", "postgres_archive"])
def test_templates_that_are_written_down_are_those_made_of_the_messages(request, database):
    engine = request.getfixturevalue(database)
    messages = ["exit code 1", "exit code 137", None, "\r\n", "API refused 7 times"]
    rows = [attempt("failed", attempt=n, job_id=f"j{n}", fail_message=said) for n, said in enumerate(messages)]
    undone = rollback("failed", fail_message="undone after 3 s")
    save(engine, attempts=rows, rollbacks=[undone], components=[component(name="API")])
    made = loaded(engine, None)

    with engine.begin() as connection:
        write_all_failures(connection)
    written = loaded(engine, None)
    with engine.begin() as connection:
        connection.execute(schema.failures.update().values(template="by other rules", masking_version=0))
    outdated = loaded(engine, None)

    order = ["kind", "job_id"]
    told = [rows.sort_values(order, ignore_index=True) for rows in (made, written, outdated)]
    assert set(told[0]["template"]) == {
        "exit code <n>",
        "(no message)",
        "<component> refused <n> times",
        "undone after <n> s",
    }
    assert told[2].equals(told[0])
    assert told[1].drop(columns="message").equals(told[0].drop(columns="message"))
    # Of a failed rollback the message itself is shown; of an attempt it says no more than its template.
    assert told[1]["message"].dropna().to_list() == ["undone after 3 s"]


# --- asked for ----------------------------------------------------------------------------------------------


@pytest.fixture
def archive_file(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'archive.db'}"
    upgrade(open_writer(url, "release_archive"), url, "release_archive")
    engine = create_engine(url)
    save(
        engine,
        attempts=[
            attempt("failed", fail_message='pull "img:1" failed after 3 tries'),
            attempt(
                "failed",
                attempt=2,
                job_id="j2",
                start="2026-11-17 10:00",
                fail_message='pull "img:2" failed after 9 tries',
            ),
            attempt(
                "failed", component_id="web", start="2026-06-01 10:00", plan_id="old", fail_message="=1+1 \x1b[31m"
            ),
            attempt("failed", component_id="web", plan_id="new", fail_message="=5+5 \x1b[31m"),
        ],
        components=[component(), component(component_id="web", plan_id="new")],
    )
    engine.dispose()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", url)


def call(capfdbinary, *arguments):
    code = cli.run(["failures", *arguments], clock=ManualClock(datetime(2026, 11, 24, 12, tzinfo=UTC)))
    captured = capfdbinary.readouterr()
    return code, captured.out.decode(), captured.err.decode()


@pytest.mark.usefixtures("archive_file")
def test_the_command_prints_templates_as_json(capfdbinary):
    code, out, err = call(capfdbinary, "--format", "json")

    assert (code, err) == (0, "")
    new, old = json.loads(out)
    assert (new["template"], new["count"], new["components"], new["is_new"]) == (
        "pull <text> failed after <n> tries",
        2,
        1,
        True,
    )
    assert (old["count"], old["is_new"], old["first_seen_at"]) == (1, False, "2026-06-01T10:00:00.000Z")


@pytest.mark.usefixtures("archive_file")
@pytest.mark.parametrize("how", ["table", "markdown", "csv"])
def test_the_command_steers_no_terminal_and_runs_no_formula(capfdbinary, how):
    code, out, err = call(capfdbinary, "--format", how)

    assert (code, err) == (0, "")
    assert ("\x1b" in out) == (how == "csv")
    assert ",=" not in out


@pytest.mark.usefixtures("archive_file")
def test_the_command_filters_and_refuses_what_it_does_not_know(capfdbinary):
    code, out, _ = call(capfdbinary, "--where", "component=web", "--format", "json")
    refused, _, complaint = call(capfdbinary, "--where", "planet=mars")

    assert (code, [row["count"] for row in json.loads(out)]) == (0, [1])
    assert (refused, complaint.count("\n")) == (2, 1)
