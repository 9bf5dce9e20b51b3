"""A scheduler that stays up: no night is missed, and it holds no more memory or files as time goes by."""

import json
import subprocess
import sys
from pathlib import Path

from staying_up import losses

SCRIPT = Path(__file__).with_name("staying_up.py")


def test_twenty_four_nights_in_one_process_leave_no_gap_and_hold_nothing():
    done = subprocess.run([sys.executable, SCRIPT, "24"], capture_output=True, text=True, check=False)

    assert done.stderr == ""
    total = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, total["losses"], total["reports"]) == (0, [], 4)


def test_what_is_lost_is_noticed():
    samples = [
        {"night": night, "plans": 9 * (night > 15), "memory_bytes": 2**27 + night * 2**20, "files": 20 + night}
        for night in range(24)
    ]
    total = {"projects": 1, "nights": {"done": 23, "missed": 1}, "runs": {"scheduled": 23}, "errors": 1}

    found = losses(24, samples, total)

    assert [line.partition(":")[0] for line in found] == [
        "of 24 nights",
        "of 24 runs each",
        "1 looks failed",
        "nights that had nothing to archive",
        "open files grew",
        "memory grew",
    ]
