"""A real HTTP server in front of a node, that misbehaves as told."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Ask = Callable[[], bytes]
# given the request's methods and a way to ask the node, the body to answer with; None hangs up
Fault = Callable[[list[str], Ask], bytes | None]


def honest(_: list[str], ask: Ask) -> bytes | None:
    return ask()


class Proxy(ThreadingHTTPServer):
    """Forwards to `target`; `fault` decides what comes back."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.fault: Fault = honest
        self.requests: list[str] = []  # methods
        self.bodies: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def once(self, method: str, fault: Fault) -> None:
        """Misbehave at the next request of this method, then be honest."""

        def armed(methods: list[str], ask: Ask) -> bytes | None:
            if method not in methods:
                return ask()
            self.fault = honest
            return fault(methods, ask)

        self.fault = armed


def swallow_answer(_: list[str], ask: Ask) -> bytes | None:
    """The node takes it, the caller never hears of it."""
    ask()
    return None


def refuse(_: list[str], __: Ask) -> bytes | None:
    """The node never hears of it."""
    return None


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        asked: Any = json.loads(body)
        methods = [one["method"] for one in (asked if isinstance(asked, list) else [asked])]
        self.server.requests += methods
        self.server.bodies.append(asked)

        def ask() -> bytes:
            request = urllib.request.Request(
                self.server.target, data=body, headers={"content-type": "application/json"}
            )
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request) as answer:
                content: bytes = answer.read()
            return content

        answer = self.server.fault(methods, ask)
        if answer is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def before(target: str) -> Iterator[Proxy]:
    """Serve until the block is left."""
    proxy = Proxy(target)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
