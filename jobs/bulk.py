"""Many rows at once, with as little as possible between them and the driver."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import JSON, Connection
from sqlalchemy.dialects import postgresql

from jobs.moments import STORED_TIME
from jobs.tables import Table


def insert_rows(
    connection: Connection, table: type[Table], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert rows that all have the same columns, none left to a default; documents are JSON text.

    They go past SQLAlchemy, which would cost more than the database does: SQLite takes them one
    after another, PostgreSQL as one document, since each row is a message there by itself; but
    bytes are larger in a document.
    """
    columns = tuple(rows[0])
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite or any(isinstance(value, bytes) for value in rows[0].values()):
        values = [tuple(map(_stored, row.values())) for row in rows]
        mark = "?" if is_sqlite else "%s"
        connection.exec_driver_sql(_of_marks(table, columns, mark), values)
    else:
        document = json.dumps(rows, default=datetime.isoformat, ensure_ascii=False)
        connection.exec_driver_sql(_of_document(table, columns), (document,))


@cache
def _of_marks(table: type[Table], columns: tuple[str, ...], mark: str) -> str:
    marks = ", ".join([mark] * len(columns))
    return f"{_into(table, columns)} VALUES ({marks})"


@cache
def _of_document(table: type[Table], columns: tuple[str, ...]) -> str:
    types = {name: table.__table__.c[name].type for name in columns}
    said = {
        # The text of a document stays as it is: JSON inside JSON would be written anew.
        name: "TEXT" if isinstance(kind, JSON) else kind.compile(postgresql.dialect())
        for name, kind in types.items()
    }
    names = ", ".join(
        f'CAST("{name}" AS JSON)' if isinstance(kind, JSON) else f'"{name}"'
        for name, kind in types.items()
    )
    shape = ", ".join(f'"{name}" {kind}' for name, kind in said.items())
    source = f"json_to_recordset(%s::json) AS r({shape})"
    return f"{_into(table, columns)} SELECT {names} FROM {source}"  # noqa: S608  # our own names


def _into(table: type[Table], columns: tuple[str, ...]) -> str:
    named = ", ".join(f'"{column}"' for column in columns)
    return f'INSERT INTO "{table.__tablename__}" ({named})'


def _stored(value: object) -> object:
    # As `UtcTime` hands it over.
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(STORED_TIME)
    return value
