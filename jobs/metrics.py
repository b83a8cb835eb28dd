"""Curves: packed in chunks, stitched over attempts, thinned for display.

A chunk is the `step` column as 64-bit integers, then a column of 32-bit floats for each key, all
little-endian; NaN stands for "no value at this step".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

STEP = "step"
_STEPS = np.dtype("<i8")
_VALUES = np.dtype("<f4")

Column = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A packed run of points of one stage."""

    attempt: int
    stage: str
    seed: int
    keys: list[str]
    count: int
    first_step: int
    last_step: int
    data: bytes


@dataclass(slots=True)
class Series:
    """The curves of one stage: columns of equal length, `step` among them."""

    seed: int
    columns: dict[str, list[float | int | None]]


@dataclass(slots=True)
class Curves:
    """The curves of a job, by stage in the order in which the stages began."""

    stages: dict[str, Series] = field(default_factory=dict[str, Series])
    downsampled: bool = False

    @property
    def points(self) -> int:
        """How many steps there are in all stages together."""
        return sum(len(series.columns[STEP]) for series in self.stages.values())


def pack(attempt: int, stage: str, seed: int, columns: Mapping[str, Column]) -> Chunk:
    """Pack the columns of one `metrics` event.

    Raises:
        ValueError: there is no `step` column, or the columns differ in length.
    """
    steps = np.asarray(columns.get(STEP, ()), dtype=_STEPS)
    keys = [key for key in columns if key != STEP]
    if not len(steps) or any(len(columns[key]) != len(steps) for key in keys):
        lengths = {key: len(column) for key, column in columns.items()}
        raise ValueError(f"found columns of the lengths {lengths}; expected step and equal lengths")
    with np.errstate(over="ignore"):
        values = [np.asarray(columns[key], dtype=np.float64).astype(_VALUES) for key in keys]
    return Chunk(
        attempt=attempt,
        stage=stage,
        seed=seed,
        keys=keys,
        count=len(steps),
        first_step=int(steps.min()),
        last_step=int(steps.max()),
        data=steps.tobytes() + b"".join(column.tobytes() for column in values),
    )


def stitch(
    chunks: Iterable[Chunk], keys: Sequence[str] | None = None, max_points: int | None = None
) -> Curves:
    """Read chunks, in the order they were written in, as if the run had never been interrupted.

    A resumed attempt goes over some steps again; what earlier ones said about these is dropped.
    `max_points` bounds the points of each stage; dips and spikes of every key stay visible.
    """
    by_stage: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        by_stage.setdefault(chunk.stage, []).append(chunk)
    curves = Curves()
    for stage, parts in by_stage.items():
        steps, columns = _join(parts, keys)
        if max_points is not None and len(steps) > max_points:
            rows = _telling_rows(columns, len(steps), max_points)
            steps = steps[rows]
            columns = {key: column[rows] for key, column in columns.items()}
            curves.downsampled = True
        listed: dict[str, list[float | int | None]] = {STEP: steps.tolist()}
        for key, column in columns.items():
            listed[key] = [_value(value) for value in column.tolist()]
        curves.stages[stage] = Series(parts[-1].seed, listed)
    return curves


def _join(
    parts: list[Chunk], wanted: Sequence[str] | None
) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float32]]]:
    keys = list(dict.fromkeys(key for part in parts for key in part.keys))
    if wanted is not None:
        keys = [key for key in keys if key in wanted]
    kept: list[tuple[NDArray[np.int64], dict[str, NDArray[np.float32]]]] = []
    first_of_later = np.iinfo(np.int64).max
    reached = parts[-1].attempt
    first_of_this = first_of_later
    for part in reversed(parts):
        if part.attempt != reached:
            first_of_later = min(first_of_later, first_of_this)
            reached, first_of_this = part.attempt, first_of_later
        first_of_this = min(first_of_this, part.first_step)
        steps, columns = _unpack(part)
        valid = steps < first_of_later
        empty = np.full(len(steps), np.nan, dtype=_VALUES)
        kept.append((steps[valid], {key: columns.get(key, empty)[valid] for key in keys}))
    kept.reverse()
    joined = {key: np.concatenate([columns[key] for _, columns in kept]) for key in keys}
    return np.concatenate([steps for steps, _ in kept]), joined


def _unpack(chunk: Chunk) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float32]]]:
    steps = np.frombuffer(chunk.data, dtype=_STEPS, count=chunk.count)
    start = chunk.count * _STEPS.itemsize
    width = chunk.count * _VALUES.itemsize
    columns = {
        key: np.frombuffer(chunk.data, _VALUES, chunk.count, start + place * width)
        for place, key in enumerate(chunk.keys)
    }
    return steps, columns


def _telling_rows(
    columns: Mapping[str, NDArray[np.float32]], count: int, max_points: int
) -> NDArray[np.intp]:
    """Pick the rows with the lowest and the highest value of each key in even stretches."""
    chosen = {0, count - 1}
    stretches = max(1, (max_points - 2) // (2 * max(1, len(columns))))
    for column in columns.values():
        rows = np.flatnonzero(~np.isnan(column))
        for stretch in np.array_split(rows, min(stretches, max(1, len(rows)))):
            if len(stretch):
                values = column[stretch]
                chosen |= {int(stretch[values.argmin()]), int(stretch[values.argmax()])}
    rows = np.array(sorted(chosen), dtype=np.intp)
    if len(rows) > max_points:
        rows = rows[np.linspace(0, len(rows) - 1, max(1, max_points)).astype(np.intp)]
    return rows


def _value(value: float) -> float | None:
    # Shortest text that is the same 32-bit number: 0.1 and not 0.10000000149011612.
    return float(str(np.float32(value))) if np.isfinite(value) else None
