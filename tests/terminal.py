"""A terminal to run a command on: a real pty, and what stands on its screen once it understood what came."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress

_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\r|\n|[^\x1b\r\n]")


class Screen:
    """What is shown: as much of a terminal as a bar needs. It forgets nothing: lines do not scroll away."""

    def __init__(self, columns):
        self.columns, self.lines, self.row, self.column, self.has_cursor = columns, [""], 0, 0, True

    def feed(self, text):
        """Understand a text."""
        for token in _TOKEN.finditer(text):
            match token[2], token[0]:
                case "A", _:
                    self.row -= int(token[1] or 1)
                case "K", _:
                    assert token[1] == "2"
                    self.lines[self.row] = ""
                case (("l" | "h"), _):
                    assert token[1] == "?25"
                    self.has_cursor = token[2] == "h"
                case "m", _:
                    pass
                case None, "\r":
                    self.column = 0
                case None, "\n":
                    self._go_down()
                case None, letter:
                    self._write(letter)
                case unknown:
                    raise AssertionError(unknown)

    def _go_down(self):
        self.row += 1
        self.lines += [""] * (self.row + 1 - len(self.lines))

    def _write(self, letter):
        if self.column == self.columns:
            self.column = 0
            self._go_down()
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + letter + line[self.column + 1 :]
        self.column += 1


def on_terminal(*command, columns=80, press_ctrl_c_at=None, **environment):
    """Run a command on a terminal of its own; return exit code, its screen, all that was written, each newest line.

    Ctrl-C is pressed once, when a text is seen on the screen.
    """
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    # What the environment says of a size would be believed before the terminal is asked.
    inherited = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=inherited | {"TERM": "xterm-256color"} | environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY),  # noqa: PLW1509 - Ctrl-C must reach it
    )
    os.close(theirs)
    screen, written, newest = Screen(columns), "", []
    with suppress(OSError):  # the terminal's end, on Linux
        while data := os.read(ours, 65536):
            text = data.decode("utf-8", "ignore")
            written += text
            screen.feed(text)
            newest.append(screen.lines[-1])
            if press_ctrl_c_at is not None and press_ctrl_c_at in newest[-1]:
                os.write(ours, b"\x03")
                press_ctrl_c_at = None
    os.close(ours)
    return process.wait(timeout=60), screen, written, newest
