"""Small archives and their exports into `data`, in the test's own directory."""

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
from builders import component, deploy_info, plan_item

from archiver.dataset import MANIFEST
from archiver.exporting import export
from archiver.importing import import_saved
from archiver.saved import Observation

UTC_ZONE, SHANGHAI = ZoneInfo("UTC"), ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 27, 2, 15, 0, 123_000, UTC)
SUNDAY_NIGHT = datetime(2026, 11, 22, 20, tzinfo=UTC)  # Monday in Shanghai
DATA = Path("data")


def ms(instant):
    return int(instant.timestamp() * 1000)


def released(plan_id, start, *, project="pr", now=NOW, **fields):
    """Archive a plan of two components that began then, one of them failed."""
    times = {"start_time": ms(start), "end_time": ms(start) + 90_500}
    good = component("good", job_id=f"{plan_id}-1", **times | fields)
    bad = component("bad", job_id=f"{plan_id}-2", job_status="FAILED", fail_message='exit "1"\nand ✗', **times)
    item = json.dumps(plan_item(plan_id, create_time=ms(start) - 1000)).encode()
    body = deploy_info(plan_id, good, bad)

    def save(archive):
        seen = [Observation(plan_id, "list_item", item, now), Observation(plan_id, "deploy_info", body, now)]
        import_saved(archive.engine, project, archive.revision, seen, now)

    return save


def exported(archive, projects=("pr",), zone=UTC_ZONE, **options):
    with archive.engine.connect() as connection:
        return export(connection, DATA, zone, projects, **options)


def files():
    return {str(path.relative_to(DATA)): path.read_bytes() for path in sorted(DATA.rglob("*")) if path.is_file()}


def weeks(table, project="pr"):
    return sorted(path.name.removeprefix("week=") for path in (DATA / table / f"project_id={project}").iterdir())


def manifest():
    return json.loads((DATA / MANIFEST).read_text())


def rows_of(table):
    return {
        path: pq.read_table(DATA / path, partitioning=None).to_pylist() for path in files() if path.startswith(table)
    }
