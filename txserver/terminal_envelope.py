"""What every request carries besides its content: a txid, a trace number, a batch, the terminal's time."""

from collections.abc import Callable
from typing import TypedDict

__all__ = ["Envelope", "Numbering", "make_txid", "uniform"]

STAN_COUNT = 1_000_000
"""Trace numbers have six digits and begin again: they help people to find a line, they identify nothing."""


class Envelope(TypedDict):
    """Fields of `protocol.messages.Request`. `at` is milliseconds since 1970 UTC."""

    id: bytes
    stan: int
    batch: int
    at: int


def make_txid(now_ms: int, entropy: bytes) -> bytes:
    """A UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, the version, 74 random bits of 10 random bytes."""
    number = (now_ms & (1 << 48) - 1) << 80 | int.from_bytes(entropy[:10], "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return number.to_bytes(16, "big")


def uniform(random: Callable[[int], bytes]) -> float:
    """A fraction in [0, 1) from 4 random bytes."""
    return int.from_bytes(random(4), "big") / 2**32


class Numbering:
    """Makes envelopes. `random(n)` gives n random bytes, `now_ms` the time of day in milliseconds.

    `batch`: the open one, which new requests belong to.
    """

    def __init__(
        self, *, random: Callable[[int], bytes], now_ms: Callable[[], int], last_stan: int = 0, batch: int = 1
    ) -> None:
        self._random = random
        self._now_ms = now_ms
        self.batch = batch
        self.last_stan = last_stan

    def envelope(self, txid: bytes | None = None, *, batch: int | None = None) -> Envelope:
        """The next request's, under a new txid and in the open batch unless others are given."""
        self.last_stan = (self.last_stan + 1) % STAN_COUNT
        now = self._now_ms()
        return Envelope(
            id=make_txid(now, self._random(10)) if txid is None else txid,
            stan=self.last_stan,
            batch=self.batch if batch is None else batch,
            at=now,
        )
