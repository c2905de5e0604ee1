"""Orders of points with their lines, budgets, from where on a second person approves; points taken back."""

from pathlib import Path

from alembic import op

from ledger.migrations.isolation import grant, isolate, narrow

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql)
    for table in ("point_order", "point_order_line"):
        isolate(table, "tenant_id")
    for table in ("budget", "approval_terms"):
        isolate(table, "enterprise_id")
    narrow("point_order", "organisation_id = {units}")
    # OFFSET 0: line by line. Without it the planner may hash all accounts, to show a hundred lines.
    narrow(
        "point_order_line",
        "EXISTS (SELECT FROM account a WHERE a.slot = point_order_line.slot"
        " AND a.id = point_order_line.account_id OFFSET 0)",
    )
    # What was ordered for whom, no program changes: only what became of it.
    grant(
        "tessera_site",
        {
            "SELECT, INSERT": ["point_order", "point_order_line", "budget", "approval_terms"],
            "UPDATE (state, needs, decided_by, decided_name, decided_at, note, budget_id, budget_points,"
            " job_id, asked, approved, approved_points)": ["point_order"],
            "UPDATE (code, transaction_id)": ["point_order_line"],
            "UPDATE (points, used)": ["budget"],
            "UPDATE (points)": ["approval_terms"],
        },
    )


def downgrade() -> None:
    raise NotImplementedError("the books are never migrated backwards; restore a backup instead")
