"""The long run: deaths and random faults by the hundred, each checked; a table at the end, exit 1 on a loss.

python tests/faults/soak.py       SOAK_MINUTES=20, SOAK_WORKERS=2, SOAK_SEED (printed; the same seed, the same dice),
                                  SOAK_NIGHTS=365 in one `schedule` process beside it (0: none)
"""

import itertools
import json
import logging
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from private_postgres import PrivateCluster
from program import KILLED, Case, finish
from staying_up import growth, table
from upstream import Upstream, cut, delay, reset, said, sometimes, story

from archiver.logs import configure

SAVE_PLANS = 4
STAYING_UP = Path(__file__).with_name("staying_up.py")


class Round:
    """One round: an archive of its own, its dice, and how often the program was killed in it."""

    def __init__(self, dice, url, folder, nights, cluster):
        self.dice, self.nights, self.cluster, self.kills = dice, nights, cluster, 0
        self.case = Case(url, Upstream(), folder)

    def first_night(self):
        """Archive the first night without faults, and show the second."""
        self.case.migrate()
        self.case.upstream.show(self.nights.first_night)
        assert self.case.run_here().code == 0
        self.case.turn_to(self.nights.second_night)

    def run(self, *command, kill_after_seconds=None, **how):
        """Run the program with whatever awaits it; count it if it was killed."""
        with self.case.upstream.serving() as base_url:
            process = self.case.start(base_url, *command, save_plans=SAVE_PLANS, **how)
            if kill_after_seconds is not None:
                threading.Timer(kill_after_seconds, process.kill).start()
            code, _, err = finish(process)
        self.kills += code == KILLED
        assert code in (KILLED, 0, 1, 3), (code, err)

    def killed_at_a_statement(self):
        self.first_night()
        self.run(doom=f"statement:{self.dice.randint(1, 130)}")

    def killed_around_a_commit(self):
        self.first_night()
        self.run(doom=f"{self.dice.choice(('before', 'after'))}-commit:{self.dice.randint(1, 12)}")

    def killed_at_any_moment(self):
        self.first_night()
        self.case.upstream.strike = lambda call: delay(call.good, 0.02)
        self.run(kill_after_seconds=self.dice.uniform(0.3, 1.6))

    def killed_again_and_again_while_the_api_fails(self):
        self.first_night()
        for _ in range(self.dice.randint(2, 5)):
            self._fail_at_random()
            self.run(doom=f"statement:{self.dice.randint(1, 90)}")

    def killed_while_it_makes_the_archive(self):
        self.case.upstream.show(self.nights.second_night)
        self.run("database", "upgrade", doom=f"statement:{self.dice.randint(1, 90)}")
        self.case.migrate()
        self.case.upstream.show(self.nights.first_night)
        assert self.case.run_here().code == 0
        self.case.turn_to(self.nights.second_night)

    def api_that_fails_at_random(self):
        self.first_night()
        self._fail_at_random()
        self.run(retry_seconds=self.dice.choice((0, 2, 5)))

    def _fail_at_random(self):
        at_byte = self.dice.randint(0, 900)
        answers = [
            *(lambda _: said(429), lambda _: said(429, Retry_After="-1"), lambda _: said(500), lambda _: said(503)),
            *(reset, lambda good: cut(good, at_byte, with_content_length=True), lambda good: delay(good, 0.2)),
        ]
        self.dice.shuffle(answers)
        rate = self.dice.choice((0.05, 0.2, 0.4))
        self.case.upstream.strike = sometimes(rate, answers, seed=self.dice.random())

    def disk_full(self):
        self.first_night()
        if self.cluster is None:
            most_bytes = self.dice.randint(40, 140) * 1024
            self.run(limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, resource.RLIM_INFINITY)))
            return
        self.cluster.limit_files(2**20 + 8192)
        try:
            self.run()
        finally:
            self.cluster.limit_files(None)

    def database_restarted(self):
        self.first_night()
        mode = self.dice.choice(("fast", "immediate"))
        restarting = threading.Timer(self.dice.uniform(0.5, 2), self.cluster.restart, (mode,))
        restarting.start()
        self.case.upstream.strike = lambda call: delay(call.good, 0.1)
        self.run()
        restarting.join()


