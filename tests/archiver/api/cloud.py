"""IAM and ServiceStage behind one port, for the tests of tokens."""

import asyncio
from collections import Counter

from loopback_server import said

PASSWORD = 'pa"ss wörd\\secret'


class Cloud:
    """IAM and ServiceStage behind one port. A token dies after `uses` requests; the dead get 401."""

    def __init__(self, *, uses=10**9, expires_at=None, delay_seconds=0.0):
        self.uses = uses
        self.expires_at = expires_at
        self.delay_seconds = delay_seconds
        self.issued = 0
        self.left = {}
        self.refused = Counter()

    async def answer(self, seen):
        if seen.method == "POST":
            return self.issue()
        await asyncio.sleep(self.delay_seconds)
        token = seen.headers.get("x-auth-token")
        if self.left.get(token, 0) <= 0:
            self.refused[token] += 1
            return said(401, {"error_code": "APIGW.0307", "error_msg": "The token must be updated."})
        self.left[token] -= 1
        return said(200, {"components": []})

    def issue(self, text=None):
        self.issued += 1
        token = text or f"T{self.issued}"
        self.left[token] = self.uses
        body = {"token": {"expires_at": self.expires_at}} if self.expires_at else {}
        return said(201, body, [("X-Subject-Token", token)])
