"""Moments: always UTC, and always told by the database's own clock."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.sql.visitors import InternalTraversal
from sqlalchemy.types import TypeDecorator

STORED_TIME = "%Y-%m-%d %H:%M:%S.%f"


class UtcTime(TypeDecorator[datetime]):
    """A moment with its time zone, always UTC; SQLite keeps it as text that sorts."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Hand the driver a moment in UTC."""
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Give every moment the time zone UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class clock(ColumnElement[datetime]):  # noqa: N801  # reads as the SQL function that it is
    """The database's own clock, `seconds` from now; hosts may disagree, one database cannot."""

    type = UtcTime()
    # By these, a statement with a clock in it is compiled once and not at every execution.
    inherit_cache = True
    _traverse_internals = [("seconds", InternalTraversal.dp_plain_obj)]  # as SQLAlchemy reads it

    def __init__(self, seconds: float = 0.0) -> None:
        """Mean the moment `seconds` from now."""
        self.seconds = float(seconds)


@compiles(clock, "postgresql")
def _clock_of_postgresql(element: clock, *_: Any, **__: Any) -> str:
    # now() stands still inside a transaction; a lease must count from the moment of the statement.
    return f"(clock_timestamp() + make_interval(secs => {element.seconds!r}))"


@compiles(clock, "sqlite")
def _clock_of_sqlite(element: clock, *_: Any, **__: Any) -> str:
    return f"ledger_clock({element.seconds!r})"
