"""The log: what names hold does nothing to a terminal and forges no line."""

import json
import sys

import pytest
import structlog

from archiver.logs import configure

HOSTILE = "red\x1b[31m\nforged\r\x9b31m\u202eright"


@pytest.fixture
def logged(capsys):
    """Return a function that logs a value, and gives what stands on standard error."""

    def call(log_format, value):
        configure(log_format)
        structlog.get_logger().warning("a.thing_happened", name=value)
        return capsys.readouterr().err

    yield call
    structlog.reset_defaults()


def test_control_characters_are_shown_and_one_event_is_one_line(logged):
    line = logged("text", HOSTILE)

    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert "\\x1b[31m" in line


def test_other_letters_are_left_alone(logged):
    assert "name=münchen-發布" in logged("text", "münchen-發布")


@pytest.mark.parametrize(
    ("environment", "has_colours"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_terminals_that_want_them(logged, monkeypatch, environment, has_colours):
    for name, value in ({"NO_COLOR": "", "TERM": "xterm"} | environment).items():
        monkeypatch.setenv(name, value)
    in_a_file = logged("text", "x")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    assert "\x1b" not in in_a_file
    assert ("\x1b" in logged("text", "x")) is has_colours


def test_json_lines_hold_the_value_as_it_is(logged):
    line = logged("json", HOSTILE)

    assert json.loads(line)["name"] == HOSTILE
    assert line.isascii()
    assert line.count("\n") == 1


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_traceback_shows_where_and_no_variable(capsys, log_format):
    configure(log_format)

    def fall_over():
        password = "hunter2".upper()
        raise RuntimeError(f"it broke after {len(password)} letters")

    try:
        fall_over()
    except RuntimeError:
        structlog.get_logger().exception("a.thing_broke", exc_info=True)
    structlog.reset_defaults()

    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "in fall_over" in said
    assert "it broke after 7 letters" in said
    assert "HUNTER2" not in said
