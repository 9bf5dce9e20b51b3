"""The simulated ServiceStage: a request in, a response out, as the history stands at that instant."""

import hashlib
import zlib
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from archiver.simulator.access import Credentials, Gate
from archiver.simulator.exchange import JSON, Request, Response, encoded, gateway_error, service_error
from archiver.simulator.faults import Faults, own_answer, spoil
from archiver.simulator.history import History, Timeline

PLANTED_SECRET = "never-archive-me-5ca1ab1e"  # noqa: S105 - it stands in plan detail, for tests to look for
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Simulator:
    """Serve a history, at the instant that `now` tells. `seen` counts the requests by endpoint."""

    def __init__(
        self,
        history: History,
        *,
        now: Callable[[], datetime],
        faults: Faults | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        """Set it up; without credentials it lets everyone in."""
        self.now = now
        self.faults = faults or Faults()
        self.gate = Gate(credentials or Credentials(), history.project_ids, self.faults.token_dies_after)
        self.seen: Counter[str] = Counter()
        self._projects = {project_id: _ProjectBodies(timelines) for project_id, timelines in history.timelines.items()}
        self._count = 0

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        self._count += 1
        now = self.now()
        request_id = hashlib.sha256(b"request %d" % self._count).hexdigest()[:32]
        segments = [unquote(segment) for segment in request.path.split("/")][1:]
        endpoint = _endpoint(request.method, segments)
        self.seen[endpoint] += 1
        fault = self.faults.strike(request, now)
        if fault is None:
            return self._answer(endpoint, segments, request, now, request_id)
        if fault.is_answer:
            return own_answer(fault, request_id)
        return spoil(fault, self._answer(endpoint, segments, request, now, request_id))

    def _answer(self, endpoint: str, segments: list[str], request: Request, now: datetime, request_id: str) -> Response:
        if endpoint == "token":
            return self.gate.issue(request, now, request_id)
        if (refusal := self.gate.refusal(request, now)) is not None:
            return gateway_error(401, *refusal, request_id)
        if endpoint == "unknown":
            return gateway_error(404, "APIGW.0101", "The API does not exist or has not been published", request_id)
        project = self._projects.get(segments[1])
        if project is None:
            message = "The project id of the URI is not one that the credentials are scoped to"
            return gateway_error(403, "APIGW.0302", message, request_id)
        now_ms = (now - _EPOCH) // timedelta(milliseconds=1)
        if endpoint == "list":
            body: bytes | None = project.list_body(now_ms)
        elif endpoint == "deploy_info":
            body = project.deploy_info_body(segments[4], now_ms)
        else:
            body = project.detail_body(segments[4], now_ms)
        if body is None:
            message = f"The release plan {segments[4]} does not exist."
            return service_error(404, "SVCSTG.00100404", message, request_id)
        return Response(200, {"Content-Type": JSON, "X-Request-Id": request_id}, body)


class _ProjectBodies:
    """The bodies of one project, each written once per state."""

    def __init__(self, timelines: tuple[Timeline, ...]) -> None:
        # No order of the list is documented, so it has none that could be relied on.
        self._timelines = sorted(timelines, key=lambda timeline: zlib.crc32(timeline.plan_id.encode()))
        self._by_id = {timeline.plan_id: timeline for timeline in timelines}
        self._deploy_infos: dict[tuple[str, int], bytes] = {}
        self._items: dict[int, bytes] = {}
        self._list: tuple[tuple[int, ...], bytes] | None = None

    def list_body(self, now_ms: int) -> bytes:
        """Write the list; only what changed since the last one is written anew."""
        items = []
        for timeline in self._timelines:
            index = timeline.index_at(now_ms)
            item = timeline.states[index].list_item if index >= 0 else None
            if item is not None:
                items.append(item)
        shown = tuple(map(id, items))
        if self._list is None or self._list[0] != shown:
            parts = []
            for item in items:
                if id(item) not in self._items:
                    self._items[id(item)] = encoded(item)
                parts.append(self._items[id(item)])
            self._list = shown, b'{"count":%d,"release_plans":[%b]}' % (len(parts), b",".join(parts))
        return self._list[1]

    def deploy_info_body(self, plan_id: str, now_ms: int) -> bytes | None:
        """Write a plan's deployment information; None if there is no such plan now."""
        timeline = self._by_id.get(plan_id)
        if timeline is None:
            return None
        index = timeline.index_at(now_ms)
        body = self._deploy_infos.get((plan_id, index))
        if body is None:
            content = timeline.states[index].deploy_info if index >= 0 else None
            if content is None:
                return None
            body = self._deploy_infos[plan_id, index] = encoded(content)
        return body

    def detail_body(self, plan_id: str, now_ms: int) -> bytes | None:
        """Write a plan with its configuration, secrets and all."""
        timeline = self._by_id.get(plan_id)
        index = -1 if timeline is None else timeline.index_at(now_ms)
        if timeline is None or index < 0:
            return None
        _, item, deploy_info = timeline.states[index]
        if item is None or deploy_info is None:
            return None
        configuration = {"env": [{"name": "DB_PASSWORD", "value": PLANTED_SECRET}], "replica": 3}
        components = [
            {
                "seq": part["seq"],
                "component_id": part.get("id"),
                "name": part["name"],
                "config": configuration,
            }
            for part in deploy_info["components"]
        ]
        more = {
            "swimlane_id": None,
            "desc": "",
            "fail_strategy": timeline.fail_strategy,
            "components": components,
        }
        return encoded(item | more)


def _endpoint(method: str, segments: list[str]) -> str:
    if method == "POST" and segments == ["v3", "auth", "tokens"]:
        return "token"
    if method == "GET" and segments[:1] == ["v3"] and segments[2:4] == ["cas", "release-plans"]:
        if len(segments) == 4:
            return "list"
        if len(segments) == 5 and segments[4]:
            return "detail"
        if len(segments) == 6 and segments[5] == "deploy-info":
            return "deploy_info"
    return "unknown"
