"""/healthz and /metrics, served from a thread of their own on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from keeper.app import Progress
from keeper.edges.telemetry import Metrics

HOST = "127.0.0.1"
STALE_SECONDS = 30.0  # without a good turn: not healthy
START_SECONDS = 10.0


class WebError(Exception):
    """The page cannot be served; the text says what to do."""


class Server:
    """Serves until stopped."""

    def __init__(self, port: int, progress: Callable[[], Progress], metrics: Metrics) -> None:
        self._progress, self._metrics = progress, metrics
        routes = [Route("/", self._index), Route("/healthz", self._health),
                  Route("/metrics", self._figures)]  # fmt: skip
        config = uvicorn.Config(
            Starlette(routes=routes), host=HOST, port=port, log_level="critical", access_log=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)
        self._asked = port

    def start(self) -> int:
        """The port that it listens on. Raises WebError when it cannot."""
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise WebError(
                    f"http.port = {self._asked}: cannot listen there: stop the program that has "
                    "it, choose another port, or set http.enabled = false"
                )
            time.sleep(0.01)
        (socket, *_) = self._server.servers[0].sockets
        return int(socket.getsockname()[1])

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(START_SECONDS)

    def _serve(self) -> None:
        try:
            self._server.run()
        except SystemExit:  # how uvicorn says that the port is taken
            return

    async def _index(self, _: Request) -> Response:
        return PlainTextResponse("keeper: /healthz /metrics\n")

    async def _health(self, _: Request) -> Response:
        progress = self._progress()
        age = time.time() - progress.seen_at
        healthy = age <= STALE_SECONDS
        content = {"status": "ok" if healthy else "stale", "age_seconds": round(age, 3)}
        return JSONResponse(content | asdict(progress), status_code=200 if healthy else 503)

    async def _figures(self, _: Request) -> Response:
        return Response(generate_latest(self._metrics.registry), media_type=CONTENT_TYPE_LATEST)
