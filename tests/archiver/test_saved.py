"""Saved bodies as people keep them: marks, line ends, names and times that editors and disks bring along."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from builders import deploy_info, plan_item

from archiver.errors import SettingsError
from archiver.saved import Observation, Unreadable, read_saved

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SEEN = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture
def read(tmp_path):
    def read_content(content, captured_at=SEEN):
        (tmp_path / "x.json").write_bytes(content)
        return list(read_saved(["x.json"], captured_at, NOW))

    return read_content


def test_an_item_without_an_id_is_named_and_the_rest_of_its_list_is_read(read):
    items = [plan_item("a"), {"name": "web"}, {"id": ""}, "no plan", plan_item("b")]

    a, web, empty, word, b = read(json.dumps({"count": 5, "release_plans": items}).encode())

    assert (a.plan_id, b.plan_id) == ("a", "b")
    assert [one.name for one in (web, empty, word)] == ["x.json, item 2", "x.json, item 3", "x.json, item 4"]
    assert web.reason == "the list holds an item without an id, called 'web'"
    assert (empty.reason, word.reason[:31]) == (web.reason[:36], "the list holds what is no plan:")
    assert [json.loads(one.content) for one in (web, empty, word)] == items[1:4]


def test_an_id_of_which_a_letter_is_lost_is_named_and_no_plans(read):
    listing = json.dumps({"release_plans": [plan_item("a\x00b"), plan_item("c")]}).encode()

    lost, c, unlike, d = read(b"\n".join([listing, deploy_info("a\ufffdb"), deploy_info("d")]))

    assert [(one.name, one.reason) for one in (lost, unlike)] == [
        ("x.json, line 1, item 1", "the list holds an item whose id 'a\ufffdb' is not as it was"),
        ("x.json, line 2", "the deployment information's id 'a\ufffdb' is not as it was"),
    ]
    assert (c.plan_id, d.plan_id) == ("c", "d")


def test_a_list_in_a_line_names_its_items_by_line_and_item(read):
    listing = json.dumps({"release_plans": [{}, plan_item("a")]}).encode()

    found = read(deploy_info("p") + b"\n" + listing)

    assert [getattr(one, "name", one.plan_id if isinstance(one, Observation) else None) for one in found] == [
        "p",
        "x.json, line 2, item 1",
        "a",
    ]


@pytest.mark.parametrize("spoil", [lambda text: text[:-1], lambda text: text.replace('"components": [', "")])
def test_one_bad_body_over_many_lines_is_one_failure_with_the_reason_for_the_whole(read, spoil):
    content = spoil(json.dumps(json.loads(deploy_info("p")), indent=2)).encode()

    (found,) = read(content)

    assert isinstance(found, Unreadable)
    assert (found.name, found.content) == ("x.json", content)
    assert found.reason


def test_one_body_among_lines_makes_the_others_lines(read):
    first, second, good = read(b"nonsense\n\n{}\r\n" + deploy_info("p"))

    assert (first.name, second.name, good.plan_id) == ("x.json, line 1", "x.json, line 3", "p")


def test_a_mark_of_utf_8_at_the_start_is_no_part_of_the_body(read):
    body = deploy_info("p")

    assert read(b"\xef\xbb\xbf" + body) == read(body) == [Observation("p", "deploy_info", body, SEEN)]
    assert [one.plan_id for one in read(b"\xef\xbb\xbf" + body + b"\r\n" + deploy_info("q"))] == ["p", "q"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_named_as_what_it_is(read, encoding):
    (found,) = read(("\N{ZERO WIDTH NO-BREAK SPACE}" + deploy_info("p").decode()).encode(encoding))

    assert (found.name, found.reason) == ("x.json", "begins as UTF-16 does: save it as UTF-8")


@pytest.mark.parametrize(("ahead_seconds", "is_taken"), [(-1, True), (0, True), (60, True), (61, False), (1e12, False)])
def test_a_file_of_the_future_is_named_unless_clocks_differ_a_little(tmp_path, ahead_seconds, is_taken):
    file = tmp_path / "x.json"
    file.write_bytes(deploy_info("p"))
    os.utime(file, (NOW.timestamp() + ahead_seconds,) * 2)

    (found,) = read_saved(["x.json"], None, NOW)
    (named,) = read_saved(["x.json"], SEEN, NOW)

    assert named.captured_at == SEEN
    if is_taken:
        assert found.captured_at == NOW + timedelta(seconds=min(ahead_seconds, 0))
    else:
        assert found == Unreadable("x.json", "its time lies in the future: name --captured-at")


@pytest.mark.parametrize("at", [-1, -1e11])
def test_a_file_of_before_1970_is_named(tmp_path, at):
    (tmp_path / "x.json").write_bytes(deploy_info("p"))
    os.utime("x.json", (at, at))

    assert list(read_saved(["x.json"], None, NOW)) == [
        Unreadable("x.json", "its time lies before 1970: name --captured-at")
    ]


def test_a_name_that_is_not_utf_8_is_shown_with_replacements(tmp_path):
    (tmp_path / "saved").mkdir()
    with open(os.fsencode(tmp_path) + b"/saved/\xffbad.json", "wb") as file:  # noqa: PTH123 - a name of bytes
        file.write(b"{")

    (found,) = read_saved(["saved"], SEEN, NOW)

    assert found.name == "saved/\N{REPLACEMENT CHARACTER}bad.json"


def test_all_paths_are_looked_at_before_the_first_is_read(tmp_path):
    (tmp_path / "good.json").write_bytes(deploy_info("p"))

    with pytest.raises(SettingsError, match=r"^there is no file or folder missing$"):
        read_saved(["good.json", "missing"], SEEN, NOW)
    with pytest.raises(SettingsError, match=r"^can't read good.json/x: Not a directory$"):
        read_saved(["good.json/x"], SEEN, NOW)


def test_a_file_or_folder_that_may_not_be_read_is_refused_before_the_first_is_read(tmp_path, monkeypatch):
    """Root may read all, so the system's answers stand in for modes."""
    (tmp_path / "saved" / "shut").mkdir(parents=True)
    (tmp_path / "saved" / "one.json").write_bytes(deploy_info("p"))
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(SettingsError, match=r"can't read saved/shut: Permission denied"):
        read_saved(["saved"], SEEN, NOW)
    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SettingsError, match=r"can't read saved/one.json: Permission denied"):
        read_saved(["saved"], SEEN, NOW)


def test_a_file_that_went_meanwhile_is_named_and_the_rest_is_read(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(deploy_info(name))
    found = read_saved(["a", "b"], SEEN, NOW)
    (tmp_path / "a").unlink()

    assert list(found) == [
        Unreadable("a", "can't be read: No such file or directory"),
        Observation("b", "deploy_info", deploy_info("b"), SEEN),
    ]
