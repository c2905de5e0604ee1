"""Files stay under 400 lines and functions under 60: a reader keeps the whole of one in mind."""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["faults", "main", "python_files"]

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("protocol", "ledger", "txserver", "admin", "scripts", "tests")
FILE_LINES = 400
FUNCTION_LINES = 60


def python_files(root: Path) -> Iterator[Path]:
    """Every Python file of ours, the commands without a suffix included."""
    for room in ROOMS:
        for path in sorted((root / room).rglob("*")):
            if path.suffix == ".py" or (room == "scripts" and path.is_file() and not path.suffix):
                yield path


def faults(path: Path, source: str) -> Iterator[str]:
    """A sentence for each thing in `source` that is too long."""
    lines = len(source.splitlines())
    if lines >= FILE_LINES:
        yield f"{path}: {lines} lines; a file stays under {FILE_LINES}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length >= FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines; it stays under {FUNCTION_LINES}"


def main(paths: Iterable[Path] | None = None) -> int:
    found = [
        fault
        for path in (python_files(ROOT) if paths is None else paths)
        for fault in faults(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path, path.read_text())
    ]
    print("\n".join(found) if found else "every file and function is short enough")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
