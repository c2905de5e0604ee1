"""Invitations of a terminal's device: one is open at a time, and none is made twice."""

from datetime import datetime

from sqlalchemy import Connection, text

__all__ = ["invite", "open_until"]

# Under the terminal's lock, so that of two invitations at once one sees the other.
LOCK = text("SELECT FROM terminal WHERE id = :terminal FOR NO KEY UPDATE")
WITHDRAW = text(
    """UPDATE enrolment SET expires_at = :now
       WHERE terminal_id = :terminal AND used_at IS NULL AND expires_at > :now AND id <> :id"""
)
INSERT = text(
    """INSERT INTO enrolment (id, tenant_id, terminal_id, expires_at)
       SELECT :id, tenant_id, id, :until FROM terminal
       WHERE id = :terminal AND status <> 'revoked' AND kind <> 'office'
       ON CONFLICT DO NOTHING RETURNING id"""
)
OPEN_UNTIL = text(
    """SELECT max(e.expires_at) FROM enrolment e JOIN terminal t ON t.id = e.terminal_id
       WHERE e.terminal_id = :terminal AND e.used_at IS NULL AND e.expires_at > :now
         AND t.status <> 'revoked'"""
)


def invite(
    connection: Connection, terminal: int, *, enrolment_id: bytes, until: datetime, now: datetime
) -> bool:
    """Invite a device to be `terminal`; from now on earlier invitations that nobody used are worth nothing.

    `enrolment_id` is 16 random bytes; the secret is derived from it (ledger.keyring). False, and nothing is
    done, for one that was made before, and for a terminal that is revoked or that the scope does not show.
    """
    connection.execute(LOCK, {"terminal": terminal})
    made = connection.execute(INSERT, {"id": enrolment_id, "terminal": terminal, "until": until})
    if made.one_or_none() is None:
        return False
    connection.execute(WITHDRAW, {"id": enrolment_id, "terminal": terminal, "now": now})
    return True


def open_until(connection: Connection, terminal: int, now: datetime) -> datetime | None:
    """Until when a device may still enrol as this terminal; None when nobody is invited."""
    until: datetime | None = connection.execute(OPEN_UNTIL, {"terminal": terminal, "now": now}).scalar_one()
    return until
