"""What every conversation of a process shares."""

from collections.abc import Callable
from dataclasses import dataclass

import trio
from structlog.typing import FilteringBoundLogger

from protocol.noise import KeyPair
from txserver.context import Context
from txserver.ear import Ear
from txserver.metrics import Metrics
from txserver.notices import Notices
from txserver.registry import Registry

__all__ = ["House"]


@dataclass(frozen=True, slots=True)
class House:
    """`keys` are the server's by id; they change in place when they are rotated.

    `worker` names this process, for as long as it lives.
    """

    context: Context
    ear: Ear
    turnstile: trio.CapacityLimiter
    registry: Registry
    notices: Notices
    metrics: Metrics
    log: FilteringBoundLogger
    keys: dict[int, KeyPair]
    worker: str
    random_bytes: Callable[[int], bytes]
    handshake_s: float
    idle_s: int
    write_s: float
