"""Counts that are the sums of rows: each transaction adds some, and now and then they are folded.

Rows are only ever added, so transactions that count the same never wait for each other; every so
often one of them puts all that it sees into one row for each kind.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from jobs.schema import Table

FOLD_EVERY: Final = 64
"""Rows between two foldings; a count adds up about as many."""


class Sums:
    """A table of such rows: those that are alike in the columns `kind` belong together."""

    def __init__(self, table: type[Table], kind: Sequence[str], summed: Sequence[str]) -> None:
        """Add up the columns `summed`."""
        self.table: Any = table.__table__
        self._kind = [self.table.c[name] for name in kind]
        self._summed = [self.table.c[name] for name in summed]
        names = [*kind, *summed]
        self._insert = insert(self.table).returning(self.table.c.id)
        marks = ", ".join(f":{name}" for name in names)
        self._insert_of_sqlite = (
            f"INSERT INTO {table.__tablename__} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608  # our own names
        )

    def add(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Count something, in the transaction in which it happens."""
        if connection.dialect.name == "sqlite":
            # Several times cheaper than the other way, and a part of most transactions.
            ids = [
                connection.exec_driver_sql(self._insert_of_sqlite, dict(row)).lastrowid
                for row in rows
            ]
        else:
            ids = connection.execute(self._insert, rows).scalars().all()
        if any(number % FOLD_EVERY == 0 for number in ids):
            self._fold(connection)

    def read(self, connection: Connection, *where: ColumnElement[bool]) -> Sequence[Any]:
        """Return a row for each kind: what it is, and its sums."""
        sums = [func.sum(column) for column in self._summed]
        return connection.execute(
            select(*self._kind, *sums).where(*where).group_by(*self._kind)
        ).all()

    def _fold(self, connection: Connection) -> None:
        # What another transaction is folding at this moment is left to it.
        seen = select(self.table.c.id).with_for_update(skip_locked=True)
        columns = [*self._kind, *self._summed]
        gone = connection.execute(
            delete(self.table).where(self.table.c.id.in_(seen)).returning(*columns)
        )
        sums: dict[tuple[Any, ...], list[Any]] = {}
        for row in gone:
            kind, values = tuple(row[: len(self._kind)]), row[len(self._kind) :]
            before = sums.get(kind, [0] * len(values))
            sums[kind] = [one + more for one, more in zip(before, values, strict=True)]
        rows = [
            dict(zip((column.name for column in columns), (*kind, *values), strict=True))
            for kind, values in sums.items()
            if any(values)
        ]
        if rows:
            connection.execute(insert(self.table), rows)
