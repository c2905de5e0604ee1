"""Staff for tests."""

from sqlalchemy import Connection

from ledger import rights, staff

__all__ = ["PASSWORD", "create_person"]

PASSWORD = "a long walk in the rain"


def create_person(
    connection: Connection,
    organisation: int,
    *,
    login: str,
    name: str = "Lin Wei",
    password: str = PASSWORD,
    ready_made: str = "administrator",
    reach: str = "tenant",
) -> int:
    """Somebody who may log in for an organisation, and holds a ready-made role there."""
    made = staff.create_staff(
        connection, organisation_id=organisation, login=login, name=name, password=password, ready_made=None
    )
    rights.assign(connection, made, reach=reach, ready_made=ready_made)
    return made
