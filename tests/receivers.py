"""Services on this machine's loopback that take a message, refuse it or keep it waiting: real sockets, no network."""

import asyncio
import json
import ssl
import threading
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.smtp import SMTP


class Hooks(ThreadingHTTPServer):
    """A web server: /ok takes, /busy answers 503, /moved points to /ok, /slow never answers."""

    daemon_threads = True

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), _Hook)
        self.taken = []
        self.paths = []
        self.gate, self.was_asked = threading.Event(), threading.Event()
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request, client_address):
        """Say nothing of clients that left."""


class _Hook(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.paths.append(self.path)
        self.send_response({"/busy": 503, "/moved": 307}.get(self.path.partition("?")[0], 200))
        self.send_header("Location", "/ok")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.paths.append(self.path)
        self.server.was_asked.set()
        if self.path.startswith("/slow"):
            self.server.gate.wait(30)
            return
        status = {"/busy": 503, "/moved": 307}.get(self.path.partition("?")[0], 200)
        if status == 200:
            self.server.taken.append(json.loads(body))
        self.send_response(status)
        self.send_header("Location", "/ok")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format, *args):  # noqa: A002 - the name is the base class's
        """Say nothing."""


@contextmanager
def web_server(tls=None):
    """Serve until the block ends; `tls` is (certificate file, key file)."""
    server = Hooks(tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def mail_server():
    """Take mails until the block ends; give the port and the list of (recipients, mail)."""
    mails = []

    class Keeper:
        async def handle_DATA(self, server, session, envelope):  # noqa: N802 - the name is SMTP's
            mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))
            return "250 kept"

    loop = asyncio.new_event_loop()
    listening = loop.create_server(lambda: SMTP(Keeper(), hostname="loopback", loop=loop), "127.0.0.1", 0)
    server = loop.run_until_complete(listening)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1], mails
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
