"""The commands that tend an archive, as processes: import, replay, check, backup."""

import json
import os
import re
import resource
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from builders import component, deploy_info

SAVED_AT = "2026-11-20T02:15:00Z"


def run(*arguments, stdin=None, **variables):
    """Run the command; return exit code, standard output, standard error. A traceback is never right."""
    settings = {f"ARCHIVER_{name}": value for name, value in variables.items()}
    done = subprocess.run(
        [sys.executable, "-m", "archiver", *arguments],
        env=os.environ | settings,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def imported(tmp_path):
    """Import two saved bodies into a new archive in the working directory."""
    folder = tmp_path / "saved"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.json").write_bytes(deploy_info(name))
    code, out, _ = run("import", str(folder), "--captured-at", SAVED_AT, "--project", "pr")
    assert (code, "2 plans, 2 with deployment information (2 changed)" in out) == (0, True)
    return tmp_path


def rows(query):
    with closing(sqlite3.connect("archive.db")) as connection:
        return connection.execute(query).fetchall()


def test_an_import_archives_bodies_as_seen_then(imported):
    assert rows("SELECT plan_id, captured_at FROM snapshots ORDER BY plan_id") == [
        ("one", "2026-11-20T02:15:00.000Z"),
        ("two", "2026-11-20T02:15:00.000Z"),
    ]
    assert rows("SELECT kind, outcome FROM runs") == [("import", "complete")]


def test_an_import_reads_standard_input_and_prints_json(tmp_path):
    code, out, _ = run("import", "-", "--json", stdin=deploy_info("three"), PROJECT_ID="pr")

    assert code == 0
    assert json.loads(out)["plans_changed"] == 1


def test_a_partly_readable_import_exits_1_and_an_unreadable_one_3(imported):
    (imported / "saved" / "bad.json").write_bytes(b"nonsense")

    partly, _, partly_err = run("import", "saved", "--project", "pr")
    wholly, _, _ = run("import", "saved/bad.json", "--project", "pr")

    assert (partly, wholly) == (1, 3)
    assert "bad.json" in partly_err


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (("import", "saved"), {}, "which project?"),
        (("import", "saved"), {"PROJECT_ID": "a,b"}, "which project?"),
        (("import", "nothing", "--project", "pr"), {}, "there is no file or folder nothing"),
        (("import", "saved", "--project", "pr", "--captured-at", "soon"), {}, "'soon' is no instant"),
        (("import", "saved", "--project", "pr", "--captured-at", "2999-01-01"), {}, "is in the future"),
        (("import", "saved", "--project", "pr", "--captured-at", "0001-01-01T00:00:00+14:00"), {}, "is no instant"),
        (("import", "saved", "--project", "pr", "--captured-at", "9999-12-31T23:59:59-14:00"), {}, "is no instant"),
        (("import", "saved", "--project", "pr", "--captured-at", "9999-12-31"), {}, "is in the future"),
        (("import", "saved", "--project", "pr", "--captured-at", "0001-01-01"), {}, "is before 1970"),
        (("import", "saved", "--project", "pr", "--captured-at", "1969-12-31T23:59:59Z"), {}, "is before 1970"),
    ],
)
def test_an_import_that_can_not_be_meant_exits_2(imported, arguments, variables, message):
    code, _, err = run(*arguments, **variables)

    assert code == 2
    assert message in err


def test_a_path_that_is_not_there_leaves_no_archive_and_no_run(tmp_path):
    (tmp_path / "good.json").write_bytes(deploy_info("one"))

    code, _, err = run("import", "good.json", "missing", "--project", "pr")

    assert (code, err) == (2, "error: there is no file or folder missing\n")
    assert not (tmp_path / "archive.db").exists()


