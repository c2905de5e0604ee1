"""What identifies a person, sealed; what members are found by; notes; files of members to import."""

from pathlib import Path

from alembic import op

from ledger.migrations.isolation import grant, isolate, narrow

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

OF_A_MEMBER = ("person", "member_word", "member_plate", "member_note")


def upgrade() -> None:
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().exec_driver_sql(sql)
    for table in OF_A_MEMBER:
        isolate(table, "enterprise_id")
        narrow(table, f"EXISTS (SELECT FROM member m WHERE m.id = {table}.member_id)")
    for table in ("import_file", "import_line"):
        isolate(table, "tenant_id")
    grant(
        "tessera_site",
        {
            "SELECT, INSERT, UPDATE, DELETE": ["person", "import_line"],
            "SELECT, INSERT, DELETE": ["member_word", "member_plate", "member_note"],
            "SELECT, INSERT, UPDATE": ["import_file"],
        },
    )


def downgrade() -> None:
    raise NotImplementedError("the books are never migrated backwards; restore a backup instead")
