"""Where a process's time goes: its stacks sampled by py-spy, told by the module of ours that was at work.

The sampler slows a process a little; shares are what counts, not seconds.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from measuring import HERE

OTHERS = HERE / ".venv" / "bin"
RATE = 200
_FRAME = re.compile(r"(.+) \(([^:()]+):?\d*\)$")
_WAITING = ("_worker (concurrent/futures", "select (selectors.py", "wait (threading.py")


def tell(title, command, environment=None, *, most=12):
    """Print a Markdown table: the share of samples in which each module of ours was the innermost at work."""
    with tempfile.TemporaryDirectory() as scratch:
        raw = Path(scratch) / "stacks"
        sampler = [str(OTHERS / "py-spy"), "record", "--rate", str(RATE), "--format", "raw", "--output", str(raw), "--"]
        done = subprocess.run(  # noqa: S603, PLW1510
            [*sampler, *command], env=os.environ | dict(environment or {}), capture_output=True, text=True
        )
        if done.returncode or not raw.exists():
            sys.exit(f"{title}: could not be sampled: {done.stderr}")
        shares = Counter()
        for line in raw.read_text("utf-8").splitlines():
            stack, _, count = line.rpartition(" ")
            if place := place_of(stack.split(";")):
                shares[place] += int(count)
    total = shares.total()
    print(f"\n### Where the time goes: {title}\n\n{total:,} samples.\n\n| | share |\n|---|---|")
    for place, count in shares.most_common(most):
        print(f"| {place} | {100 * count / total:.0f} % |")
    rest = total - sum(count for _, count in shares.most_common(most))
    print(f"| all else | {100 * rest / total:.0f} % |", flush=True)


def place_of(frames):
    """Name what was at work: imports, a module of ours, or the library it had called; None for a thread that waits."""
    innermost = frames[-1]
    if any(words in innermost for words in _WAITING):
        return None
    if any("importlib" in frame for frame in frames):
        return "start: imports"
    paths = [found[2] for frame in frames if (found := _FRAME.match(frame))]
    ours = next((path for path in reversed(paths) if path.startswith(("archiver/", "reports/"))), None)
    if ours is None:
        return "the event loop and other libraries"
    library = paths[-1].split("/")[0]
    return f"`{ours}`" if paths[-1] == ours else f"`{ours}`, in {library.removesuffix('.py')}"
