"""A deterministic ServiceStage: a history of releases, faults on demand, and the truth to compare with.

history = build_history(7, ends_at=monday)                    # same seed, same history; shifts by whole weeks
clock = ManualClock(history.starts_at)
simulator = Simulator(history, now=clock.now)                 # moves as the clock does
simulator.handle(Request("GET", f"/v3/{history.project_ids[0]}/cas/release-plans"))     # without a socket
with running(simulator) as base_url: ...                      # over loopback, from a thread; or
async with serve(simulator) as base_url: ...                  # in this event loop
Faults([Fault("status", match="deploy-info", every=3, status=429)], token_dies_after=50)    # for `faults=`
Credentials(user="u", password="p", domain="d")               # for `credentials=`; IAM is at the same URL
history.truth().attempts                                      # all that ever took place, seen or not
"""

from archiver.simulator.access import Credentials
from archiver.simulator.exchange import Request, Response, WireFault
from archiver.simulator.faults import Fault, Faults
from archiver.simulator.history import History, Truth, build_history
from archiver.simulator.loopback import running, serve, serve_forever
from archiver.simulator.server import PLANTED_SECRET, Simulator
from archiver.simulator.states import Attempt, Rollback

__all__ = [
    "PLANTED_SECRET",
    "Attempt",
    "Credentials",
    "Fault",
    "Faults",
    "History",
    "Request",
    "Response",
    "Rollback",
    "Simulator",
    "Truth",
    "WireFault",
    "build_history",
    "running",
    "serve",
    "serve_forever",
]
