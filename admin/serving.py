"""Granian around the application: one worker process with threads, which ends with its parent."""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

from admin import create_app
from admin.settings import Settings, SettingsError
from ledger.database import Database

__all__ = ["THREADS", "listening", "serve"]

THREADS = 8  # requests at once; each may hold one connection of the database and one Argon2id (32 MiB)
STOP_S = 10  # what a request may still take after Ctrl-C
LISTENING_S = 0.02  # between two looks whether the site listens already
PR_SET_PDEATHSIG = 1

# Granian speaks on stdout, which is for what people and scripts want to read: the address.
_HANDLER = {"formatter": "generic", "class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
STDERR = {"console": _HANDLER, "access": _HANDLER | {"formatter": "access"}}


def listening(settings: Settings) -> Settings:
    """The settings with a port that is free now: port 0 is replaced. SettingsError when it cannot be had.

    Granian itself would share a port that another program listens on (SO_REUSEPORT).
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
            probe.listen()
        except OSError as error:
            raise SettingsError(
                f"The site cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
                "Stop the other program, or set TESSERA_SITE_PORT or TESSERA_SITE_HOST."
            ) from error
        return replace(settings, port=probe.getsockname()[1])


def serve(settings: Settings) -> int:
    """Serve until Ctrl-C or SIGTERM; returns the exit code. The address is printed when it answers."""
    server = Granian(
        "admin",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        blocking_threads=THREADS,
        workers_kill_timeout=STOP_S,
        log_level=LogLevels.error,
        log_dictconfig={"handlers": STDERR},
    )
    try:
        server.serve(target_loader=Loader(settings, os.getpid()), wrap_loader=False)
    except SystemExit as ended:  # Granian's word for: the worker ended by itself
        return ended.code if isinstance(ended.code, int) else 1
    return 0


class Loader:
    """Makes the application inside the worker process. Travels there, so it holds plain values only."""

    def __init__(self, settings: Settings, parent: int) -> None:
        self.settings = settings
        self.parent = parent

    def __call__(self) -> Any:
        _die_with(self.parent)
        database = Database(self.settings.database_url, pool_size=THREADS)
        app = create_app(self.settings, database)
        # Granian listens only after this returns, and tells nobody when it does.
        threading.Thread(target=_announce, args=(self.settings,), daemon=True).start()
        return app.wsgi_app


def _announce(settings: Settings) -> None:
    """Print the site's address as soon as a connection to it succeeds."""
    while True:
        try:
            socket.create_connection((settings.host, settings.port), timeout=1).close()
            break
        except OSError:
            time.sleep(LISTENING_S)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    print(f"Site: {settings.url or f'http://{host}:{settings.port}'}", flush=True)


def _die_with(parent: int) -> None:
    """Where the system offers it, get SIGTERM when the parent dies, however it dies."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signal.SIGTERM)
