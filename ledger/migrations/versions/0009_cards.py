"""Cards that are issued together, and the last four digits of a card, by which people look for it."""

from pathlib import Path

from alembic import op

from ledger.migrations.isolation import grant, isolate, narrow

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The driver takes this text as one simple query, so % and : in it mean nothing.
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql)
    for table in ("card_batch", "card_batch_line"):
        isolate(table, "enterprise_id")
    narrow("card_batch", "EXISTS (SELECT FROM unnest(units) AS unit WHERE unit = {units})")
    narrow(
        "card_batch_line",
        "EXISTS (SELECT FROM account a"
        " WHERE a.slot = card_batch_line.slot AND a.id = card_batch_line.account_id)",
    )
    grant("tessera_site", {"SELECT, INSERT, UPDATE": ["card_batch", "card_batch_line"]})


def downgrade() -> None:
    raise NotImplementedError("the books are never migrated backwards; restore a backup instead")
