"""Holds, refunds, PIN codes, card products and terms, the calendar, terminals' keys and batches."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TENANT = "(SELECT nullif(current_setting('tessera.tenant', true), '')::bigint)"

# Table -> columns of which one must name the tenant for a row to be seen by the site.
TENANT_COLUMNS = {
    "enterprise_terms": "enterprise_id",
    "card_product": "enterprise_id",
    "card_event": "enterprise_id",
    "hold": "enterprise_id, merchant_id",
    "hold_lot": "enterprise_id",
    "terminal_batch": "tenant_id",
    "terminal_batch_total": "tenant_id",
    "batch_difference": "tenant_id",
}

GRANTS = {
    "tessera_site": {
        "SELECT, INSERT, UPDATE": ["enterprise_terms", "card_product"],
        "SELECT, INSERT": ["card_event", "hold", "hold_lot"],
        "SELECT, UPDATE": ["calendar"],
        "SELECT": ["terminal_batch", "terminal_batch_total", "batch_difference"],
    },
    "tessera_server": {
        "SELECT": ["enterprise_terms", "card_product", "calendar", "card_event"],
        "SELECT, INSERT": ["hold", "hold_lot", "terminal_batch", "terminal_batch_total"],
        "SELECT, INSERT, UPDATE": ["batch_difference"],
    },
}


def upgrade() -> None:
    # The driver takes this text as one simple query, so % and : in it mean nothing.
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql)
    op.execute("INSERT INTO calendar DEFAULT VALUES")
    for table, columns in TENANT_COLUMNS.items():
        ours = f"{TENANT} IN (0, {columns})"
        _guard(table)
        op.execute(f"CREATE POLICY tenant ON {table} TO tessera_site USING ({ours}) WITH CHECK ({ours})")
        op.execute(f"CREATE POLICY server ON {table} TO tessera_server USING (true) WITH CHECK (true)")
    # A merchant sees what was sold at its terminals; it writes in no enterprise's books.
    for table in ("transaction", "entry", "hold"):
        op.execute(f"ALTER POLICY tenant ON {table} WITH CHECK ({TENANT} IN (0, enterprise_id))")
    # Everybody's days turn by the calendar; it is set by who acts for everybody.
    _guard("calendar")
    op.execute("CREATE POLICY seen ON calendar FOR SELECT TO tessera_site, tessera_server USING (true)")
    op.execute(f"CREATE POLICY everything ON calendar FOR UPDATE TO tessera_site USING ({TENANT} = 0)")
    for role, grants in GRANTS.items():
        op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
        for rights, tables in grants.items():
            op.execute(f"GRANT {rights} ON {', '.join(tables)} TO {role}")


def _guard(table: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    raise NotImplementedError("the books are never migrated backwards; restore a backup instead")
