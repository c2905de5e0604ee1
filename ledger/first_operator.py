"""`python -m ledger create-operator`: the operator of an empty database, and its administrator's link."""

import argparse
import base64
import os
import sys
from datetime import datetime

from sqlalchemy import text

from ledger import trail
from ledger.administration import administrators
from ledger.database import Database, Scope
from ledger.invitations import TOKEN_BYTES, invite
from ledger.organisations import create_tenant

__all__ = ["COMMAND", "add_to", "create_operator"]

COMMAND = "create-operator"
OPERATOR = text("SELECT id, name FROM organisation WHERE kind = 'operator' ORDER BY id LIMIT 1")


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command and its options."""
    add = commands.add_parser(
        COMMAND, help="make the operator, and a link for its administrator (DATABASE_SITE_URL)"
    )
    add.add_argument("--name", default="Operator", help="what the operator is called")
    add.add_argument("--code", default="OPERATOR", help="its short code")
    add.add_argument(
        "--another", action="store_true", help="a link also when the operator has an administrator"
    )
    add.set_defaults(act=create_operator)


def create_operator(options: argparse.Namespace, database: Database, now: datetime) -> int:
    """0: the link's path is printed. 1: there is an operator with an administrator."""
    token = os.urandom(TOKEN_BYTES)
    with database.transaction(Scope.everything()) as connection:
        # Two who run this at once make one operator.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('tessera.create-operator'))"))
        row = connection.execute(OPERATOR).one_or_none()
        if row is None:
            operator = create_tenant(connection, kind="operator", code=options.code, name=options.name)
            name = options.name
        else:
            operator, name = int(row.id), row.name
            if administrators(connection, operator) and not options.another:
                print(
                    f"The operator {name} has an administrator, who can invite others. If nobody can log in "
                    "any more, say --another.",
                    file=sys.stderr,
                )
                return 1
        new = invite(
            connection, None, tenant=operator, kind="operator", organisation=operator, token=token,
            login=None, name=None, ready_made="administrator", role=None, unit=operator,
            reach="tenant", now=now,
        )  # fmt: skip
        trail.record(
            connection, trail.Actor(None, "python -m ledger"), "staff.invite", tenant=operator,
            kind="invitation", id=new, after={"role": "administrator", "unit": operator, "reach": "tenant"},
            now=now,
        )  # fmt: skip
    written = base64.urlsafe_b64encode(token).decode("ascii").rstrip("=")
    print(f"Operator: {name}. Open this at the site's address, within 7 days, to choose login and password:")
    print(f"/invitation/{written}")
    return 0
