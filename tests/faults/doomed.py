"""The program as it is, with a death appointed: it kills itself with SIGKILL at a statement or around a commit.

    python doomed.py run …            with FAULT_DIE=statement:N, before-commit:N or after-commit:N
    FAULT_SAVE_PLANS=N                smaller transactions, so that a run of few plans commits often
    FAULT_COUNTS=FILE                 writes how many statements and commits there were, as JSON, at the end

Nothing in the program is replaced: the death stands around the driver's own commit and execute.
"""

import atexit
import json
import os
import signal
from collections import Counter
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect

import archiver.ingest
from archiver.cli import main

_moment, _, _number = os.environ.get("FAULT_DIE", "never:0").partition(":")
_counts = Counter()


def _pass(moment):
    _counts[moment] += 1
    if moment == _moment and _counts[moment] == int(_number):
        os.kill(os.getpid(), signal.SIGKILL)


def _commit(do_commit):
    def around(self, connection):
        _pass("before-commit")
        do_commit(self, connection)
        _pass("after-commit")

    return around


DefaultDialect.do_commit = _commit(DefaultDialect.do_commit)


@event.listens_for(Engine, "before_cursor_execute")
def _execute(*_):
    _pass("statement")


if "FAULT_SAVE_PLANS" in os.environ:
    archiver.ingest.SAVE_PLANS = int(os.environ["FAULT_SAVE_PLANS"])
if "FAULT_COUNTS" in os.environ:
    atexit.register(lambda: Path(os.environ["FAULT_COUNTS"]).write_text(json.dumps(_counts), "utf-8"))
main()
