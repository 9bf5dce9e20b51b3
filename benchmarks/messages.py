"""Failure messages masked and grouped, beside their plain count: `python benchmarks/messages.py [--messages 100000]`.

All differ, in five kinds, so that nothing is remembered of one for the next. The floor groups them as they are.
"""

import argparse
import json
import sys
import time

from measuring import Candidate, compare, machine

KINDS = (
    "Readiness probe failed: Get http://10.0.{a}.{b}:8080/health: context deadline exceeded (pod web-{n:09x})",
    "exit code {n} after {b}s: see /var/log/job-{n}.log",
    "JOB4cf4d39e-c11a-41b0-82eb-{n:012x} was aborted at 2026-11-{a:02} 10:00:{b:02}",
    'image "registry.example.com/web:{n}" not found',
    "dial tcp 10.1.{a}.{b}:{n}: connection refused",
)


def child(way, count):
    """Do it once, in this process, and say how long it took."""
    import pandas as pd

    from archiver.masking import mask, template_id

    said = [KINDS[n % 5].format(n=n + 1_000, a=n % 28 + 1, b=n % 60) for n in range(count)]
    started = time.perf_counter()
    templates = said if way == "floor" else [mask(message, "web") for message in said]
    ids = templates if way == "floor" else [template_id(template) for template in templates]
    groups = pd.Series(ids).value_counts()
    seconds = time.perf_counter() - started
    if len(groups) != (count if way == "floor" else len(KINDS)):
        sys.exit(f"{len(groups):,} groups")
    print(json.dumps({"seconds": seconds, "rows": int(groups.sum())}))


def main():
    """Compare."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--messages", type=int, default=100_000)
    asked = options.parse_args()
    print(machine())
    ways = [
        Candidate(way, [sys.executable, __file__, "--child", way, str(asked.messages)]) for way in ("floor", "archiver")
    ]
    compare(f"{asked.messages:,} failure messages", ways, asked.messages, rounds=asked.rounds)


if __name__ == "__main__":
    child(sys.argv[2], int(sys.argv[3])) if sys.argv[1:2] == ["--child"] else main()
