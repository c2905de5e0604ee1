"""The small program between fork and a child's own."""

import os
import subprocess
import sys
from pathlib import Path

from ledger.child import CANNOT_START, command


def run(plan: dict[str, object], *program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(plan, program), capture_output=True, text=True, check=False)


def test_the_program_runs_in_its_folder_with_its_arguments_and_status(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), sys.argv[1]); sys.exit(7)"
    done = run({"folder": str(tmp_path), "parent": os.getpid()}, sys.executable, "-c", code, "one argument")
    assert done.returncode == 7
    assert done.stdout == f"{tmp_path} one argument\n"


def test_nothing_is_started_for_a_parent_that_has_ended() -> None:
    done = run({"parent": 1}, sys.executable, "-c", "print('started')")
    assert (done.returncode, done.stdout) == (CANNOT_START, "")
    assert "the parent has ended" in done.stderr


def test_a_program_that_is_not_there_is_named_in_one_line(tmp_path: Path) -> None:
    done = run({}, str(tmp_path / "missing"))
    assert done.returncode == CANNOT_START
    assert done.stderr.startswith("cannot start missing: ")
    assert done.stderr.count("\n") == 1
