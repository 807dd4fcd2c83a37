"""Alembic's entry: runs migrations on the connection that the store hands over."""

from __future__ import annotations

from alembic import context

from keeper.edges.schema import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables,
    transactional_ddl=True,  # SQLite too: half a migration is none
)
with context.begin_transaction():
    context.run_migrations()
