"""The first debit: organisations, services, terminals, members, accounts, and the books.

Who may do what is part of the schema. The two programs log in as roles that own nothing:
tessera_server (terminals) posts for every tenant; tessera_site (the site and its jobs) sees the
tenant that `ledger.database.Database.transaction` named, tenant 0 meaning all. Neither may change
or delete a row of transaction, entry or misuse.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from ledger.database import DatabaseUnfit

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TENANT = "(SELECT nullif(current_setting('tessera.tenant', true), '')::bigint)"

# Table -> columns of which one must name the tenant for a row to be seen by the site.
TENANT_COLUMNS = {
    "organisation": ["tenant_id"],
    "staff": ["tenant_id"],
    "price": ["merchant_id"],
    "terminal": ["tenant_id"],
    "enrolment": ["tenant_id"],
    "member": ["enterprise_id"],
    "account": ["enterprise_id"],
    "card": ["enterprise_id"],
    "lot": ["enterprise_id"],
    "transaction": ["enterprise_id", "merchant_id"],
    "entry": ["enterprise_id", "merchant_id"],
    "misuse": ["enterprise_id"],
}

SITE = {
    "SELECT, INSERT, UPDATE": [
        "organisation", "staff", "service", "price", "catalogue_version", "terminal", "enrolment", "member",
        "account", "card", "lot", "business_day",
    ],
    "SELECT, INSERT": ["transaction", "entry", "misuse"],
    "SELECT": ["alembic_version"],
}  # fmt: skip
SERVER = {
    "SELECT": ["organisation", "service", "price", "catalogue_version", "alembic_version"],
    "SELECT, UPDATE": ["terminal", "enrolment", "account", "card"],
    "SELECT, INSERT, UPDATE": ["lot", "business_day"],
    "SELECT, INSERT": ["transaction", "entry", "misuse"],
}


def upgrade() -> None:
    connection = op.get_bind()
    missing = connection.execute(
        sa.text(
            "SELECT string_agg(name, ', ') FROM unnest(ARRAY['tessera_server', 'tessera_site']) AS r(name)"
            " WHERE name NOT IN (SELECT rolname FROM pg_roles)"
        )
    ).scalar_one()
    if missing:
        raise DatabaseUnfit(f"Create the roles {missing} first: CREATE ROLE … LOGIN PASSWORD …")
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    # The driver takes this text as one simple query, so % and : in it mean nothing.
    connection.exec_driver_sql(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
    op.execute("INSERT INTO catalogue_version DEFAULT VALUES")
    for table, columns in TENANT_COLUMNS.items():
        _isolate(table, columns)
    # Where points can be spent is no secret: members and enterprises must be able to name a shop.
    op.execute(
        "CREATE POLICY shops ON organisation FOR SELECT TO tessera_site USING (kind IN ('merchant', 'store'))"
    )
    for role, grants in (("tessera_site", SITE), ("tessera_server", SERVER)):
        op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
        op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
        for rights, tables in grants.items():
            op.execute(f"GRANT {rights} ON {', '.join(tables)} TO {role}")


def _isolate(table: str, columns: list[str]) -> None:
    ours = f"{TENANT} IN (0, {', '.join(columns)})"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant ON {table} TO tessera_site USING ({ours}) WITH CHECK ({ours})")
    op.execute(f"CREATE POLICY server ON {table} TO tessera_server USING (true) WITH CHECK (true)")


def downgrade() -> None:
    raise NotImplementedError("the books are never migrated backwards; restore a backup instead")
