"""How often things happened and how long they took, counted once and for ever.

Prometheus wants numbers that only grow, whatever is deleted from the ledger, and a scrape must cost
the same with a million jobs. So each claim and each end of an attempt leaves one row behind, in its
own transaction, and the rows are now and then folded into sums (`jobs/sums.py`).
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from jobs.operating import Tally
from jobs.sums import Sums

QUEUE_WAIT: Final = "queue_wait"
"""From the moment when a job could be run to its claim; without a label."""
ATTEMPT: Final = "attempt"
"""From an attempt's claim to its end; labelled `<outcome>/<reason>`."""
WEBHOOK: Final = "webhook"
"""From an event to a try of a message about it; labelled `delivered`, `retried` or `failed`."""

BOUNDS: Final[Mapping[str, tuple[float, ...]]] = {
    QUEUE_WAIT: (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 86_400),
    ATTEMPT: (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86_400, 3 * 86_400),
    WEBHOOK: (1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86_400, 3 * 86_400),
}
"""Upper bounds of each series' buckets, in seconds; the last bucket has none. What is counted
already stays in the bucket of its number, so bounds can never change: only a new series can."""
_SUMS: Final = Sums(Tally, ("series", "label", "bucket"), ("count", "seconds"))


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
    _SUMS.add(connection, [row])


def read_tallies(connection: Connection) -> Tallies:
    """Return all sums."""
    read = Tallies()
    for series, label, bucket, count, seconds in _SUMS.read(connection):
        if series not in BOUNDS:
            continue  # a newer version's
        empty = Tallied([0] * (len(BOUNDS[series]) + 1))
        tallied = read.series[series].setdefault(label, empty)
        tallied.buckets[bucket] += int(count)
        tallied.seconds += float(seconds)
    return read
