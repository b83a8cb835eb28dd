"""How Alembic reaches the database: through a given connection, or through the settings."""

from typing import Any, cast

from alembic import context
from sqlalchemy import Connection

from jobs.database import Database
from jobs.settings import Settings
from jobs.tombstones import DeletedJob

_context = cast("Any", context)
NOT_COMPARABLE = {"ix_jobs_next"}
"""An index with a sort order, which SQLite does not tell; a test looks for it by name."""


def _is_comparable(_: object, name: str | None, *__: object) -> bool:
    return name not in NOT_COMPARABLE


def _migrate(connection: Connection) -> None:
    _context.configure(
        connection=connection,
        # One for all tables; with these, all are loaded.
        target_metadata=DeletedJob.metadata,
        # SQLite changes a table by copying it.
        render_as_batch=True,
        # Our SQLite transactions hold DDL too, so a migration that fails leaves no trace.
        transactional_ddl=True,
        compare_type=True,
        include_object=_is_comparable,
    )
    with _context.begin_transaction():
        _context.run_migrations()


given = cast("Connection | None", _context.config.attributes.get("connection"))
if given is not None:
    _migrate(given)
else:
    with Database(Settings().database_url) as database, database.engine.begin() as opened:
        _migrate(opened)
