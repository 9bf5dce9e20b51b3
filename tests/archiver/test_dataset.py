"""The directory of a data set: only what differs is written, and a kill or a full disk tears nothing."""

import json
import stat
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from exports import DATA, SHANGHAI, SUNDAY_NIGHT, exported, files, manifest, released

from archiver import dataset, schema
from archiver.dataset import MANIFEST, DataSetError, ExportError, PartlyExportedError, held, partition_path
from archiver.errors import LeaseHeldError, SettingsError


def test_an_export_that_finds_nothing_new_writes_nothing(archive):
    released("plan", SUNDAY_NIGHT)(archive)
    first = exported(archive)
    before = {path: path.stat().st_mtime_ns for path in DATA.rglob("*") if path.is_file()}

    again = exported(archive)

    assert (first.written, again.written, again.removed) == (first.partitions.total(), 0, 0)
    assert {path: path.stat().st_mtime_ns for path in DATA.rglob("*") if path.is_file()} == before


def test_only_partitions_that_changed_are_written(archive):
    released("old", SUNDAY_NIGHT - timedelta(days=7))(archive)
    exported(archive)
    before = files()
    released("new", SUNDAY_NIGHT)(archive)

    result = exported(archive)

    after = files()
    changed = {path for path in after if after[path] != before.get(path)}
    assert result.written == len(changed) - 1  # the manifest is one of them
    assert partition_path("job_attempts", "pr", "2026-W47") in changed
    assert partition_path("job_attempts", "pr", "2026-W46") not in changed


def test_a_partition_that_is_gone_is_removed_with_its_directories(archive):
    released("plan", SUNDAY_NIGHT)(archive)
    exported(archive)
    with archive.engine.begin() as connection:
        connection.execute(schema.job_attempts.delete())
    (DATA / "job_attempts" / "notes.txt").write_text("mine")

    result = exported(archive)

    assert result.removed == 3  # the attempts, their releases, and the week of a batch that has no start now
    assert not (DATA / "component_releases").exists()
    assert [path.name for path in (DATA / "job_attempts").iterdir()] == ["notes.txt"]


def test_of_one_project_only_its_own_partitions_change(archive):
    for project in ("a", "b"):
        released("plan", SUNDAY_NIGHT, project=project)(archive)
    exported(archive, ("a", "b"))
    before = files()
    for project in ("a", "b"):
        released("more", SUNDAY_NIGHT, project=project)(archive)

    exported(archive, ("a",), is_whole=False)

    changed = {path for path, content in files().items() if before.get(path) != content} - {MANIFEST}
    assert changed
    assert all("/project_id=a/" in path for path in changed)
    assert {one["project_id"] for one in manifest()["partitions"]} == {"a", "b"}


def test_the_manifest_names_every_file_with_its_hash(archive):
    released("plan", SUNDAY_NIGHT)(archive)

    exported(archive)

    named = {one["path"]: (one["size_bytes"], one["rows"]) for one in manifest()["partitions"]}
    there = {
        path: (len(content), pq.read_metadata(DATA / path).num_rows)
        for path, content in files().items()
        if path != MANIFEST
    }
    assert named == there


def test_full_writes_every_file_again(archive):
    released("plan", SUNDAY_NIGHT)(archive)
    exported(archive)

    again = exported(archive, is_full=True)

    assert again.written == again.partitions.total() > 0


def test_a_file_that_was_damaged_is_written_again(archive):
    released("plan", SUNDAY_NIGHT)(archive)
    exported(archive)
    path = DATA / partition_path("job_attempts", "pr", "2026-W47")
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b"?")

    result = exported(archive)

    assert (result.written, path.read_bytes()) == (1, good)


@pytest.mark.parametrize("archive", ["sqlite"], indirect=True)
def test_files_of_two_states_are_not_read_before_each_project_is_exported_again(archive, monkeypatch):
    for project in ("a", "b"):
        released("old", SUNDAY_NIGHT, project=project)(archive)
    exported(archive, ("a", "b"))
    for project in ("a", "b"):  # in a week of which there are no files yet
        released("new", SUNDAY_NIGHT - timedelta(days=7), project=project)(archive)
    moves = iter(range(1000))
    replace = Path.replace

    def move(self, target):
        if next(moves) == 3:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", move)
        with pytest.raises(PartlyExportedError):
            exported(archive, ("a", "b"))

    assert not (DATA / "_staging").exists()
    for project in ("b", "a"):
        with pytest.raises(DataSetError, match="an export of data did not end: export again"), held(DATA):
            pass
        exported(archive, (project,), is_whole=False)
    with held(DATA) as (_, partitions):
        assert {one.path for one in partitions} == files().keys() - {MANIFEST}


