"""Metrics: everything that is counted is on the page, and two servers in one process do not mix."""

from prometheus_client import CollectorRegistry, generate_latest

from tests.conftest import TestDatabase
from tests.txserver.server_house import open_house, redeem
from txserver.metrics import Metrics


def test_what_happens_is_counted() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.closed("logout")
    metrics.reply("Redeem", 1016, True, 0.004)
    metrics.batches.batch(3, 0.002, 2)
    metrics.sessions.inc()
    metrics.unauthenticated.inc()
    page = generate_latest(metrics.registry).decode()
    for line in (
        'tessera_connections_closed_total{reason="logout"} 1.0',
        'tessera_replies_total{code="1016",message="Redeem",recorded="true"} 1.0',
        'tessera_request_seconds_bucket{le="0.005",message="Redeem"} 1.0',
        'tessera_request_seconds_bucket{le="0.002",message="Redeem"} 0.0',
        'tessera_batch_size_bucket{le="4.0"} 1.0',
        'tessera_batch_size_bucket{le="2.0"} 0.0',
        "tessera_batch_seconds_count 1.0",
        "tessera_batch_round_trips_total 2.0",
        "tessera_sessions 1.0",
        "tessera_unauthenticated_connections 1.0",
    ):
        assert line in page.splitlines()


def test_two_servers_count_apart() -> None:
    one, other = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    one.closed("logout")
    assert other.registry.get_sample_value("tessera_connections_closed_total", {"reason": "logout"}) is None


async def test_the_page_says_what_happened(database_urls: TestDatabase) -> None:
    async with open_house(database_urls) as house:
        terminal = await house.terminal()
        stranger = await house.connect()
        message = redeem(house.books.holder())
        for _ in range(2):
            await terminal.ask(message)
        while await house.metric("tessera_unauthenticated_connections") != 1:
            pass
        for recorded in ("false", "true"):
            labels = f'{{code="0",message="Redeem",recorded="{recorded}"}}'
            assert await house.metric(f"tessera_replies_total{labels}") == 1
        assert await house.metric("tessera_batch_size_count") == 2
        assert await house.metric("tessera_sessions") == 1
        await terminal.stream.aclose()
        await stranger.aclose()
        await house.closed(2)
        assert await house.metric("tessera_sessions") == 0
        assert await house.metric("tessera_unauthenticated_connections") == 0
        assert await house.metric('tessera_connections_closed_total{reason="connection_lost"}') == 2
