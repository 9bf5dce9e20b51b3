"""Make the weekly report of a data set and print some of its tables as JSON: `… DIR memory|dask [ROWS_IN_PART]`."""

import json
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from data_sets import LAST_MONDAY
from scale import in_memory

from archiver.dataset import held
from archiver.settings import Settings
from reports.dask_weekly import connected, data_set_report
from reports.tables import records
from reports.weekly import weekly_window

TABLES = ("failure-rates", "rollbacks", "batch-timing", "batch-timing-by-week-batch", "failure-rates-by-component")


def main():
    directory, way = Path(sys.argv[1]), sys.argv[2]
    window = weekly_window(LAST_MONDAY, ZoneInfo("UTC"))
    with held(directory) as (_, partitions):
        if way == "memory":
            report = in_memory(Settings(), window, directory, partitions)
        else:
            with connected(None):
                report = data_set_report(Settings(), window, None, directory, partitions, int(sys.argv[3]))
    sys.stdout.write(json.dumps({name: records(report.tables[name]) for name in TABLES}))


if __name__ == "__main__":
    main()
