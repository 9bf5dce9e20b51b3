"""Runs against their floor: `python benchmarks/runs.py [--rounds 5]`: a cold one, and a night in which little changed.

Both are whole processes, start included, against a service with prepared bodies in a process of its own; the
program's tables are made beforehand. The floor is `floor_run.py`.
"""

import argparse
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from measuring import HERE, Candidate, compare, machine
from places import PostgresqlPlace, SqlitePlace, has_postgresql

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


def cold(kind, plans, components, latency_ms, rounds):
    """Compare runs into an archive that is empty."""
    with tempfile.TemporaryDirectory() as scratch, service(plans, components, latency_ms) as base_url:
        floor, ours, places = candidates(base_url, Path(scratch), kind)
        try:
            places[1].keep()
            title = f"Cold run, {kind.kind}, {plans:,} plans of {components}, {latency_ms} ms of latency"
            compare(title, [floor, ours], plans * components, rounds=rounds)
        finally:
            for place in places:
                place.drop()


def nightly(kind, plans, changed, rounds):
    """Compare runs into an archive that knows every plan, of which some changed since."""
    with tempfile.TemporaryDirectory() as scratch, service(plans, 2) as base_url:
        floor, ours, places = candidates(base_url, Path(scratch), kind)
        try:
            for one, place in zip((floor, ours), places, strict=True):
                subprocess.run(one.command, env=dict(one.environment) or None, check=True, capture_output=True)  # noqa: S603
                place.keep()
            urllib.request.urlopen(f"{base_url}/change/{changed}").close()  # noqa: S310 - loopback
            title = f"Night, {kind.kind}, {changed} of {plans:,} plans changed"
            compare(title, [floor, ours], 2 * (plans + changed), rounds=rounds)
        finally:
            for place in places:
                place.drop()


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
        for plans in asked.known:
            nightly(kind, plans, asked.changed, asked.rounds)


if __name__ == "__main__":
    main()
