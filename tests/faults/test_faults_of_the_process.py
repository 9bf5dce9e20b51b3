"""A process that dies, is told to stop, or is not alone: what it committed is whole, and the next run goes on."""

import random
import signal
import subprocess
import threading

import pytest
from checker import rows_of
from program import KILLED, finish
from upstream import delay

COMMITS = 13  # of a run of the second night; one more is tried, so that a change of it is noticed
SAVE_PLANS = 4  # so that a run of 30 plans commits about as often as one of 1,500


def killed_at(case, doom):
    """Run the program to its appointed death; return whether it died, or had ended before."""
    with case.upstream.serving() as base_url:
        code, _, err = case.run(base_url, doom=doom, save_plans=SAVE_PLANS)
    assert code in (KILLED, 0), err
    return code == KILLED


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        *(("after-commit", number) for number in range(1, COMMITS + 2)),
        *(("before-commit", n) for n in (1, 2, 6, COMMITS)),
    ],
)
def test_a_run_killed_around_each_commit_loses_nothing(after_one_night, flawless, moment, number):
    is_killed = killed_at(after_one_night, f"{moment}:{number}")

    assert is_killed == (number <= COMMITS)
    assert after_one_night.losses(flawless[2]) == []


@pytest.mark.parametrize("number", random.Random(3).sample(range(1, 120), 12))
def test_a_run_killed_at_a_random_statement_loses_nothing(after_one_night, flawless, number):
    killed_at(after_one_night, f"statement:{number}")

    assert after_one_night.losses(flawless[2]) == []


@pytest.mark.parametrize("number", random.Random(5).sample(range(1, 30), 6))
def test_a_first_run_killed_at_a_random_request_loses_nothing(case, flawless, number):
    """The server kills the program while it waits for an answer."""
    with case.upstream.serving() as base_url:
        process = None

        def strike(call):
            if call.number == number:
                process.kill()

        case.upstream.strike = strike
        process = case.start(base_url, save_plans=SAVE_PLANS)
        code, _, _ = finish(process)

    assert code == KILLED
    assert case.losses(flawless[1]) == []


@pytest.mark.parametrize("number", [1, 2, 5, 9, 20, 40, 60, 90])
def test_a_first_run_killed_while_it_makes_the_archive_loses_nothing(nights, flawless, tmp_path, number):
    """SQLite alone: a PostgreSQL archive is made by `database upgrade`."""
    from program import Case
    from upstream import Upstream

    case = Case(f"sqlite:///{tmp_path / 'archive.db'}", Upstream().show(nights.first_night), tmp_path)

    assert killed_at(case, f"statement:{number}")
    case.migrate()
    assert case.losses(flawless[1]) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_stop_says_so_and_keeps_what_it_had(after_one_night, flawless, number):
    with after_one_night.upstream.serving() as base_url:

        def strike(call):
            if call.nth == 15:
                process.send_signal(number)
            return delay(call.good, 30) if call.nth >= 15 else None

        after_one_night.upstream.strike = strike
        process = after_one_night.start(base_url, save_plans=SAVE_PLANS)
        code, _, err = finish(process)

    assert code == 1
    assert "told to stop" in err
    (last,) = rows_of(after_one_night.url, "SELECT outcome FROM runs ORDER BY started_at DESC LIMIT 1")
    assert last["outcome"] == "interrupted"
    assert after_one_night.losses(flawless[2]) == []


def test_eight_runs_started_at_once_archive_once(after_one_night, flawless):
    """One works and seven exit 75, while the first is still at work."""
    others_gone = threading.Event()

    def strike(call):
        if call.kind == "list":
            assert others_gone.wait(60)

    after_one_night.upstream.strike = strike
    with after_one_night.upstream.serving() as base_url:
        processes = [after_one_night.start(base_url) for _ in range(8)]
        running = list(processes)
        while len(running) > 1:
            for process in running:
                try:
                    process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
                running = [one for one in running if one is not process]
                break
        others_gone.set()
        ends = [finish(process) for process in processes]

    assert sorted(code for code, _, _ in ends) == [0] + [75] * 7, ends
    assert all("is at work on" in err for code, _, err in ends if code == 75)
    lists = [call for call in after_one_night.upstream.calls if call.kind == "list"]
    assert len(lists) == 1
    assert after_one_night.losses(flawless[2]) == []


def test_eight_runs_that_all_make_the_archive_archive_once(nights, flawless, tmp_path):
    from program import Case
    from upstream import Upstream

    case = Case(f"sqlite:///{tmp_path / 'archive.db'}", Upstream().show(nights.first_night), tmp_path)
    case.upstream.strike = lambda call: delay(call.good, 0.5)
    with case.upstream.serving() as base_url:
        processes = [case.start(base_url) for _ in range(8)]
        ends = [finish(process) for process in processes]

    codes = [code for code, _, _ in ends]
    assert set(codes) <= {0, 75}, ends
    assert 0 in codes
    assert case.losses(flawless[1]) == []
