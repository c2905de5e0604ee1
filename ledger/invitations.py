"""Links by which people come in: a new person with a first role, or a new password for one who is there.

The link's token is random and shown once; the database holds its hash. A link is good for a week, once,
and only as long as whoever made it still has the rights that it gives.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from ledger.administration import (
    Beyond,
    Giver,
    Target,
    deciding,
    may_manage,
    require,
    require_over,
    rights_over,
    role_permissions,
)
from ledger.rights import Rights, assign
from ledger.staff import create_staff, set_password, typed_login
from ledger.staff_sessions import end_all

__all__ = [
    "INVITATION_LASTS", "TOKEN_BYTES", "InvitationOver", "LoginTaken", "Opened", "OpenInvitation", "accept",
    "forget", "invite", "invite_password", "open_invitations", "opened", "withdraw",
]  # fmt: skip

INVITATION_LASTS = timedelta(days=7)  # a letter, or somebody's holiday
TOKEN_BYTES = 32

INSERT = text(
    """INSERT INTO invitation (tenant_id, organisation_id, staff_id, token_hash, login, name, ready_made,
                               role_id, unit_id, reach, invited_by, created_at, expires_at)
       VALUES (:tenant, :organisation, :staff, :hash, :login, :name, :ready_made, :role, :unit, :reach, :by,
               :now, :until) RETURNING id"""
)
FORGET = text("DELETE FROM invitation WHERE staff_id = :staff")
COLUMNS = """
SELECT i.id, i.tenant_id, t.kind AS tenant_kind, t.name AS tenant_name, i.organisation_id,
       o.name AS organisation_name, i.staff_id, coalesce(s.login, i.login) AS login,
       coalesce(s.name, i.name) AS name, i.ready_made, i.role_id, i.unit_id, i.reach, i.invited_by,
       i.expires_at
FROM invitation i
JOIN organisation t ON t.id = i.tenant_id AND t.status = 'open'
JOIN organisation o ON o.id = i.organisation_id AND o.status = 'open'
LEFT JOIN staff s ON s.id = i.staff_id
WHERE i.token_hash = :hash AND i.expires_at > :now AND coalesce(s.status = 'active', true)
"""
OPENED = text(COLUMNS)
USED = text("DELETE FROM invitation WHERE id = :id RETURNING id")
INVITER = text(
    """SELECT s.id, t.kind FROM staff s JOIN organisation t ON t.id = s.tenant_id
       WHERE s.id = :id AND s.status = 'active' AND t.status = 'open'"""
)
LIST = text(
    """SELECT i.id, i.organisation_id, o.name AS organisation, coalesce(s.name, i.name) AS name,
              coalesce(s.login, i.login) AS login, i.staff_id, i.ready_made, r.name AS role_name,
              by.name AS inviter, i.expires_at
       FROM invitation i
       JOIN organisation o ON o.id = i.organisation_id
       LEFT JOIN staff s ON s.id = i.staff_id
       LEFT JOIN staff by ON by.id = i.invited_by
       LEFT JOIN role r ON r.tenant_id = i.tenant_id AND r.id = i.role_id
       WHERE i.tenant_id = :tenant AND i.expires_at > :now ORDER BY i.id DESC LIMIT :most"""
)
WITHDRAW = text("DELETE FROM invitation WHERE tenant_id = :tenant AND id = :id RETURNING organisation_id")


class InvitationOver(Exception):
    """The link is not good: used, withdrawn, too old, or its maker has lost the rights that it gives."""


class LoginTaken(Exception):
    """Somebody has this login."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a link is for. With `staff_id` a new password of that person, else a new person."""

    id: int
    tenant_id: int
    tenant_kind: str
    tenant_name: str
    organisation_id: int
    organisation_name: str
    staff_id: int | None
    login: str | None
    name: str | None
    ready_made: str | None
    role_id: int | None
    unit_id: int | None
    reach: str | None
    invited_by: int | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpenInvitation:
    """A link that somebody may still open, as a list shows it."""

    id: int
    organisation_id: int
    organisation: str
    name: str | None
    login: str | None
    staff_id: int | None
    ready_made: str | None
    role_name: str | None
    inviter: str | None
    expires_at: datetime


def invite(
    connection: Connection,
    giver: Giver | None,
    *,
    tenant: int,
    kind: str,
    organisation: int,
    token: bytes,
    login: str | None,
    name: str | None,
    ready_made: str | None,
    role: int | None,
    unit: int,
    reach: str,
    now: datetime,
) -> int:
    """Invite a new person with a first role; returns the invitation's id. `giver` None: the house itself.

    Raises Beyond for what the giver does not have, LookupError for a role or unit that the tenant lacks.
    """
    with deciding(connection, tenant):
        permissions = role_permissions(connection, tenant, kind, ready_made=ready_made, role=role)
        given = rights_over(connection, tenant, permissions, unit=unit, reach=reach)
        rights_over(connection, tenant, frozenset(), unit=organisation, reach="unit")
        if giver is not None:
            own = giver.rights(connection)
            if not may_manage(own, organisation):
                raise Beyond
            require(own, given)
        told = {
            "tenant": tenant, "organisation": organisation, "staff": None, "hash": _hash(token),
            "login": login or None, "name": name or None, "ready_made": ready_made, "role": role,
            "unit": unit, "reach": reach, "by": giver and giver.staff_id, "now": now,
            "until": now + INVITATION_LASTS,
        }  # fmt: skip
        new: int = connection.execute(INSERT, told).scalar_one()
    return new


