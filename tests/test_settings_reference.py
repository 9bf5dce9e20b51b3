"""The settings reference is what the settings are, and leaves none out."""

import importlib.util
import re
from pathlib import Path

from archiver.settings import FROM_FILE, PREFIX, Settings, Target

DOCS = Path(__file__).parents[1] / "docs"
_SPEC = importlib.util.spec_from_file_location("settings_reference", DOCS / "settings_reference.py")
reference = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(reference)

ROWS = {
    cells[0].strip("`").removeprefix(PREFIX).lower(): cells
    for line in reference.lines()
    if line.startswith(f"| `{PREFIX}")
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}


def test_the_reference_is_in_step():
    written = (DOCS / "settings.md").read_text("utf-8").splitlines()

    assert written == list(reference.lines()), "run `make docs`"


def test_every_setting_has_its_row_and_a_meaning():
    assert ROWS.keys() == Settings.model_fields.keys() - {"targets"}
    assert [name for name, cells in ROWS.items() if not cells[1]] == []


def test_what_is_read_from_a_file_says_so():
    assert [name for name, cells in ROWS.items() if "file" in cells[2]] == [name for name in ROWS if name in FROM_FILE]


def test_a_target_s_names_are_all_told():
    told = "\n".join(reference.lines()).split("## Several regions")[1].split("##")[0]
    names = set(re.findall(r"`([a-z_]+)`", "\n".join(line.rsplit("|", 2)[0] for line in told.splitlines())))

    assert Target.model_fields.keys() <= names


def test_defaults_and_limits_are_those_that_hold():
    assert ROWS["concurrency"][2:4] == ["whole number, 1 to 256", "`8`"]
    assert ROWS["run_seconds"][2:4] == ["number, over 0", "`14400`"]
    assert ROWS["database_url"][2:4] == ["text, file", "`sqlite:///archive.db`"]
    assert ROWS["secret_key"][2:4] == ["text, secret, file", ""]