@pytest.mark.parametrize("archive", ["sqlite"], indirect=True)
@pytest.mark.parametrize("deadly", [0, 1, 4, 8])  # the first is the note of it, the last the manifest
def test_killed_at_any_move_each_file_is_whole_and_the_next_export_completes_it(archive, deadly, monkeypatch):
    released("old", SUNDAY_NIGHT)(archive)
    exported(archive)
    before = files()
    released("new", SUNDAY_NIGHT)(archive)
    moves = iter(range(1000))
    replace = Path.replace

    def move(self, target):
        if next(moves) == deadly:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", move)
        with pytest.raises(KeyboardInterrupt):
            exported(archive)
    torn = files()
    if deadly:
        assert json.loads(torn.pop("_unfinished.json")) == ["pr"]
        with pytest.raises(DataSetError, match="did not end: export again"), held(DATA):
            pass
    (DATA / "_staging").mkdir()
    (DATA / "_staging" / "0").write_text("a kill leaves this behind")
    exported(archive)
    whole = files()

    assert all(content in (before.get(path), whole[path]) for path, content in torn.items())
    assert exported(archive, is_full=True).written
    assert files() == whole


def test_a_large_file_goes_through_the_disk_and_leaves_nothing_behind(archive, monkeypatch):
    monkeypatch.setattr("archiver.exporting._MEMORY_BYTES", 10)
    released("plan", SUNDAY_NIGHT)(archive)

    assert exported(archive).written
    assert exported(archive).written == 0
    assert not (DATA / "_staging").exists()


def test_a_new_directory_is_its_owner_s_and_files_are_as_open_as_their_directory(archive):
    released("plan", SUNDAY_NIGHT)(archive)
    exported(archive)
    assert modes() == ({0o700}, {0o600})
    DATA.chmod(0o750)

    exported(archive, is_full=True)

    assert {stat.S_IMODE(path.stat().st_mode) for path in DATA.rglob("*.parquet")} == {0o640}


def modes():
    found = [(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in [DATA, *DATA.rglob("*")]]
    return {mode for is_dir, mode in found if is_dir}, {mode for is_dir, mode in found if not is_dir}


def test_a_directory_with_something_else_in_it_is_refused_and_untouched(archive):
    DATA.mkdir()
    (DATA / "thesis.txt").write_text("mine")

    with pytest.raises(SettingsError, match=r"data holds thesis.txt and no data set: name a new or an empty directory"):
        exported(archive)

    assert files() == {"thesis.txt": b"mine"}


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": 99}', '{"format": 1, "time_zone": "UTC", "partitions": [{}]}']
)
def test_a_manifest_of_another_version_is_refused(sqlite_archive_file, text):
    DATA.mkdir()
    (DATA / MANIFEST).write_text(text)

    with pytest.raises(SettingsError, match="is no manifest of this version"):
        exported(sqlite_archive_file)


def test_one_project_alone_is_not_exported_into_weeks_of_another_zone(archive):
    released("plan", SUNDAY_NIGHT)(archive)
    exported(archive)

    with pytest.raises(SettingsError, match="has the weeks of UTC, not Asia/Shanghai: export without --project once"):
        exported(archive, zone=SHANGHAI, is_whole=False)


def test_two_exports_at_once_are_refused(sqlite_archive_file):
    with (
        dataset.opened(DATA, "UTC", is_whole=True),
        pytest.raises(LeaseHeldError, match="another export, or a report, is at work"),
    ):
        exported(sqlite_archive_file)


def test_a_full_disk_leaves_the_data_set_as_it_was(archive, monkeypatch):
    released("old", SUNDAY_NIGHT)(archive)
    exported(archive)
    before = files()
    released("new", SUNDAY_NIGHT)(archive)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("archiver.dataset.os.fsync", full)
        with pytest.raises(ExportError, match=r"No space left on device\): it is as it was"):
            exported(archive)
    assert files() == before
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(PartlyExportedError, match="export again"):
            exported(archive)