CASES = [
    *(Round.killed_at_a_statement, Round.killed_around_a_commit, Round.killed_at_any_moment),
    *(Round.killed_again_and_again_while_the_api_fails, Round.killed_while_it_makes_the_archive),
    *(Round.api_that_fails_at_random, Round.disk_full, Round.database_restarted),
]


def flawless_facts(nights):
    """Return the facts of an archive of both nights that met no fault."""
    with tempfile.TemporaryDirectory() as folder:
        case = Case(f"sqlite:///{folder}/archive.db", Upstream().show(nights.first_night), Path(folder))
        case.run_here()
        case.turn_to(nights.second_night).run_here()
        assert case.problems(is_recovered=True) == []
        return case.facts()


def soak(worker, seed, ends_at):
    """Play rounds until the time is over, every case on each database in turn; return the tally."""
    configure("text", logging.CRITICAL)
    tally = defaultdict(lambda: {"rounds": 0, "kills": 0, "losses": 0})
    nights = story(datetime.now(UTC))
    flawless = flawless_facts(nights)
    with PrivateCluster.started() as cluster:
        for number, (perform, database) in enumerate(
            itertools.cycle(itertools.product(CASES, ("sqlite", "postgresql")))
        ):
            if time.monotonic() > ends_at:
                break
            if database == "sqlite" and perform is Round.database_restarted:
                continue  # there is no server
            name = f"{seed}/{worker}/{number}"
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                url = f"sqlite:///{folder / 'archive.db'}"
                if database == "postgresql":
                    url = _new_database(cluster, stack, number)
                play = Round(random.Random(name), url, folder, nights, cluster if database == "postgresql" else None)
                try:
                    perform(play)
                    losses = play.case.losses(flawless)
                except Exception:  # noqa: BLE001 - a round that breaks has lost something, whatever it is
                    losses = [traceback.format_exc()]
            row = tally[perform.__name__.replace("_", " "), database]
            row["rounds"] += 1
            row["kills"] += play.kills
            row["losses"] += bool(losses)
            for loss in losses:
                print(f"LOSS {perform.__name__} {database} {name}: {loss}", flush=True)
    return dict(tally)


def _new_database(cluster, stack, number):
    admin = cluster.url.replace("+psycopg", "")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE soak_{number}")

    def drop():
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE soak_{number} WITH (FORCE)")

    stack.callback(drop)
    return f"{cluster.url.rpartition('/')[0]}/soak_{number}"


def main():
    """Soak, and print the table."""
    minutes = float(os.environ.get("SOAK_MINUTES", "20"))
    workers = int(os.environ.get("SOAK_WORKERS", "2"))
    seed = os.environ.get("SOAK_SEED") or str(random.randrange(10**6))
    print(f"soaking for {minutes:g} minutes with {workers} workers; SOAK_SEED={seed}", flush=True)
    nights = int(os.environ.get("SOAK_NIGHTS", "365"))
    staying = nights and subprocess.Popen([sys.executable, STAYING_UP, str(nights)], stdout=subprocess.PIPE, text=True)
    tally = defaultdict(Counter)
    ends_at = time.monotonic() + minutes * 60
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for playing in [pool.submit(soak, worker, seed, ends_at) for worker in range(workers)]:
            for name, row in playing.result().items():
                tally[name].update(row)
    line = "{:44} {:11} {:>7} {:>6} {:>7}"
    print(line.format("case", "database", "rounds", "kills", "losses"))
    for (name, database), row in sorted(tally.items()):
        print(line.format(name, database, *(row[column] for column in ("rounds", "kills", "losses"))))
    total = {column: sum(row[column] for row in tally.values()) for column in ("rounds", "kills", "losses")}
    print(line.format("all", "", *total.values()))
    has_stayed = not staying or _tell_of_staying(staying, nights)
    sys.exit(1 if total["losses"] or not total["rounds"] or not has_stayed else 0)


def _tell_of_staying(process, nights):
    """Wait for the scheduler that stays up, print what it held, and return whether all was well."""
    *samples, total = map(json.loads, process.communicate()[0].splitlines())
    print(f"{nights} nights in one process: {total['nights']}, {total['runs']}, {total['reports']} reports")
    print("\n".join(table(samples)))
    print(f"memory of the last third against the middle one: {growth(samples):+.1%}")
    for loss in total["losses"]:
        print(f"LOSS staying up: {loss}")
    return process.returncode == 0


if __name__ == "__main__":
    main()
