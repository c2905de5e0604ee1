"""Where terminals stand, and which of them are connected."""

from datetime import timedelta

from sqlalchemy import Connection

from ledger import organisations
from ledger.database import Database, Scope
from ledger.presence import note_presence
from tests.admin.browsing import words
from tests.admin.conftest import Site
from tests.conftest import TestDatabase
from tests.factories import NOW


def store_of(site: Site) -> int:
    ((store,),) = site.ask("SELECT store_id FROM terminal WHERE id = :id", id=site.house.terminal)
    return int(store)


def test_a_terminal_moves_within_its_merchant(shared_site: Site) -> None:
    path, browser = f"/terminals/{shared_site.house.terminal}", shared_site.signed_in("merchant")
    assert f"{path}/move" not in browser.get(path).text  # there is nowhere to go
    alone = browser.get(f"{path}/move")
    assert alone.status_code == 409
    assert "no other open store" in alone.text

    def add(connection: Connection) -> int:
        return organisations.create_child(
            connection, parent=shared_site.house.merchant, kind="store", code="S2", name="Store 2"
        )

    store = shared_site.change(add)
    assert f"{path}/move" in browser.get(path).text
    form = browser.hidden(f"{path}/move")
    foreign = browser.post(f"{path}/move", form | {"store": str(shared_site.other.store)})
    assert foreign.status_code == 404
    assert browser.post(f"{path}/move", form | {"store": str(store)}).status_code == 303
    assert store_of(shared_site) == store
    assert browser.post(f"{path}/move", form | {"store": str(store)}).status_code == 409  # a second click
    again = browser.post(f"{path}/move", form | {"store": str(shared_site.house.store)})
    assert again.status_code == 409
    assert store_of(shared_site) == store
    trail = "SELECT before, after FROM trail_line WHERE what = 'terminal.move'"
    assert shared_site.ask(trail) == [(f'{{"store":{shared_site.house.store}}}', f'{{"store":{store}}}')]


def test_a_connected_terminal_is_seen_as_such_and_one_that_fell_silent_is_not(
    shared_site: Site, module_database_urls: TestDatabase
) -> None:
    server = Database(module_database_urls.server, pool_size=1)
    with server.transaction(Scope.everything()) as connection:
        heard = {shared_site.house.terminal: NOW - timedelta(seconds=5)}
        note_presence(connection, "worker", heard, now=NOW, lasts=timedelta(seconds=40))
    server.close()
    browser, path = shared_site.signed_in("merchant"), f"/terminals/{shared_site.house.terminal}"
    assert "Connection Connected Last message 22 Nov 2026 17:29:55" in words(browser.get(path).text)
    assert "Active Connected 17:29" in words(browser.get("/terminals").text)
    shared_site.clock.advance(timedelta(seconds=40))
    assert "Connection Not connected Last message 22 Nov 2026 17:29:55" in words(browser.get(path).text)
