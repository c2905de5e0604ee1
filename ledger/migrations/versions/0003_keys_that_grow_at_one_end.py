"""The key of a purchase leads with its txid, and a card's key with its number.

A txid begins with its time, so new keys are neighbours: a database with millions of rows writes a few
pages of the index again and again instead of one for each debit. And no other index begins like them,
so the planner never mistakes the primary key for as good a way to one purchase.
"""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql)


def downgrade() -> None:
    raise NotImplementedError("the books are never migrated backwards; restore a backup instead")
