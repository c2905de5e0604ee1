"""What the server counts, for Prometheus. The registry is passed in; nothing is global."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 5)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters and histograms of one worker process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.sessions = Gauge("tessera_sessions", "Sessions that have logged in", registry=registry)
        self.unauthenticated = Gauge(
            "tessera_unauthenticated_connections", "Connections before their login", registry=registry
        )
        self.notices = Counter("tessera_notices", "Notices sent to terminals unasked", registry=registry)
        self._closed = Counter(
            "tessera_connections_closed", "Connections closed", ["reason"], registry=registry
        )
        self._replies = Counter(
            "tessera_replies",
            "Replies by message and code",
            ["message", "code", "recorded"],
            registry=registry,
        )
        self._latency = Histogram(
            "tessera_request_seconds",
            "From message to reply",
            ["message"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch_size = Histogram(
            "tessera_batch_size", "Postings in one database transaction", buckets=_SIZES, registry=registry
        )
        self._batch_seconds = Histogram(
            "tessera_batch_seconds", "Time of one database transaction", buckets=_SECONDS, registry=registry
        )

    def closed(self, reason: str) -> None:
        self._closed.labels(reason).inc()

    def reply(self, message: str, code: int, recorded: bool, seconds: float) -> None:
        self._replies.labels(message, str(code), str(recorded).lower()).inc()
        self._latency.labels(message).observe(seconds)

    def batch(self, size: int, seconds: float) -> None:
        self._batch_size.observe(size)
        self._batch_seconds.observe(seconds)
