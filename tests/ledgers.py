"""Emptying a ledger between tests."""

from __future__ import annotations

from sqlalchemy import delete, insert, text

from jobs.database import Database
from jobs.moments import clock
from jobs.tables import AuditEntry, Project, Table
from jobs.tenants import DEFAULT_PROJECT

_KEPT = AuditEntry.__tablename__
"""Nothing can be taken out of it, which is what it is for."""


def empty(database: Database) -> None:
    """Leave a ledger as the migrations make it, but for the audit."""
    tables = [table for table in Table.metadata.sorted_tables if table.name != _KEPT]
    with database.write() as session:
        if database.is_sqlite:
            for table in reversed(tables):
                session.execute(delete(table))
        else:
            names = ", ".join(table.name for table in tables)
            session.execute(text(f"TRUNCATE {names} CASCADE"))
        session.execute(insert(Project).values(name=DEFAULT_PROJECT, created_at=clock()))
