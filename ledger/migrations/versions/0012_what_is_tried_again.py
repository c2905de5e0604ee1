"""A job that could not go on lets the others pass; and the invariants of orders, read by either program."""

from alembic import op

from ledger.migrations.isolation import grant

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE job ADD COLUMN put_back_at TIMESTAMP WITH TIME ZONE")
    # What ledger.audit reads, whichever role it runs as, and no more.
    for table in ("budget", "point_order", "point_order_line"):
        op.execute(f"CREATE POLICY server ON {table} FOR SELECT TO tessera_server USING (true)")
    grant(
        "tessera_server",
        {
            "SELECT (id, enterprise_id, points, used)": ["budget"],
            "SELECT (id, tenant_id, kind, takes, state, members, points, budget_id, budget_points, asked,"
            " approved, approved_points)": ["point_order"],
            "SELECT (order_id, number, slot, account_id, points, code, transaction_id)": ["point_order_line"],
        },
    )


def downgrade() -> None:
    raise NotImplementedError("the books are never migrated backwards; restore a backup instead")
