"""Curves: packed in chunks, stitched over attempts, thinned for display.

A chunk is the `step` column as 64-bit integers, then a column of 32-bit floats for each key, all
little-endian; NaN stands for "no value at this step". Where the steps are even, as they nearly
always are, their column is left out: first, last and count tell them, and the length tells that.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

STEP = "step"
_STEPS = np.dtype("<i8")
_VALUES = np.dtype("<f4")

STRETCH = 256
"""Rows of a chunk of which its outline keeps the highest and the lowest."""

Steps = NDArray[np.int64]
Values = NDArray[np.float32]
Column = Sequence[float | None] | Steps | Values


class Span(Protocol):
    """What must be known of a chunk to say what of it counts."""

    @property
    def attempt(self) -> int:
        """The attempt that wrote it."""
        ...

    @property
    def first_step(self) -> int:
        """Its lowest step."""
        ...


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


def read_columns(columns: Mapping[str, Column]) -> tuple[Steps, dict[str, Values]]:
    """Read the columns of one `metrics` event: its steps, and the values of every other key.

    Raises:
        ValueError: there is no `step` column, a step is no number, or the columns differ in length.
        OverflowError: a number is too large for its column.
    """
    try:
        steps = np.asarray(columns.get(STEP, ()), dtype=_STEPS)
    except TypeError as error:
        raise ValueError("found a step that is no number; expected whole numbers") from error
    keys = [key for key in columns if key != STEP]
    if not len(steps) or any(len(columns[key]) != len(steps) for key in keys):
        lengths = {key: len(column) for key, column in columns.items()}
        raise ValueError(f"found columns of the lengths {lengths}; expected step and equal lengths")
    with np.errstate(over="ignore"):
        return steps, {key: np.asarray(columns[key], dtype=_VALUES) for key in keys}


def pack(attempt: int, stage: str, seed: int, columns: Mapping[str, Column]) -> Chunk:
    """Pack the columns of one `metrics` event.

    Raises:
        ValueError, OverflowError: as `read_columns`.
    """
    return _packed(attempt, stage, seed, *read_columns(columns))


def _packed(
    attempt: int, stage: str, seed: int, steps: Steps, columns: Mapping[str, Values]
) -> Chunk:
    parts = [column.tobytes() for column in columns.values()]
    if not _is_even(steps):
        parts.insert(0, steps.tobytes())
    return Chunk(
        attempt=attempt,
        stage=stage,
        seed=seed,
        keys=list(columns),
        count=len(steps),
        first_step=int(steps.min()),
        last_step=int(steps.max()),
        data=b"".join(parts),
    )


def _is_even(steps: Steps) -> bool:
    strides = np.diff(steps)
    return not len(strides) or bool(strides[0] > 0 and (strides == strides[0]).all())


def merge(parts: Sequence[Chunk]) -> Chunk:
    """Put chunks of one attempt at a stage together, in the order in which they were written."""
    steps, columns = _join(parts, None)
    return _packed(parts[0].attempt, parts[0].stage, parts[0].seed, steps, columns)


def outline(chunk: Chunk) -> Chunk:
    """Return the telling rows of a chunk: its ends, and the extremes of every `STRETCH` rows."""
    steps, columns = _unpack(chunk)
    most = 2 + 2 * max(1, len(columns)) * math.ceil(chunk.count / STRETCH)
    rows = _telling_rows(columns, chunk.count, most)
    told = b"".join(column[rows].tobytes() for column in columns.values())
    # Its steps are always written out: first and last are those of the whole chunk.
    return replace(chunk, count=len(rows), data=steps[rows].tobytes() + told)


def is_outline_enough(count: int, keys: int, max_points: int | None) -> bool:
    """Return whether outlines are twice as fine as a view of so many points of a curve needs."""
    if max_points is None:
        return False
    return count >= 2 * STRETCH * max(1, (max_points - 2) // (2 * max(1, keys)))


def cuts(parts: Sequence[Span]) -> list[int]:
    """Return, for each part of a stage in the order of writing, the step at which it is cut off.

    A resumed attempt goes over some steps again, or tells the whole curve once more: what earlier
    attempts said from its first step on is dropped.
    """
    found: list[int] = []
    first_of_later = np.iinfo(np.int64).max
    reached = parts[-1].attempt
    first_of_this = first_of_later
    for part in reversed(parts):
        if part.attempt != reached:
            first_of_later = min(first_of_later, first_of_this)
            reached, first_of_this = part.attempt, first_of_later
        first_of_this = min(first_of_this, part.first_step)
        found.append(int(first_of_later))
    return found[::-1]


def stitch(
    chunks: Iterable[Chunk],
    keys: Sequence[str] | None = None,
    max_points: int | None = None,
    after: Mapping[str, int] | None = None,
) -> Curves:
    """Read chunks, in the order they were written in, as if the run had never been interrupted.

    A resumed attempt goes over some steps again; what earlier ones said about these is dropped.
    `max_points` bounds the points of each stage; dips and spikes of every key stay visible.
    `after` leaves out the steps of a stage up to one.
    """
    by_stage: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        by_stage.setdefault(chunk.stage, []).append(chunk)
    curves = Curves()
    for stage, parts in by_stage.items():
        steps, columns = _join(parts, keys)
        if after is not None and stage in after:
            new = steps > after[stage]
            steps, columns = steps[new], {key: column[new] for key, column in columns.items()}
        if not len(steps):
            continue
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


def _join(parts: Sequence[Chunk], wanted: Sequence[str] | None) -> tuple[Steps, dict[str, Values]]:
    keys = list(dict.fromkeys(key for part in parts for key in part.keys))
    if wanted is not None:
        keys = [key for key in keys if key in wanted]
    kept: list[tuple[Steps, dict[str, Values]]] = []
    for part, cut in zip(parts, cuts(parts), strict=True):
        steps, columns = _unpack(part)
        empty = np.full(len(steps), np.nan, dtype=_VALUES)
        told = {key: columns.get(key, empty) for key in keys}
        if part.last_step >= cut:
            valid = steps < cut
            steps, told = steps[valid], {key: column[valid] for key, column in told.items()}
        kept.append((steps, told))
    joined = {key: np.concatenate([columns[key] for _, columns in kept]) for key in keys}
    return np.concatenate([steps for steps, _ in kept]), joined


def _unpack(chunk: Chunk) -> tuple[Steps, dict[str, Values]]:
    width = chunk.count * _VALUES.itemsize
    start = len(chunk.data) - len(chunk.keys) * width
    if start:
        steps = np.frombuffer(chunk.data, dtype=_STEPS, count=chunk.count)
    else:
        stride = (chunk.last_step - chunk.first_step) // max(chunk.count - 1, 1)
        steps = chunk.first_step + stride * np.arange(chunk.count, dtype=_STEPS)
    columns = {
        key: np.frombuffer(chunk.data, _VALUES, chunk.count, start + place * width)
        for place, key in enumerate(chunk.keys)
    }
    return steps, columns


def _telling_rows(columns: Mapping[str, Values], count: int, max_points: int) -> NDArray[np.intp]:
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
