"""What the server counts, for Prometheus. The registry is passed in; nothing is global."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

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
        self.batches = _Batches("tessera_batch", "Postings", registry)
        self.logins = _Batches("tessera_login_batch", "Logins", registry)
        replies = _Replies()
        registry.register(replies)
        self.reply = replies.count

    def closed(self, reason: str) -> None:
        self._closed.labels(reason).inc()


class _Batches:
    """Database transactions of one kind: how large, how long, and how often each waited for the database."""

    def __init__(self, name: str, what: str, registry: CollectorRegistry) -> None:
        self._size = Histogram(
            f"{name}_size", f"{what} in one database transaction", buckets=_SIZES, registry=registry
        )
        self._seconds = Histogram(
            f"{name}_seconds", "Time of one database transaction", buckets=_SECONDS, registry=registry
        )
        self._round_trips = Counter(
            f"{name}_round_trips", "Times that the database was waited for", registry=registry
        )

    def batch(self, size: int, seconds: float, round_trips: int) -> None:
        self._size.observe(size)
        self._seconds.observe(seconds)
        self._round_trips.inc(round_trips)


class _Latencies:
    """How many took how long."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(_SECONDS) + 1)
        self.seconds = 0.0

    def buckets(self) -> Sequence[tuple[str, float]]:
        """Prometheus' form: the upper bound, and how many were no longer than it."""
        so_far, made = 0, []
        for bound, count in zip((*map(float, _SECONDS), float("inf")), self.counts, strict=True):
            so_far += count
            made.append(("+Inf" if bound == float("inf") else str(bound), so_far))
        return made


class _Replies(Collector):
    """Replies and their latencies. Counted in plain numbers, for this happens at every reply: the library's
    own counters cost five microseconds of a debit, and are asked for once in fifteen seconds."""

    def __init__(self) -> None:
        self._replies: dict[tuple[str, int, bool], int] = {}
        self._latencies: dict[str, _Latencies] = {}

    def count(self, message: str, code: int, recorded: bool, seconds: float) -> None:
        key = (message, code, recorded)
        self._replies[key] = self._replies.get(key, 0) + 1
        latencies = self._latencies.get(message)
        if latencies is None:
            latencies = self._latencies[message] = _Latencies()
        latencies.counts[bisect_left(_SECONDS, seconds)] += 1
        latencies.seconds += seconds

    def collect(self) -> Iterable[Metric]:
        replies = CounterMetricFamily(
            "tessera_replies", "Replies by message and code", labels=["message", "code", "recorded"]
        )
        for (message, code, recorded), count in list(self._replies.items()):
            replies.add_metric([message, str(code), str(recorded).lower()], count)
        yield replies
        seconds = HistogramMetricFamily(
            "tessera_request_seconds", "From message to reply", labels=["message"]
        )
        for message, latencies in list(self._latencies.items()):
            seconds.add_metric([message], latencies.buckets(), latencies.seconds)
        yield seconds
