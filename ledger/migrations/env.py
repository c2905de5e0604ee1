"""Alembic's entry: the connection is passed in by ledger.database.migrate."""

from alembic import context

from ledger.model import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