def test_a_bad_file_whose_name_is_not_utf_8_is_named_and_the_run_is_closed(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xffbad.json", "wb") as file:  # noqa: PTH123 - a name of bytes
        file.write(b"{")

    code, _, _ = run("import", ".", "--project", "pr")

    assert code == 3
    assert rows("SELECT plan_id FROM fetch_failures") == [("\N{REPLACEMENT CHARACTER}bad.json",)]
    assert rows("SELECT outcome, is_released FROM runs, leases WHERE lease_name = 'project:pr'") == [("failed", 1)]


def test_an_instant_is_cut_to_the_milliseconds_that_both_databases_keep(imported):
    code, _, _ = run("import", "saved", "--project", "pr", "--captured-at", "2026-11-21T02:15:00.0019999Z")

    assert code == 0
    assert rows("SELECT DISTINCT last_captured_at FROM snapshots") == [("2026-11-21T02:15:00.001Z",)]


def test_check_finds_the_archive_sound_then_altered_then_replayed(imported):
    assert run("check")[:2] == (0, "the archive is sound\n")
    with closing(sqlite3.connect("archive.db")) as connection, connection:
        connection.execute("UPDATE job_attempts SET outcome = 'failed' WHERE plan_id = 'one'")

    code, out, _ = run("check")
    assert (code, "1 rows differ from what their bodies say" in out) == (1, True)
    code, out, _ = run("replay")
    assert (code, out) == (0, "2 plans rebuilt: 1 rows written, 0 removed\n")
    assert run("check")[0] == 0


@pytest.mark.parametrize("where", [150, 9 * 4096])
def test_a_file_that_is_damaged_is_a_finding(imported, where):
    """The schema's own page, or one of a table: what can still be said is said."""
    with closing(sqlite3.connect("archive.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with Path("archive.db").open("r+b") as file:
        file.seek(where)
        file.write(b"\xff" * 4000)

    code, out, _ = run("check")

    assert (code, out.splitlines()[-1].endswith("findings")) == (1, True)
    assert "malformed" in out


def test_a_backup_is_a_copy_readable_by_its_owner_alone(imported):
    code, _, _ = run("backup", "copy.db")

    assert code == 0
    assert stat.S_IMODE(Path("copy.db").stat().st_mode) == 0o600
    with closing(sqlite3.connect("copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM job_attempts").fetchone() == (2,)
    assert run("backup", "copy.db")[0] == 2


@pytest.mark.parametrize("command", [("check",), ("backup", "copy.db"), ("replay",), ("prune", "--older-than", "1")])
def test_a_reader_makes_no_archive(tmp_path, command):
    code, _, err = run(*command)

    assert code == 3
    assert "there is no archive" in err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def followed(imported, tmp_path):
    """Import newer bodies of both plans, so that the first ones are followed."""
    for name in ("one", "two"):
        changed = deploy_info(name, component(job_id="JOB2", version="1.0.2"))
        (tmp_path / "saved" / f"{name}.json").write_bytes(changed)
    assert run("import", "saved", "--captured-at", "2026-11-21T02:15:00Z", "--project", "pr")[0] == 0


def bodies():
    return rows("SELECT count(body), count(*) FROM snapshots")


def test_prune_says_what_would_go_and_then_drops_it(followed):
    code, out, _ = run("prune", "--older-than", "0", "--dry-run")

    assert (code, "2 bodies of 2 plans would be dropped" in out) == (0, True)
    assert bodies() == [(4, 4)]
    code, out, _ = run("prune", "--older-than", "0")
    assert (code, "2 bodies of 2 plans dropped" in out) == (0, True)
    assert "2 attempts and rollbacks rest on them" in out
    assert "--as-of reaches back to 20" in out
    assert bodies() == [(2, 4)]
    assert run("replay")[1].splitlines()[0] == "2 plans rebuilt: 0 rows written, 0 removed"
    assert run("check")[0] == 0
    assert "0 bodies of 0 plans dropped" in run("prune", "--older-than", "0")[1]


@pytest.mark.parametrize(
    ("command", "refused"), [(("replay",), "job_attempts"), (("prune", "--older-than", "0"), "snapshots")]
)
def test_a_database_that_breaks_off_a_rewrite_is_told_in_a_line_and_keeps_all(followed, command, refused):
    with closing(sqlite3.connect("archive.db")) as connection, connection:
        connection.execute("UPDATE job_attempts SET fail_message = 'altered'")
        connection.execute(
            f"CREATE TRIGGER full BEFORE UPDATE ON {refused} BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    before = rows("SELECT * FROM job_attempts"), rows("SELECT * FROM snapshots")

    code, out, err = run(*command)

    assert (code, out, err) == (3, "", "error: the database failed: disk full\n")
    assert (rows("SELECT * FROM job_attempts"), rows("SELECT * FROM snapshots")) == before


def test_a_backup_that_has_no_room_leaves_no_file(imported):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, resource.RLIM_INFINITY))

    command = [sys.executable, "-B", "-m", "archiver", "backup", "copy.db"]
    done = subprocess.run(command, capture_output=True, check=False, preexec_fn=limit)

    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr.decode().startswith("error: can't copy the archive to copy.db: ")
    assert not [path for path in imported.iterdir() if path.name.startswith("copy")]


def test_prune_keeps_what_is_young_and_what_the_last_issued_report_did_not_know(followed):
    assert "0 bodies" in run("prune", "--older-than", "36500")[1]
    with closing(sqlite3.connect("archive.db")) as connection, connection:
        connection.execute(
            "INSERT INTO issued_reports VALUES ('k', 'UTC', '2026-W46', NULL, '2026-11-16T06:00:00.000Z', "
            "'2026-11-16T06:00:00.000Z', '0', '{}', '{}', '')"
        )

    kept = run("prune", "--older-than", "0")[1]

    assert "0 bodies" in kept
    assert re.search(r"last issued report of \w+, as of 2026-11-16T06:00:00.000Z, did not know \(--force drops", kept)
    assert "2 bodies of 2 plans dropped" in run("prune", "--older-than", "0", "--force")[1]


@pytest.mark.parametrize("days", ["-1", "soon", "36501"])
def test_an_age_that_is_none_exits_2(imported, days):
    assert run("prune", "--older-than", days)[0] == 2
