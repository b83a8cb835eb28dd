"""Emptying a ledger between tests."""

from __future__ import annotations

from sqlalchemy import delete, insert, text
from sqlalchemy.exc import OperationalError

from jobs.database import Database
from jobs.moments import clock
from jobs.tables import AuditEntry, Project, Table
from jobs.tenants import DEFAULT_PROJECT

_KEPT = AuditEntry.__tablename__
"""Nothing can be taken out of it, which is what it is for."""
_TRIES = 5
_DEADLOCK = "40P01"


def empty(database: Database) -> None:
    """Leave a ledger as the migrations make it, but for the audit."""
    # A house that is alive writes into it meanwhile. Whoever takes locks on all tables may meet one
    # of its transactions the other way round, and PostgreSQL then ends either of the two.
    for _ in range(_TRIES - 1):
        try:
            _empty(database)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _DEADLOCK:
                raise
        else:
            return
    _empty(database)


def _empty(database: Database) -> None:
    tables = [table for table in Table.metadata.sorted_tables if table.name != _KEPT]
    with database.write() as session:
        if database.is_sqlite:
            for table in reversed(tables):
                session.execute(delete(table))
        else:
            names = ", ".join(table.name for table in tables)
            session.execute(text(f"TRUNCATE {names} CASCADE"))
        session.execute(insert(Project).values(name=DEFAULT_PROJECT, created_at=clock()))
