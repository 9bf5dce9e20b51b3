"""Processes measured side by side: in turns, several rounds, each with its rows counted, and told as ratios."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Measured:
    """One run of a process: seconds of the wall clock and of the processor, and the most memory it held."""

    seconds: float
    cpu_seconds: float
    peak_mib: float


@dataclass
class Candidate:
    """A command that does a job, what is made ready before each run of it, and how its work is counted after.

    It may say its own seconds, and its rows, as the last line of its output: {"seconds": 1.2, "rows": 3}.
    """

    name: str
    command: Sequence[str]
    count: Callable[[], int] | None = None
    prepare: Callable[[], None] = lambda: None
    environment: Mapping[str, str] = field(default_factory=dict)


def run_once(candidate: Candidate, expected: int) -> Measured:
    """Run a candidate once; end everything if it fails, or did not do its work."""
    candidate.prepare()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("ARCHIVER_", "HUAWEICLOUD_"))
    }
    with tempfile.NamedTemporaryFile("r") as used:
        watched = [sys.executable, "-I", "-S", str(HERE / "watched.py"), used.name, *candidate.command]
        done = subprocess.run(watched, env=environment | dict(candidate.environment), capture_output=True, text=True)  # noqa: S603, PLW1510
        if done.returncode:
            sys.exit(f"{candidate.name} exited {done.returncode}: {done.stdout}{done.stderr}")
        seconds, cpu_seconds, peak_mib = map(float, used.read().split())
    last = done.stdout.strip().rpartition("\n")[2]
    told = json.loads(last) if last.startswith('{"seconds"') else {}
    seconds = told.get("seconds", seconds)
    if (found := candidate.count() if candidate.count else told["rows"]) != expected:
        sys.exit(f"{candidate.name} left {found:,} rows, not {expected:,}: its time says nothing")
    return Measured(seconds, cpu_seconds, peak_mib)


def compare(title: str, candidates: Sequence[Candidate], expected: int, *, rounds: int) -> dict[str, list[Measured]]:
    """Print a Markdown table: each one's median, and its ratio to the first, round by round. Return the runs."""
    runs = {candidate.name: [] for candidate in candidates}
    for number in range(rounds):
        # In turns, each round begun by another, so that a busy machine is as busy for all.
        shift = number % len(candidates)
        for candidate in [*candidates[shift:], *candidates[:shift]]:
            runs[candidate.name].append(run_once(candidate, expected))
    floor = runs[candidates[0].name]
    print(f"\n### {title}\n\n{rounds} rounds, {expected:,} rows each.\n")
    print("| | s | CPU s | peak MiB | ratio of s | ratio of CPU s |\n|---|---|---|---|---|---|")
    for name, found in runs.items():
        middle = [median(getattr(one, unit) for one in found) for unit in ("seconds", "cpu_seconds", "peak_mib")]
        ratios = [_spread(found, floor, unit) for unit in ("seconds", "cpu_seconds")]
        print(
            f"| {name} | {middle[0]:.2f} | {middle[1]:.2f} | {middle[2]:.0f} | {ratios[0]} | {ratios[1]} |", flush=True
        )
    return runs


def _spread(found: Sequence[Measured], floor: Sequence[Measured], unit: str) -> str:
    """Return the median of the rounds' own ratios, with the least and the greatest."""
    ratios = [getattr(one, unit) / getattr(base, unit) for one, base in zip(found, floor, strict=True)]
    return f"{median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"


def machine() -> str:
    """Say where and when: figures of two machines don't compare, ratios nearly do."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = os.getloadavg()[0]
    return (
        f"{date.today():%Y-%m-%d}, {os.cpu_count()} x {model}, Python {platform.python_version()}, "  # noqa: DTZ011
        f"load {load:.1f} at the start"
    )
