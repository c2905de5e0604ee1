"""The limits of files and functions."""

from pathlib import Path

import pytest

from scripts.check_sizes import FILE_LINES, FUNCTION_LINES, ROOT, faults, python_files


def create_function(lines: int) -> str:
    return "def long():\n" + "    x = 1\n" * (lines - 1)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("x = 1\n" * (FILE_LINES - 1), 0),
        ("x = 1\n" * FILE_LINES, 1),
        (create_function(FUNCTION_LINES - 1), 0),
        (create_function(FUNCTION_LINES), 1),
        ("class A:\n    async " + create_function(FUNCTION_LINES).replace("\n    ", "\n        "), 1),
    ],
)
def test_only_what_is_too_long_is_a_fault(source: str, count: int) -> None:
    assert len(list(faults(Path("some.py"), source))) == count


def test_commands_without_a_suffix_are_looked_at_too() -> None:
    names = {str(path.relative_to(ROOT)) for path in python_files(ROOT)}
    assert {"scripts/run", "scripts/setup.py", "ledger/embedded.py", "tests/conftest.py"} <= names
