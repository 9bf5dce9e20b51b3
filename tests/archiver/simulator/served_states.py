"""Reading what a simulated history serves, for its tests."""

DAY_MS = 86_400_000


def number(value):
    """Read a number that may be text, and may be missing in five ways."""
    return None if value in {None, "", 0, "0"} else int(value)


def milliseconds(instant):
    return int(instant.timestamp() * 1000)


def all_plans(history):
    return [(project, plan) for project, plans in history.timelines.items() for plan in plans]


def all_items(history):
    return [state.list_item for _, plan in all_plans(history) for state in plan.states if state.list_item]


def all_components(history):
    return [
        component
        for _, plan in all_plans(history)
        for state in plan.states
        if state.deploy_info
        for component in state.deploy_info["components"]
    ]
