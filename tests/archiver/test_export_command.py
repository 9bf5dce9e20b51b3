"""The command that exports, as users meet it: what it prints, and with which code it ends."""

import subprocess
import sys

import pytest
from exports import DATA, SUNDAY_NIGHT, files, released

from archiver.cli import main
from archiver.dataset import DataSet


@pytest.fixture
def export(capsys, monkeypatch, archive):
    """Return a function that runs the command on the archive; it gives exit code, output and errors."""
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", archive.url)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["archiver", "export", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


SQLITE = pytest.mark.parametrize("archive", ["sqlite"], indirect=True)


def test_it_says_what_it_wrote(archive, export):
    released("plan", SUNDAY_NIGHT)(archive)

    code, out, err = export("data")
    again = export("data")

    assert (code, err) == (0, "")
    assert "job_attempts                     2 rows       1 partitions" in out
    assert out.splitlines()[-1] == "data: 8 partitions, 8 of them written, 0 unchanged, 0 removed"
    assert again[1].splitlines()[-1] == "data: 8 partitions, 0 of them written, 8 unchanged, 0 removed"


def test_weeks_are_those_of_the_settings(archive, export, monkeypatch):
    monkeypatch.setenv("ARCHIVER_TIMEZONE", "Asia/Shanghai")
    released("plan", SUNDAY_NIGHT)(archive)

    assert export("data")[0] == 0

    assert (DATA / "job_attempts" / "project_id=pr" / "week=2026-W48").is_dir()


def test_all_tables_are_of_one_state_while_a_run_is_writing(archive, export, monkeypatch):
    released("early", SUNDAY_NIGHT)(archive)
    put = DataSet.put
    meanwhile = [released("late", SUNDAY_NIGHT)]

    def put_while_others_write(self, *arguments, **options):
        if meanwhile:
            meanwhile.pop()(archive)
        put(self, *arguments, **options)

    monkeypatch.setattr(DataSet, "put", put_while_others_write)

    code, out, _ = export("data")

    assert (code, meanwhile) == (0, [])
    rows = {line.split()[0]: int(line.split()[1]) for line in out.splitlines()[:-1]}
    assert (rows["component_releases"], rows["job_attempts"], rows["plans"], rows["runs"]) == (2, 2, 1, 1)


@SQLITE
def test_projects_can_be_named_and_must_be_known(archive, export):
    for project in ("a", "b", "c"):
        released("plan", SUNDAY_NIGHT, project=project)(archive)

    code, _, err = export("data", "--project", "a", "--project", "nobody")
    assert (code, err) == (2, "error: --project: 'nobody' is not in the archive\n")
    assert not DATA.exists()
    assert export("data", "--project", "a", "--project", "b", "--project", "a")[0] == 0

    assert {path.split("/")[1] for path in files() if "/" in path} == {"project_id=a", "project_id=b"}


@SQLITE
def test_an_archive_without_a_row_is_a_data_set_without_a_table(export):
    assert export("data") == (0, "data: 0 partitions, 0 of them written, 0 unchanged, 0 removed\n", "")
    assert list(files()) == ["_manifest.json"]


@SQLITE
def test_a_missing_archive_is_not_made(export, monkeypatch):
    monkeypatch.setenv("ARCHIVER_DATABASE_URL", "sqlite:///nothing.db")

    code, _, err = export("data")

    assert (code, "there is no archive nothing.db" in err) == (3, True)
    assert not DATA.exists()


@SQLITE
def test_a_place_that_can_not_be_written_is_named(export):
    DATA.write_text("a file")

    code, _, err = export("data/set")

    assert (code, err) == (3, "error: can't write the data set data/set (Not a directory): it is as it was\n")


@SQLITE
def test_without_its_extra_it_names_the_extra(archive, export, monkeypatch):
    for name in ("archiver.exporting", "archiver.partitions"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    code, _, err = export("data")

    assert code == 2
    assert err == "error: export needs the extra `parquet`: pip install 'release-archiver[parquet]'\n"


def test_no_other_command_loads_pyarrow():
    check = "import sys, archiver.cli; sys.exit('pyarrow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
