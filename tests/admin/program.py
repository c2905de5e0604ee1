"""The site as its own program, as `python -m admin serve` starts it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["DEADLINE_S", "ROOT", "Environment", "serving"]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 30

Environment = dict[str, str]


@contextmanager
def serving(environment: Environment) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The program with the address that it announced."""
    with subprocess.Popen(
        [sys.executable, "-m", "admin", "serve"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            assert program.stdout is not None
            line = program.stdout.readline()
            assert line.startswith("Site: http://")
            yield program, line.removeprefix("Site: ").strip()
        finally:
            if program.poll() is None:
                program.terminate()
