"""How often things happened and how long they took, counted once and for ever.

Prometheus wants numbers that only grow, whatever is deleted from the ledger, and a scrape must cost
the same with a million jobs. So each claim and each end of an attempt leaves one row behind, in its
own transaction, and the rows are now and then folded into sums (as those of `jobs/journal.py`).
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.orm import Session

from jobs.operating import Tally

QUEUE_WAIT: Final = "queue_wait"
"""From the moment when a job could be run to its claim; without a label."""
ATTEMPT: Final = "attempt"
"""From an attempt's claim to its end; labelled `<outcome>/<reason>`."""

BOUNDS: Final[Mapping[str, tuple[float, ...]]] = {
    QUEUE_WAIT: (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 86_400),
    ATTEMPT: (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86_400, 3 * 86_400),
}
"""Upper bounds of each series' buckets, in seconds; the last bucket has none. What is counted
already stays in the bucket of its number, so bounds can never change: only a new series can."""
FOLD_EVERY = 64

_ROWS: Any = Tally.__table__
_INSERT = insert(_ROWS).returning(_ROWS.c.id)
_INSERT_OF_SQLITE = (
    "INSERT INTO tallies (series, label, bucket, count, seconds)"
    " VALUES (:series, :label, :bucket, :count, :seconds)"
)


@dataclass(slots=True)
class Tallied:
    """All that was counted under one label."""

    buckets: list[int]
    """How many in each bucket, by itself."""
    seconds: float = 0.0
    """What they took together."""


@dataclass(frozen=True, slots=True)
class Tallies:
    """The sums of all series."""

    series: dict[str, dict[str, Tallied]] = field(
        default_factory=lambda: {name: {} for name in BOUNDS}
    )


def tally(connection: Connection, series: str, seconds: float, label: str = "") -> None:
    """Count that something took so long, in the transaction in which it happens."""
    # The clock of a database may be set back.
    taken = max(seconds, 0.0)
    bucket = bisect_left(BOUNDS[series], taken)
    row = {"series": series, "label": label, "bucket": bucket, "count": 1, "seconds": taken}
    if connection.dialect.name == "sqlite":
        # Several times cheaper than the other way, and a part of every claim.
        number = connection.exec_driver_sql(_INSERT_OF_SQLITE, row).lastrowid
    else:
        number = connection.execute(_INSERT, [row]).scalar_one()
    if number % FOLD_EVERY == 0:
        _fold(connection)


def _fold(connection: Connection) -> None:
    # What another transaction is folding at this moment is left to it.
    seen = select(_ROWS.c.id).with_for_update(skip_locked=True)
    gone = connection.execute(
        delete(_ROWS)
        .where(_ROWS.c.id.in_(seen))
        .returning(_ROWS.c.series, _ROWS.c.label, _ROWS.c.bucket, _ROWS.c.count, _ROWS.c.seconds)
    )
    sums: dict[tuple[str, str, int], tuple[int, float]] = {}
    for series, label, bucket, count, seconds in gone:
        before = sums.get((series, label, bucket), (0, 0.0))
        sums[series, label, bucket] = before[0] + count, before[1] + seconds
    rows = [
        {"series": key[0], "label": key[1], "bucket": key[2], "count": count, "seconds": seconds}
        for key, (count, seconds) in sums.items()
    ]
    if rows:
        connection.execute(insert(_ROWS), rows)


def read_tallies(session: Session) -> Tallies:
    """Return all sums."""
    rows = session.execute(
        select(
            _ROWS.c.series,
            _ROWS.c.label,
            _ROWS.c.bucket,
            func.sum(_ROWS.c.count),
            func.sum(_ROWS.c.seconds),
        ).group_by(_ROWS.c.series, _ROWS.c.label, _ROWS.c.bucket)
    )
    read = Tallies()
    for series, label, bucket, count, seconds in rows:
        if series not in BOUNDS:
            continue  # a newer version's
        empty = Tallied([0] * (len(BOUNDS[series]) + 1))
        tallied = read.series[series].setdefault(label, empty)
        tallied.buckets[bucket] += int(count)
        tallied.seconds += float(seconds)
    return read
