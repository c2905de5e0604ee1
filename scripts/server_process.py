"""The transaction server as a process of its own, for the bench and for chaos."""

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["server_environment", "start_server"]

ROOT = Path(__file__).resolve().parent.parent


def server_environment(
    url: str, secrets: Path, *, port: int, health_port: int, workers: int = 1
) -> dict[str, str]:
    """This process's environment, with the settings of a server."""
    return {
        **os.environ,
        "DATABASE_URL": url,
        "TESSERA_SECRETS": str(secrets),
        "TESSERA_PORT": str(port),
        "TESSERA_HEALTH_PORT": str(health_port),
        "TESSERA_WORKERS": str(workers),
    }


def start_server(environment: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """Start it; what it says is added to `log`."""
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "txserver", "serve"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
