"""Row level security as every table of a tenant has it, for the migrations."""

from collections.abc import Mapping, Sequence

from alembic import op

__all__ = ["TENANT", "grant", "guard", "isolate", "narrow"]

TENANT = "(SELECT nullif(current_setting('tessera.tenant', true), '')::bigint)"
# Whether the scope names no units, and the units that it names (ledger.database.Scope).
UNITS_FREE = "(SELECT coalesce(current_setting('tessera.units', true), '') = '')"
# Inside a function call, or ANY would take it for a subquery of rows.
UNITS = "coalesce((SELECT nullif(current_setting('tessera.units', true), '')::bigint[]), '{}')"


def guard(table: str) -> None:
    """From now on nobody sees a row without a policy, the owner included."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def isolate(table: str, columns: str, *, server: bool = False) -> None:
    """Rows of which one of `columns` names the tenant are the tenant's; `server`: the listener sees all."""
    ours = f"{TENANT} IN (0, {columns})"
    guard(table)
    op.execute(f"CREATE POLICY tenant ON {table} TO tessera_site USING ({ours}) WITH CHECK ({ours})")
    if server:
        op.execute(f"CREATE POLICY server ON {table} TO tessera_server USING (true) WITH CHECK (true)")


def narrow(table: str, seen: str) -> None:
    """Where the scope names units, its rows are only those that `seen` says; `{units}` stands for them."""
    op.execute(
        f"CREATE POLICY units ON {table} AS RESTRICTIVE FOR SELECT TO tessera_site"
        f" USING ({UNITS_FREE} OR {seen.replace('{units}', f'ANY({UNITS})')})"
    )


def grant(role: str, grants: Mapping[str, Sequence[str]]) -> None:
    """Rights on tables, and on the sequences that number their rows."""
    op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    for rights, tables in grants.items():
        op.execute(f"GRANT {rights} ON {', '.join(tables)} TO {role}")
