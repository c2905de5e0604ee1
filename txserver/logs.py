"""Structured logs: one JSON object a line, on standard error. Called by the program's edge, once."""

import sys
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

__all__ = ["make_log"]

# What must never be in a line, whoever passes it.
_SECRET = frozenset({"pin", "pin_proof", "credential", "chip", "secret", "key", "password", "token"})


def _without_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for name in _SECRET.intersection(event):
        event[name] = "…"
    return event


def make_log(stream: TextIO = sys.stderr, **fields: Any) -> FilteringBoundLogger:
    """A logger that writes JSON lines to `stream`, each with `fields`."""
    log: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),  # a line and its end in one write: workers share the stream
        processors=[
            _without_secrets,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Tracebacks without local variables: those hold messages, and messages hold PINs.
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        cache_logger_on_first_use=True,
    )
    bound: FilteringBoundLogger = log.bind(**fields)
    return bound
