"""Who is connected: noted in turns by server processes, read by the site."""

from datetime import timedelta

from ledger.database import Database, Scope
from ledger.presence import note_presence
from ledger.terminal_lists import find_terminal
from tests.conftest import TestDatabase
from tests.factories import NOW, create_active_terminal, create_house

LASTS = timedelta(seconds=40)


def test_a_terminal_is_connected_while_its_worker_says_so(module_database_urls: TestDatabase) -> None:
    site, server = Database(module_database_urls.site), Database(module_database_urls.server)
    with site.transaction(Scope.everything()) as connection:
        house = create_house(connection)
        other = create_active_terminal(connection, house.store)

    def connected(terminal: int, seconds: int, scope: Scope | None = None) -> bool | None:
        with site.transaction(scope or Scope.everything()) as connection:
            line = find_terminal(connection, terminal)
        return None if line is None else line.connected(NOW + timedelta(seconds=seconds))

    def note(worker: str, seconds: int, *terminals: int) -> None:
        now = NOW + timedelta(seconds=seconds)
        heard = {terminal: now - timedelta(seconds=3) for terminal in terminals}
        with server.transaction(Scope.everything()) as connection:
            note_presence(connection, worker, heard, now=now, lasts=LASTS)

    assert connected(house.terminal, 0) is False
    note("one", 0, other, house.terminal, 999_999)  # the last one does not exist, and does no harm
    assert [connected(house.terminal, seconds) for seconds in (0, 39, 40)] == [True, True, False]
    note("one", 20, other)  # it has left
    assert [connected(house.terminal, 21), connected(other, 59)] == [False, True]
    note("two", 25, house.terminal)
    note("one", 30)  # what another process noted since is none of its business
    assert [connected(house.terminal, 31), connected(other, 31)] == [True, False]
    with site.transaction(Scope.everything()) as connection:
        line = find_terminal(connection, house.terminal)
    assert line is not None
    assert line.heard_at == NOW + timedelta(seconds=22)
    assert connected(house.terminal, 31, Scope.tenant(house.enterprise)) is None
    site.close()
    server.close()
