"""Metrics and a health check on a local HTTP port, on a thread of their own."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from threading import Lock, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import trio
from prometheus_client import CollectorRegistry, make_wsgi_app

from ledger.database import Database, DatabaseUnfit
from txserver.listener import PortTaken

__all__ = ["serve_health"]


REQUEST_SECONDS = 5  # for a request to arrive: whoever connects and says nothing is closed


class _Silent(WSGIRequestHandler):
    """Health checks come every few seconds; the log is for what matters."""

    timeout = REQUEST_SECONDS

    def log_message(self, *args: object) -> None:
        pass


class _Server(ThreadingMixIn, WSGIServer):
    """A thread per request: neither a slow caller nor the end of the server waits for another's."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that went away, or took too long: its own affair."""


@contextmanager
def serve_health(
    host: str, port: int, *, registry: CollectorRegistry, database: Database, token: trio.lowlevel.TrioToken
) -> Iterator[int]:
    """Answer /health and /metrics until the block ends; gives the port. Raises PortTaken.

    /health is 200 with {"status": "ok"} when the loop turns and the database answers as it should, else 503.
    """
    metrics = make_wsgi_app(registry)
    checking = Lock()  # one check at a time takes one connection of the pool

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            page: Iterable[bytes] = metrics(environ, start)
            return page
        if environ["PATH_INFO"] != "/health":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"Ask for /health or /metrics.\n"]
        with checking:
            problem = _problem(database, token)
        start("503 Service Unavailable" if problem else "200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"status": problem or "ok"}).encode() + b"\n"]

    try:
        server = make_server(host, port, application, _Server, _Silent)
    except (OSError, OverflowError, UnicodeError) as error:
        raise PortTaken(
            f"Cannot listen on {host} port {port} for health checks: "
            f"{getattr(error, 'strerror', None) or error}. Stop the program that uses it, "
            "or set TESSERA_HEALTH_PORT."
        ) from error
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def _problem(database: Database, token: trio.lowlevel.TrioToken) -> str | None:
    async def turn() -> None:
        await trio.lowlevel.checkpoint()

    try:
        trio.from_thread.run(turn, trio_token=token)
        database.check()
    except (trio.RunFinishedError, trio.Cancelled):
        return "stopping"
    except DatabaseUnfit as error:
        return str(error)
    return None
