"""One address for whoever watches the site: is it up, and does the database answer?"""

from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue

from admin.access import PUBLIC, requires
from ledger.businessday import business_date
from ledger.database import Database, Scope

__all__ = ["blueprint"]

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
@requires(PUBLIC)
def health() -> ResponseReturnValue:
    """200 when the database answers; 503 when not (admin.errors sees to that)."""
    database: Database = current_app.extensions["database"]
    with database.transaction(Scope.everything()) as connection:
        business_date(connection)
    return jsonify(status="ok")
