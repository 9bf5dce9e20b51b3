"""Runs a command and writes what it used: `watched.py FILE COMMAND…`. It imports little, on purpose.

Linux counts the memory of whoever starts a process as that process's own peak, until it has more: so none that holds
much may start one that is measured.
"""

import os
import sys
import time

started = time.perf_counter()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(pid, 0)
seconds = time.perf_counter() - started
with open(sys.argv[1], "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib is not little
    print(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, file=file)
sys.exit(os.waitstatus_to_exitcode(status))
