"""Merchants' contracts, contacts and banks; stores' places and hours; categories; who is connected."""

from pathlib import Path

from alembic import op

from ledger.migrations.isolation import TENANT, grant, guard, isolate, narrow

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql)
    # Categories are for everybody to read, and for who acts for everybody to change.
    guard("service_category")
    op.execute("CREATE POLICY seen ON service_category FOR SELECT TO tessera_site USING (true)")
    for action, check in (("INSERT", "WITH CHECK"), ("UPDATE", "USING")):
        op.execute(
            f"CREATE POLICY {action.lower()}s ON service_category FOR {action} TO tessera_site"
            f" {check} ({TENANT} = 0)"
        )
    for table in ("merchant_detail", "merchant_contact"):
        isolate(table, "merchant_id")
        narrow(table, "merchant_id = {units}")  # a store's staff sees no contract and no bank
    for table in ("store_detail", "store_hours"):
        isolate(table, "tenant_id")
    isolate("terminal_presence", "tenant_id", server=True)
    narrow("terminal_presence", "EXISTS (SELECT FROM terminal t WHERE t.id = terminal_id)")
    grant(
        "tessera_site",
        {
            "SELECT, INSERT, UPDATE": ["service_category", "merchant_detail", "store_detail"],
            "SELECT, INSERT, DELETE": ["merchant_contact", "store_hours"],
            "SELECT": ["terminal_presence"],
        },
    )
    grant("tessera_server", {"SELECT, INSERT, UPDATE": ["terminal_presence"]})


def downgrade() -> None:
    raise NotImplementedError("the books are never migrated backwards; restore a backup instead")
