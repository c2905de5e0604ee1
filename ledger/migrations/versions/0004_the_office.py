"""Roles with a reach, the trail, forms sent once, jobs; and units, which a scope sees within its tenant."""

from pathlib import Path

from alembic import op

from ledger.migrations.isolation import grant, isolate, narrow

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


_ACCOUNT = "EXISTS (SELECT FROM account a WHERE a.slot = {table}.slot AND a.id = {table}.account_id OFFSET 0)"


def upgrade() -> None:
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql)
    for table in ("role", "assignment", "trail_head", "trail_line", "submission", "job"):
        isolate(table, "tenant_id")
    narrow("staff", "organisation_id = {units}")
    narrow("terminal", "store_id = {units}")
    narrow("member", "coalesce(organisation_id, enterprise_id) = {units}")
    # An account is its member's, and what hangs on an account is seen with it. With OFFSET the planner looks
    # each one up; without, it may read the whole table once.
    narrow("account", "EXISTS (SELECT FROM member m WHERE m.id = member_id OFFSET 0)")
    for table in ("card", "lot", "card_event", "hold_lot"):
        narrow(
            table,
            _ACCOUNT.format(table=table),
        )
    # A store's own sales, or those of members who are seen.
    for table in ("transaction", "hold"):
        narrow(
            table,
            ("store_id = {units} OR " if table == "transaction" else "") + _ACCOUNT.format(table=table),
        )
    grant(
        "tessera_site",
        {
            "SELECT, INSERT, UPDATE": ["role", "trail_head", "job"],
            "SELECT, INSERT, DELETE": ["assignment"],
            "SELECT, INSERT": ["trail_line", "submission"],
        },
    )
    grant("tessera_server", {"SELECT": ["trail_line", "trail_head"]})
    for table in ("trail_line", "trail_head"):
        op.execute(f"CREATE POLICY server ON {table} FOR SELECT TO tessera_server USING (true)")


def downgrade() -> None:
    raise NotImplementedError("the books are never migrated backwards; restore a backup instead")
