"""Serves prepared bodies of settled plans on loopback, faster than any client asks: `service.py PLANS COMPONENTS`.

It prints its base URL. `--latency-ms` delays each answer. After GET /change/N the first N plans show one
redeployment of each component more. It knows one project, and lets everyone in.
"""

import argparse
import asyncio
import json
import time

DAY_MS = 86_400_000
# Settled: no window of rechecks reaches back so far. Whole days, so that two services of a day send the same.
LONG_AGO_MS = (int(time.time() * 1000) // DAY_MS - 90) * DAY_MS
FILLER = "Deployment finished; all instances are ready and the health checks of the last minute passed. "
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


def listed(number, redeployments):
    """Return an item of the list."""
    start = LONG_AGO_MS + number * 1000
    times = {"create_time": start, "execute_time": start + 60_000, "modify_time": start + 120_000 + redeployments}
    return {
        "id": plan_id(number),
        "name": f"release {number}",
        "action": "upgrade",
        "creator": "ana",
        "status": "SUCCESS",
    } | times


def plan_id(number):
    """Return an id as long as the vendor's."""
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def body(number, components, redeployments):
    """Return a plan's deployment information."""
    start = LONG_AGO_MS + number * 1000 + redeployments * DAY_MS
    return {
        "id": plan_id(number),
        "components": [
            {
                "id": f"component-{index}",
                "name": f"service-{index}",
                "seq": 1 + index * 3 // components,
                "version": f"1.{number}.{redeployments}",
                "status": "SUCCESS",
                "job_id": f"job-{number}-{index}-{redeployments}",
                "job_status": "SUCCEEDED",
                "start_time": start + index * 1000,
                "end_time": start + index * 1000 + 90_000,
                "fail_message": None,
                "description": FILLER,
            }
            for index in range(components)
        ],
    }


class Bodies:
    """Every answer as it is sent, made beforehand."""

    def __init__(self, plans, components):
        self.plans, self.components, self.changed = plans, components, 0
        self.answers = {plan_id(number): packed(body(number, components, 0)) for number in range(plans)}
        self.change(0)

    def change(self, count):
        """Redeploy the first plans."""
        self.changed = count
        for number in range(count):
            self.answers[plan_id(number)] = packed(body(number, self.components, 1))
        items = [listed(number, int(number < count)) for number in range(self.plans)]
        self.list = packed({"count": self.plans, "release_plans": items})

    def answer(self, path):
        """Return the answer to a path."""
        parts = path.partition("?")[0].split("/")
        if parts[-1] == "deploy-info":
            return self.answers[parts[-2]]
        if parts[1] == "change":
            self.change(int(parts[2]))
            return packed({})
        return self.list


def packed(payload):
    content = json.dumps(payload, separators=(",", ":")).encode()
    return HEAD.format(len(content)).encode() + content


class Conversation(asyncio.Protocol):
    """One connection; requests have no body."""

    def __init__(self, bodies, latency_seconds):
        self.bodies, self.latency_seconds, self.received = bodies, latency_seconds, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            path = self.received[: self.received.index(b"\r\n")].split(b" ")[1].decode()
            self.received = self.received[end + 4 :]
            answer = self.bodies.answer(path)
            if self.latency_seconds:
                asyncio.get_running_loop().call_later(self.latency_seconds, self.transport.write, answer)
            else:
                self.transport.write(answer)


async def main():
    """Serve until killed."""
    options = argparse.ArgumentParser()
    options.add_argument("plans", type=int)
    options.add_argument("components", type=int)
    options.add_argument("--latency-ms", type=float, default=0)
    asked = options.parse_args()
    bodies = Bodies(asked.plans, asked.components)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(bodies, asked.latency_ms / 1000), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
