"""Whether a new PIN may be one. Pure: the books never see it, so it is looked at where it arrives."""

from itertools import pairwise

__all__ = ["is_fit"]

DIGITS = 6


def is_fit(pin: str) -> bool:
    """Six ASCII digits, not all alike, and no run such as 123456 or 987654."""
    if len(pin) != DIGITS or not pin.isascii() or not pin.isdigit():
        return False
    steps = {int(after) - int(before) for before, after in pairwise(pin)}
    return steps not in ({0}, {1}, {-1})
