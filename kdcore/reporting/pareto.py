"""What each network gives, and what it costs: which of them no other one beats in everything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from kdcore.reporting.record import Point
from kdcore.verdict import Measured, Verdict

_COSTS: Final = ("parameters", "size_bytes", "flops", "latency_ms")


def points(verdict: Verdict) -> list[Point]:
    """Return a point for each measured network; the int8 form is that of one seed."""
    networks: dict[str, Measured] = {"teacher": verdict.teacher, "student": verdict.student}
    if verdict.baseline:
        networks["baseline"] = verdict.baseline
    networks |= verdict.controls
    found = [
        Point(
            network=name,
            score=one.score.mean,
            parameters=one.parameters,
            size_bytes=one.size_bytes,
            # Nobody counts the operations of an ONNX file.
            flops=one.flops or None,
            latency_ms=one.latency_ms,
            front=True,
        )
        for name, one in networks.items()
    ]
    if verdict.int8:
        # Its operations are of another kind, and ONNX Runtime has timed it: not to be compared.
        found.append(
            Point(
                network="int8",
                score=verdict.int8.score,
                parameters=verdict.student.parameters,
                size_bytes=verdict.int8.size_bytes,
                flops=None,
                latency_ms=None,
                front=True,
            )
        )
    return [
        one.model_copy(update={"front": not any(_beats(other, one) for other in found)})
        for one in found
    ]


def _beats(one: Point, other: Point) -> bool:
    """Return whether a point is nowhere worse than another one, and somewhere better."""
    ours, theirs = _numbers(one), _numbers(other)
    if any(math.isnan(number) for number in (*ours, *theirs)):
        return False
    return ours != theirs and all(a <= b for a, b in zip(ours, theirs, strict=True))


def _numbers(one: Point) -> Sequence[float]:
    """Return what is to be low; NaN where it is not known."""
    costs = (getattr(one, cost) for cost in _COSTS)
    return (-one.score, *(math.nan if cost is None else float(cost) for cost in costs))
