"""A simulated service, in a process of its own, whose plans are released again and again, so that none is new."""

import multiprocessing
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from archiver.clock import ManualClock
from archiver.simulator import Simulator, build_history, running

PLANS_PER_WEEK = 12


class SharedClock(ManualClock):
    """A clock that one process moves and another reads."""

    def __init__(self, seconds):
        self._seconds = seconds

    def now(self):
        """Return the instant, which is whole seconds."""
        return datetime.fromtimestamp(self._seconds.value, UTC)

    def set(self, instant):
        """Jump."""
        self._seconds.value = instant.timestamp()

    def advance(self, seconds):
        """Move on."""
        self._seconds.value += seconds


def evergreen_history(starts_at, weeks, new_weeks):
    """Return a history whose plans are all made in its first weeks: later releases are those plans' again."""
    history = build_history(11, ends_at=starts_at + timedelta(weeks=weeks), weeks=weeks, plans_per_week=PLANS_PER_WEEK)
    return replace(
        history,
        timelines={
            project_id: _released_again(timelines, starts_at, timedelta(weeks=new_weeks))
            for project_id, timelines in history.timelines.items()
        },
    )


def _released_again(timelines, starts_at, round_length):
    """Give each plan of a later round the id of one of the first; a plan is what its newest release says."""
    rounds = {}
    for timeline in timelines:
        begins_at = datetime.fromtimestamp(timeline.states[0].valid_from_ms / 1000, UTC)
        rounds.setdefault(max(0, (begins_at - starts_at) // round_length), []).append(timeline)
    first = rounds.pop(0)
    states = [list(timeline.states) for timeline in first]
    for _, later in sorted(rounds.items()):
        for place, timeline in enumerate(later[: len(first)]):
            plan_id, begins_ms = first[place].plan_id, timeline.states[0].valid_from_ms
            states[place] = [state for state in states[place] if state.valid_from_ms < begins_ms]
            states[place] += [_renamed(state, plan_id) for state in timeline.states]
    return tuple(replace(timeline, states=tuple(own)) for timeline, own in zip(first, states, strict=True))


def _renamed(state, plan_id):
    if state.list_item is None:
        return state
    return state._replace(list_item=state.list_item | {"id": plan_id}, deploy_info=state.deploy_info | {"id": plan_id})


@contextmanager
def served(starts_at, weeks, new_weeks):
    """Serve until the block ends; give the base URL, the projects and the clock that says what is served."""
    spawn = multiprocessing.get_context("spawn")
    seconds = spawn.Value("d", starts_at.timestamp(), lock=False)
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(seconds, theirs, starts_at, weeks, new_weeks), daemon=True)
    process.start()
    base_url, project_ids = ours.recv()
    try:
        yield base_url, project_ids, SharedClock(seconds)
    finally:
        ours.close()
        process.join()


def _serve(seconds, pipe, starts_at, weeks, new_weeks):
    history = evergreen_history(starts_at, weeks, new_weeks)
    with running(Simulator(history, now=SharedClock(seconds).now)) as base_url:
        pipe.send((base_url, history.project_ids))
        try:
            pipe.recv()
        except EOFError:
            return
