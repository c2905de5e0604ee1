"""How staff come in: invitations by link, sessions as rows, second factors, the history of logins."""

from pathlib import Path

from alembic import op

from ledger.migrations.isolation import grant, isolate, narrow

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql)
    for table in ("invitation", "staff_session", "login_event", "recovery_code"):
        isolate(table, "tenant_id")
    narrow("invitation", "organisation_id = {units}")
    # What hangs on a person is seen with the person.
    for table in ("staff_session", "login_event", "recovery_code"):
        narrow(table, f"EXISTS (SELECT FROM staff s WHERE s.id = {table}.staff_id)")
    grant(
        "tessera_site",
        {
            "SELECT, INSERT, DELETE": ["invitation"],
            "SELECT, INSERT, UPDATE, DELETE": ["staff_session", "recovery_code"],
            "SELECT, INSERT": ["login_event"],
            "DELETE": ["role"],
        },
    )


def downgrade() -> None:
    raise NotImplementedError("the books are never migrated backwards; restore a backup instead")
