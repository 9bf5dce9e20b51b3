"""The bar of a run, on real terminals: wide, narrow, without colours, and where there is none."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from terminal import Screen, on_terminal

from archiver.simulator import Fault, Faults, Simulator, build_history, running

ENDS_AT = datetime(2026, 11, 23, tzinfo=UTC)
HISTORY = build_history(7, ends_at=ENDS_AT, weeks=1, projects=2, plans_per_week=8)
COLOUR = re.compile(r"\x1b\[[0-9;]*[349][0-7]")


@pytest.fixture
def cloud(monkeypatch):
    """Return a function that serves the history, slowly if asked for, to the commands that follow."""
    opened = []

    def serve(*faults, projects=HISTORY.project_ids):
        context = running(Simulator(HISTORY, now=lambda: ENDS_AT, faults=Faults(faults)))
        opened.append(context)
        given = {"ENDPOINT": context.__enter__(), "PROJECT_ID": ",".join(projects), "TOKEN": "t"}
        for name, value in (given | {"REQUESTS_PER_SECOND": "0"}).items():
            monkeypatch.setenv(f"ARCHIVER_{name}", value)

    yield serve
    for context in opened:
        context.__exit__(None, None, None)


@pytest.mark.parametrize(("columns", "name"), [(80, "{}"), (40, "{:.11}…")])
def test_it_names_the_project_counts_its_plans_and_leaves_nothing(cloud, columns, name):
    cloud(Fault("delay", match="deploy-info", pause_seconds=0.3))

    # One plan after the other, each longer than it takes to draw the bar anew.
    code, screen, _, newest = on_terminal("archiver", "run", columns=columns, ARCHIVER_CONCURRENCY="1")

    assert code == 0
    for project_id, timelines in HISTORY.timelines.items():
        bars = [line for line in newest if line.startswith(project_id[:9]) and "━" in line]
        numbers = [re.fullmatch(r"(\S+) ━+[╸╺]?━* +(\d+)/(\d+) (-:--:--|0:00:\d\d)", line.rstrip()) for line in bars]
        assert {found[1] for found in numbers} == {name.format(project_id)}
        assert {int(found[3]) for found in numbers} == {len(timelines)}
        counts = [int(found[2]) for found in numbers]
        # A line of the log may be written with the bar that was drawn before the newest.
        assert all(later >= earlier - 1 for earlier, later in pairwise(counts))
        assert 1 < max(counts) <= len(timelines)
        assert max(map(len, bars)) <= columns - 3
    assert not any("━" in line for line in screen.lines)
    assert sum("ingest.run_started" in line for line in screen.lines) == 2
    assert screen.has_cursor


@pytest.mark.parametrize("columns", [80, 40])
def test_ctrl_c_leaves_a_clean_line(cloud, columns):
    cloud(Fault("delay", match="deploy-info", pause_seconds=60), projects=HISTORY.project_ids[:1])

    code, screen, _, _ = on_terminal("archiver", "run", columns=columns, press_ctrl_c_at="━")

    assert code == 1
    shown = "".join(screen.lines)
    assert shown.endswith("error: told to stop; what was fetched is saved")
    assert "━" not in shown
    assert "^C" not in shown
    assert screen.has_cursor


def test_without_colours_it_is_a_bar_all_the_same(cloud):
    cloud()

    _, _, coloured, _ = on_terminal("archiver", "run")
    _, _, plain, _ = on_terminal("archiver", "run", "--full", NO_COLOR="1")

    assert COLOUR.search(coloured)
    assert "━" in plain
    assert not COLOUR.search(plain)


@pytest.mark.parametrize(("options", "environment"), [(["--log-format", "json"], {}), ([], {"TERM": "dumb"})])
def test_among_json_and_on_a_dumb_terminal_there_is_none(cloud, options, environment):
    cloud(projects=HISTORY.project_ids[:1])

    code, screen, written, _ = on_terminal("archiver", "run", *options, **environment)

    assert code == 0
    assert "\x1b" not in written
    assert "" not in screen.lines[:-1]
    assert "ingest.run_ended" in written


def test_in_a_pipe_there_is_none(cloud):
    cloud(projects=HISTORY.project_ids[:1])

    command = [sys.executable, "-m", "archiver", "run"]
    done = subprocess.run(command, env=os.environ | {"TERM": "xterm"}, capture_output=True, text=True, check=True)

    assert "\x1b" not in done.stderr + done.stdout
    assert "━" not in done.stderr


def test_the_screen_of_these_tests_understands_what_a_bar_writes():
    screen = Screen(5)

    screen.feed("abcdefg\r\n1/2\r\x1b[2K\x1b[1A\x1b[2Klog\r\n\x1b[32m2/2\x1b[0m\x1b[?25l")

    assert (screen.lines, screen.has_cursor) == (["abcde", "log", "2/2"], False)
