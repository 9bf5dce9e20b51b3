"""The same job by dlt, a load tool that is well known: `dlt_run.py BASE_URL DATABASE`, in an environment of its own.

It lists, fetches in parallel, and merges attempts and bodies by key, as its documentation would have it. Like the floor
it keeps no history; it fetches everything each time.
"""

import sys
import tempfile
from hashlib import sha256

import dlt
from dlt.sources.helpers import requests

PATH = "/v3/p/cas/release-plans"


def resources(base_url):
    """Return the three tables of the floor: plans, and bodies and attempts as they come with them."""

    @dlt.resource(primary_key="plan_id", write_disposition="merge")
    def plans():
        for item in requests.get(base_url + PATH).json()["release_plans"]:
            yield {"plan_id": item["id"], "modified_ms": item["modify_time"]}

    @dlt.transformer(data_from=plans, parallelized=True)
    def infos(plan):
        plan_id = plan["plan_id"]
        answer = requests.get(f"{base_url}{PATH}/{plan_id}/deploy-info")
        body = {"sha256": sha256(answer.content).hexdigest(), "body": answer.content}
        yield dlt.mark.with_hints(
            body,
            dlt.mark.make_hints(table_name="bodies", primary_key="sha256", write_disposition="merge"),
            create_table_variant=True,
        )
        hints = dlt.mark.make_hints(table_name="attempts", primary_key="job_id", write_disposition="merge")
        for one in answer.json()["components"]:
            attempt = {"job_id": one["job_id"], "plan_id": plan_id, "component_id": one["id"], "batch": one["seq"]}
            for name in ("version", "job_status", "start_time", "end_time", "fail_message"):
                attempt[name] = one[name]
            yield dlt.mark.with_hints(attempt, hints, create_table_variant=True)

    return [plans, infos]


def main(base_url, database):
    """Load everything once."""
    is_postgresql = "dbname" in database
    if is_postgresql:
        parts = dict(part.split("=", 1) for part in database.split())
        user = f"{parts.get('user', 'postgres')}:{parts.get('password', 'none')}"  # dlt insists on one
        url = f"postgresql://{user}@{parts.get('host', '127.0.0.1')}:{parts.get('port', 5432)}/{parts['dbname']}"
        destination = dlt.destinations.postgres(url)
    else:
        destination = dlt.destinations.sqlalchemy(f"sqlite:///{database}")
    with tempfile.TemporaryDirectory() as scratch:
        pipeline = dlt.pipeline(
            pipeline_name="bench",
            pipelines_dir=scratch,
            destination=destination,
            dataset_name="public" if is_postgresql else "main",
        )
        pipeline.run(resources(base_url))


if __name__ == "__main__":
    main(*sys.argv[1:])
