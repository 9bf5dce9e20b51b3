"""Bodies as the API sends them, of which a test says only what matters to it."""

import json

DAY_MS = 86_400_000
LONG_AGO_MS = 1_700_000_000_000  # 2023-11-14: past every recheck window of these tests


def plan_item(plan_id, status="SUCCESS", **fields):
    """Build an item of the list; by default one that was settled long ago."""
    item = {
        "id": plan_id,
        "name": f"release {plan_id}",
        "action": "upgrade",
        "status": status,
        "creator": "wzh",
        "create_time": LONG_AGO_MS,
        "execute_time": LONG_AGO_MS + 60_000,
        "modify_time": LONG_AGO_MS + 120_000,
    }
    return item | fields


def component(component_id="c1", *, job_id="JOB1", status="SUCCESS", job_status="SUCCEEDED", seq=1, **fields):
    """Build an item of `components`: by default one that was deployed long ago."""
    item = {
        "id": component_id,
        "name": f"component {component_id}",
        "seq": seq,
        "version": "1.0.1",
        "status": status,
        "job_id": job_id,
        "job_status": job_status,
        "start_time": LONG_AGO_MS + 60_000,
        "end_time": LONG_AGO_MS + 90_000,
        "fail_message": None,
        "rollback_job_id": None,
        "rollback_job_status": None,
        "rollback_start_time": 0,
        "rollback_end_time": 0,
        "rollback_fail_message": None,
    }
    return item | fields


def deploy_info(plan_id, *components):
    """Build a deploy-info body; by default of one component."""
    return json.dumps({"id": plan_id, "components": list(components) or [component()]}).encode()
