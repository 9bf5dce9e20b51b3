"""A scheduler that stays up: no night is missed, and it holds no more memory or files as time goes by."""

import json
import subprocess
import sys
from pathlib import Path

from evergreen import evergreen_history
from staying_up import FIRST_NIGHT, growth, losses, thirds

SCRIPT = Path(__file__).with_name("staying_up.py")


def test_twenty_four_nights_in_one_process_leave_no_gap_and_hold_nothing():
    done = subprocess.run([sys.executable, SCRIPT, "24"], capture_output=True, text=True, check=False)

    assert done.stderr == ""
    total = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, total["losses"], total["reports"]) == (0, [], 4)


def test_what_is_lost_is_noticed():
    samples = [
        {"night": night, "plans": night, "job_attempts": 9, "memory_bytes": 2**27 + night * 2**20, "files": 20 + night}
        for night in range(24)
    ]
    total = {"projects": 1, "nights": {"done": 23, "missed": 1}, "runs": {"scheduled": 23}, "errors": 1}

    found = losses(24, samples, total)

    assert [line.partition(":")[0] for line in found] == [
        "of 24 nights",
        "of 24 runs each",
        "1 looks failed",
        "plans that grew to the end",
        "nights that had nothing to archive",
        "open files grew",
        "memory grew by 5.7%",  # 147.5 MiB against 139.5: those of nights 19.5 and 11.5
    ]


def test_thirds_are_of_nights_whatever_the_samples():
    samples = [{"night": night, "memory_bytes": night} for night in (0, 10, 20, 30, 40, 50, 59)]

    assert [[one["night"] for one in third] for third in thirds(samples)] == [[0, 10], [20, 30], [40, 50, 59]]
    assert growth(samples) == 1.0  # 50 against 25


def test_a_history_that_is_released_again_keeps_its_plans_and_its_nights():
    weeks = 6
    timelines = evergreen_history(FIRST_NIGHT, weeks, 2).timelines

    for project in timelines.values():
        starts = [[state.valid_from_ms for state in plan.states] for plan in project]
        ids = {state.deploy_info["id"] for plan in project for state in plan.states if state.deploy_info}
        assert ids == {plan.plan_id for plan in project}
        assert all(own == sorted(own) for own in starts)
        days = {ms // 86_400_000 // 7 for own in starts for ms in own}
        assert len(days) >= weeks  # something happens in each week
