"""Which terminals are connected: server processes note it in turns, pages read it (ledger.terminal_lists)."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

__all__ = ["note_presence"]

# In the order of ids, so that two processes never wait for each other crosswise. Who left is not connected
# any more, unless another process has noted the terminal since.
NOTE = text(
    """WITH left_us AS (
           UPDATE terminal_presence SET connected_until = :now
           WHERE worker = :worker AND connected_until > :now
             AND terminal_id <> ALL(CAST(:terminals AS int8[]))
       )
       INSERT INTO terminal_presence (terminal_id, tenant_id, worker, connected_until, heard_at)
       SELECT t.id, t.tenant_id, :worker, :until, s.heard_at
       FROM unnest(CAST(:terminals AS int8[]), CAST(:heard AS timestamptz[])) AS s(id, heard_at)
       JOIN terminal t ON t.id = s.id ORDER BY t.id
       ON CONFLICT (terminal_id) DO UPDATE
       SET worker = excluded.worker, connected_until = excluded.connected_until,
           heard_at = GREATEST(terminal_presence.heard_at, excluded.heard_at)"""
)


def note_presence(
    connection: Connection, worker: str, heard: Mapping[int, datetime], *, now: datetime, lasts: timedelta
) -> None:
    """Note all terminals that are connected to a server process, with the time of each one's last message.

    The note is good for `lasts`: it is repeated before, or the process is gone.
    """
    told = {"worker": worker, "terminals": list(heard), "heard": list(heard.values())}
    connection.execute(NOTE, told | {"now": now, "until": now + lasts})
