"""Trees that can be walked quickly, codes of tenants that are their own, and a trail that can be searched.

Of a trail, whoever holds the right over some units only sees what people of these units did; and what hangs
on an account, a terminal or a person is seen with it, as far as that was not so yet.
"""

from alembic import op

from ledger.migrations.isolation import narrow

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE INDEX organisation_parent_idx ON organisation (tenant_id, parent_id)",
    "CREATE UNIQUE INDEX organisation_top_key ON organisation (kind, code) WHERE parent_id IS NULL",
    "ALTER TABLE organisation ADD CONSTRAINT organisation_itself_check CHECK (parent_id <> id)",
    "CREATE INDEX member_organisation_idx ON member (organisation_id) WHERE organisation_id IS NOT NULL",
    "CREATE INDEX trail_line_time_idx ON trail_line (tenant_id, happened_at)",
    "CREATE INDEX trail_line_what_idx ON trail_line (tenant_id, what, number)",
    "CREATE INDEX trail_line_address_idx ON trail_line (tenant_id, address, number)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    for table in ("trail_line", "assignment"):
        narrow(table, f"EXISTS (SELECT FROM staff s WHERE s.id = {table}.staff_id)")
    for table in ("enrolment", "terminal_batch", "terminal_batch_total", "batch_difference"):
        narrow(table, f"EXISTS (SELECT FROM terminal t WHERE t.id = {table}.terminal_id)")
    # A store sees the holds of its own sales, too, as it sees the sales themselves.
    op.execute("DROP POLICY units ON hold")
    for table in ("entry", "hold"):
        narrow(
            table,
            f"EXISTS (SELECT FROM transaction t WHERE t.slot = {table}.slot"
            f" AND t.account_id = {table}.account_id AND t.id = {table}.transaction_id)",
        )
    narrow("misuse", "EXISTS (SELECT FROM account a WHERE a.slot = misuse.slot AND a.id = misuse.account_id)")


def downgrade() -> None:
    raise NotImplementedError("the books are never migrated backwards; restore a backup instead")
