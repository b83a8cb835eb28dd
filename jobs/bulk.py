"""Many rows at once, with as little as possible between them and the driver."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from jobs.moments import STORED_TIME
from jobs.tables import Table


def insert_rows(session: Session, table: type[Table], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns, none left to a default; documents are JSON text.

    SQLite takes them past SQLAlchemy, which would cost more than the database does.
    """
    target: Any = table.__table__
    connection = session.connection()
    if connection.dialect.name != "sqlite":
        session.execute(insert(target), rows)
        return
    values = [tuple(map(_stored, row.values())) for row in rows]
    connection.exec_driver_sql(_statement(table, tuple(rows[0])), values)


@cache
def _statement(table: type[Table], columns: tuple[str, ...]) -> str:
    named = ", ".join(f'"{column}"' for column in columns)
    marks = ", ".join("?" * len(columns))
    return f'INSERT INTO "{table.__tablename__}" ({named}) VALUES ({marks})'  # noqa: S608  # our own names


def _stored(value: object) -> object:
    # As `UtcTime` hands it over.
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(STORED_TIME)
    return value
