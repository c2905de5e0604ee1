"""What waits for people, counted for the first page. Reading only, within the scope."""

from datetime import date, timedelta

from sqlalchemy import Connection, text

__all__ = ["batches_that_differ", "imports_to_look_at"]

RECENT = timedelta(days=7)

# The terminals whose last batch of these days did not agree with the server's books.
DIFFERENT = text(
    """SELECT count(*) FROM (
           SELECT DISTINCT ON (terminal_id) code FROM terminal_batch
           WHERE business_date >= :since ORDER BY terminal_id, batch DESC) b
       WHERE b.code <> 0"""
)
IMPORTS = text(
    """SELECT count(*) FROM import_file
       WHERE state = 'checked' AND tenant_id = :tenant
         AND (CAST(:staff AS bigint) IS NULL OR staff_id = :staff)"""
)


def batches_that_differ(connection: Connection, today: date) -> int:
    """How many terminals ended their last batch of a week without agreeing."""
    count: int = connection.execute(DIFFERENT, {"since": today - RECENT}).scalar_one()
    return count


def imports_to_look_at(connection: Connection, tenant: int, *, staff: int | None = None) -> int:
    """How many uploaded files were checked and wait to be confirmed: all of a tenant, or one person's own."""
    count: int = connection.execute(IMPORTS, {"tenant": tenant, "staff": staff}).scalar_one()
    return count
