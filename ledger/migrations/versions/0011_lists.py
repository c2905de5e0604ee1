"""Lists of transactions that stay fast for every tenant, and what closed days come to.

Whose scope names units sees of the totals only those of its stores: everything else is of more than these.
"""

from pathlib import Path

from alembic import op

from ledger.migrations.isolation import grant, isolate, narrow

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql)
    isolate("day_total", "tenant_id", server=True)
    narrow("day_total", "(part = 'store' AND part_id = {units})")
    for role in ("tessera_site", "tessera_server"):
        grant(role, {"SELECT, INSERT": ["day_total"]})


def downgrade() -> None:
    raise NotImplementedError("the books are never migrated backwards; restore a backup instead")
