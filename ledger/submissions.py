"""Forms are sent once: a second click, or a page that is sent again, finds its mark taken."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

__all__ = ["claim"]

CLAIM = text(
    """INSERT INTO submission (mark, tenant_id, sent_at) VALUES (:mark, :tenant, :now)
       ON CONFLICT DO NOTHING RETURNING mark"""
)


def claim(connection: Connection, mark: UUID, *, tenant: int, now: datetime) -> bool:
    """Whether this is the first time; a second sender waits here until the first has committed or failed."""
    return connection.execute(CLAIM, {"mark": mark, "tenant": tenant, "now": now}).one_or_none() is not None
