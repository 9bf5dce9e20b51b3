"""Runs against their floor: `python benchmarks/runs.py [--rounds 5]`: a cold one, and a night in which little changed.

Both are whole processes, start included, against a service with prepared bodies in a process of its own; the
program's tables are made beforehand. The floor is `floor_run.py`; a cold run is compared with `dlt_run.py` and
`merge_run.py` too. A profile of each follows.
"""

import argparse
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from measuring import HERE, Candidate, compare, machine
from places import PostgresqlPlace, SqlitePlace, has_postgresql
from profiled import OTHERS, tell

ARCHIVER = [sys.executable, "-m", "archiver", "run"]
KINDS = {"sqlite": SqlitePlace, "postgresql": PostgresqlPlace}
FLOOR = [sys.executable, str(HERE / "floor_run.py")]


@contextmanager
def service(plans, components, latency_ms=0):
    """Start a service, and give its base URL."""
    command = [sys.executable, str(HERE / "service.py"), str(plans), str(components), "--latency-ms", str(latency_ms)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own script
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def environment(base_url, place):
    """Return the settings of an unthrottled run, without rechecks and sweeps."""
    return {
        "ARCHIVER_ENDPOINT": base_url,
        "ARCHIVER_PROJECT_ID": "p",
        "ARCHIVER_TOKEN": "any",
        "ARCHIVER_DATABASE_URL": place.url,
        "ARCHIVER_CONCURRENCY": "64",
        "ARCHIVER_REQUESTS_PER_SECOND": "0",
        "ARCHIVER_SWEEP_DAYS": "0",
    }


def candidates(base_url, directory, kind):
    """Return the floor and the program, each with a place of its own that the program's tables are made in."""
    ours, floor = kind(directory, "archive"), kind(directory, "floor")
    ours.migrate()
    return (
        Candidate("floor", [*FLOOR, base_url, floor.raw], lambda: floor.count("attempts"), floor.renew),
        Candidate(
            "archiver run",
            [*ARCHIVER, "--log-format", "json"],
            lambda: ours.count("job_attempts"),
            ours.renew,
            environment(base_url, ours),
        ),
        (floor, ours),
    )


def other_ways(base_url, place):
    """Return the load tool and the way one would write it first, each into the floor's place."""
    if not OTHERS.exists():
        sys.exit("benchmarks/.venv is missing: run make bench, or make benchmarks/.venv/.installed")
    return [
        Candidate(
            name,
            [str(OTHERS / "python"), str(HERE / script), base_url, place.raw],
            lambda: place.count("attempts"),
            place.renew,
            {"RUNTIME__DLTHUB_TELEMETRY": "false"},
        )
        for name, script in (("dlt", "dlt_run.py"), ("requests, session.merge", "merge_run.py"))
    ]


def profile(title, ours):
    """Say where the program's time goes."""
    ours.prepare()
    tell(title, ours.command, ours.environment)


def cold(kind, plans, components, latency_ms, rounds):
    """Compare runs into an archive that is empty."""
    with tempfile.TemporaryDirectory() as scratch, service(plans, components, latency_ms) as base_url:
        floor, ours, places = candidates(base_url, Path(scratch), kind)
        try:
            places[1].keep()
            title = f"Cold run, {kind.kind}, {plans:,} plans of {components}, {latency_ms} ms of latency"
            compare(title, [floor, ours, *other_ways(base_url, places[0])], plans * components, rounds=rounds)
            profile(title, ours)
        finally:
            for place in places:
                place.drop()


def nightly(kind, plans, changed, rounds):
    """Compare runs into an archive that knows every plan, of which some changed since; return what the changes cost.

    That is the CPU seconds, round by round, that a run needs more than one for which nothing has changed.
    """
    with tempfile.TemporaryDirectory() as scratch, service(plans, 2) as base_url, service(plans, 2) as quiet_url:
        floor, ours, places = candidates(base_url, Path(scratch), kind)
        quiet = replace(ours, name="the same, nothing changed", environment=environment(quiet_url, places[1]))
        try:
            for one, place in zip((floor, quiet), places, strict=True):
                subprocess.run(one.command, env=dict(one.environment) or None, check=True, capture_output=True)  # noqa: S603
                place.keep()
            urllib.request.urlopen(f"{base_url}/change/{changed}").close()  # noqa: S310 - loopback
            title = f"Night, {kind.kind}, {changed} of {plans:,} plans changed"
            runs = compare(title, [floor, ours], 2 * (plans + changed), rounds=rounds)[ours.name]
            still = compare(f"{title}: none of it", [quiet], 2 * plans, rounds=rounds)[quiet.name]
            profile(title, ours)
        finally:
            for place in places:
                place.drop()
    return [one.cpu_seconds - base.cpu_seconds for one, base in zip(runs, still, strict=True)]


def main():
    """Measure what is asked for."""
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--plans", type=int, default=2000, help="of a cold run, 20 components each")
    options.add_argument("--known", type=int, nargs="*", default=[10_000, 100_000], help="plans known before a night")
    options.add_argument("--changed", type=int, default=500)
    options.add_argument(
        "--database", choices=KINDS, nargs="*", default=list(KINDS) if has_postgresql() else ["sqlite"]
    )
    asked = options.parse_args()
    print(machine())
    for kind in (KINDS[name] for name in asked.database):
        for latency_ms in (0, 20):
            cold(kind, asked.plans, 20, latency_ms, asked.rounds)
        costs = {plans: median(nightly(kind, plans, asked.changed, asked.rounds)) for plans in asked.known}
        for plans, cost in costs.items():
            ratio = cost / costs[asked.known[0]]
            print(f"\nOf {plans:,} plans the changes alone: {cost:.2f} CPU s, {ratio:.2f} of those of the fewest.")


if __name__ == "__main__":
    main()
