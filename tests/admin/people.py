"""Staff for tests."""

from sqlalchemy import Connection

from ledger import staff

__all__ = ["PASSWORD", "create_person"]

PASSWORD = "a long walk in the rain"


def create_person(
    connection: Connection, organisation: int, *, login: str, name: str = "Lin Wei", password: str = PASSWORD
) -> int:
    """Somebody who may log in for an organisation."""
    return staff.create_staff(
        connection, organisation_id=organisation, login=login, name=name, password=password
    )