def invite_password(
    connection: Connection, giver: Giver, target: Target, *, token: bytes, now: datetime
) -> int:
    """A link by which the target chooses a new password; earlier ones end. Raises Beyond."""
    with deciding(connection, target.tenant_id):
        require_over(connection, giver, target)
        connection.execute(FORGET, {"staff": target.staff_id})
        told = {
            "tenant": target.tenant_id, "organisation": target.organisation_id, "staff": target.staff_id,
            "hash": _hash(token), "login": None, "name": None, "ready_made": None, "role": None, "unit": None,
            "reach": None, "by": giver.staff_id, "now": now, "until": now + INVITATION_LASTS,
        }  # fmt: skip
        new: int = connection.execute(INSERT, told).scalar_one()
    return new


def forget(connection: Connection, staff: int) -> None:
    """No link opens a new password for this person any more: they have just chosen one."""
    connection.execute(FORGET, {"staff": staff})


def opened(connection: Connection, token: bytes, *, now: datetime) -> Opened | None:
    """What the link of this token is for; None when it is not good. Needs a scope of all."""
    row = connection.execute(OPENED, {"hash": _hash(token), "now": now}).one_or_none()
    return None if row is None else Opened(*row)


def accept(
    connection: Connection,
    token: bytes,
    *,
    login: str,
    name: str,
    password: str,
    language: str,
    now: datetime,
) -> tuple[Opened, int]:
    """Use a link, once: returns what it was for, and the person. Needs a scope of all.

    Raises InvitationOver, LoginTaken, and ValueError for what `create_staff` refuses; then nothing happened.
    """
    found = opened(connection, token, now=now)
    if found is None:
        raise InvitationOver
    with deciding(connection, found.tenant_id):
        found = opened(connection, token, now=now)  # again, as it is under the lock
        if found is None:
            raise InvitationOver
        _require_still(connection, found)
        if connection.execute(USED, {"id": found.id}).one_or_none() is None:
            raise InvitationOver
        if found.staff_id is not None:
            set_password(connection, found.staff_id, password)
            end_all(connection, found.staff_id)
            return found, found.staff_id
        try:
            staff = create_staff(
                connection,
                organisation_id=found.organisation_id,
                login=typed_login(login),
                name=name,
                password=password,
                language=language,
                ready_made=None,
            )
        except IntegrityError as error:
            raise LoginTaken from error
        assert found.reach is not None
        assign(
            connection,
            staff,
            reach=found.reach,
            ready_made=found.ready_made,
            role=found.role_id,
            unit=found.unit_id,
        )
    return found, staff


def open_invitations(
    connection: Connection, tenant: int, *, now: datetime, most: int
) -> list[OpenInvitation]:
    """The links of a tenant that are still good, the newest first."""
    told = {"tenant": tenant, "now": now, "most": most}
    return [OpenInvitation(*row) for row in connection.execute(LIST, told)]


def withdraw(connection: Connection, giver: Giver, tenant: int, invitation: int) -> bool:
    """End a link before it is used; False when it is not there. Raises Beyond."""
    organisation = connection.execute(WITHDRAW, {"tenant": tenant, "id": invitation}).scalar_one_or_none()
    if organisation is None:
        return False
    if not may_manage(giver.rights(connection), organisation):
        raise Beyond
    return True


def _require_still(connection: Connection, found: Opened) -> None:
    """Raise InvitationOver when whoever made the link could not make it any more."""
    try:
        if found.invited_by is not None:
            inviter = connection.execute(INVITER, {"id": found.invited_by}).one_or_none()
            if inviter is None:
                raise Beyond
            giver = Giver(inviter.id, inviter.kind)
            if found.staff_id is not None:
                require_over(
                    connection,
                    giver,
                    Target(found.staff_id, found.tenant_id, found.tenant_kind, found.organisation_id),
                )
                return
            own = giver.rights(connection)
            if not may_manage(own, found.organisation_id):
                raise Beyond
            require(own, _given(connection, found))
        elif found.staff_id is None:
            _given(connection, found)
    except (Beyond, LookupError) as error:
        raise InvitationOver from error


def _given(connection: Connection, found: Opened) -> Rights:
    permissions = role_permissions(
        connection, found.tenant_id, found.tenant_kind, ready_made=found.ready_made, role=found.role_id
    )
    assert found.unit_id is not None
    assert found.reach is not None
    return rights_over(connection, found.tenant_id, permissions, unit=found.unit_id, reach=found.reach)


def _hash(token: bytes) -> bytes:
    # The token is random and long: nothing is to be guessed, so a plain hash is enough.
    return hashlib.blake2b(token, digest_size=32, person=b"invitation").digest()
