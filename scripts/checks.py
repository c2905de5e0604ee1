"""Runs every check, also after one has failed, and says at the end which failed."""

import subprocess
import sys
import time
from pathlib import Path

__all__ = ["CHECKS", "main"]

ROOT = Path(__file__).resolve().parent.parent

CHECKS: dict[str, tuple[str, ...]] = {
    "ruff check": ("-m", "ruff", "check", "."),
    "ruff format": ("-m", "ruff", "format", "--check", "."),
    "mypy": ("-m", "mypy"),
    "import-linter": ("-c", "from importlinter.cli import lint_imports_command as go; go()"),
    "sizes": ("-m", "scripts.check_sizes"),
    "protocol/README.md": ("scripts/generate_protocol_docs.py", "--check"),
    "translations": ("scripts/translations.py", "--check"),
}  # fmt: skip
"""Name -> arguments of python, run in the checkout's folder."""


def main() -> int:
    failed = []
    for name, arguments in CHECKS.items():
        began = time.monotonic()
        print(f"── {name}", flush=True)
        done = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False)
        print(
            f"   {'ok' if done.returncode == 0 else 'FAILED'}, {time.monotonic() - began:.1f} s", flush=True
        )
        if done.returncode != 0:
            failed.append(name)
    print(f"Failed: {', '.join(failed)}" if failed else f"All {len(CHECKS)} checks passed.", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
