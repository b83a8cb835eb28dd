"""What a job would take, as it is told."""

from __future__ import annotations

from typing import Literal

from api.preflights import KnownPreflight
from api.schemas import Body
from jobs.experience import Pace


class NetworkSize(Body):
    """How large a network is."""

    pointer: str
    """JSON pointer to the part of the spec that describes it."""
    parameters: int | None
    """None where only a worker can know, which reads the data and builds it."""
    flops: int | None = None
    """Operations for one sample, two for each multiply-add; none as above."""


class Seconds(Body):
    """How long the trainings of a job would take, as earlier ones did."""

    lowest: float
    median: float
    highest: float
    jobs: int
    """Earlier jobs that this is taken from."""


def seconds_of(pace: Pace, steps: int) -> Seconds:
    """Return how long so many steps take at a pace."""
    return Seconds(
        lowest=steps * pace.lowest,
        median=steps * pace.median,
        highest=steps * pace.highest,
        jobs=pace.jobs,
    )


class Estimate(Body):
    """What a job would take, at least: a finished preflight of the same spec tells more of it."""

    object: Literal["estimate"] = "estimate"
    networks: list[NetworkSize]
    """The largest of each part of the spec."""
    steps: int
    """Optimiser steps of all trainings; of epochs of unknown length, one each."""
    steps_known: bool
    """False where an epoch has an unknown length: `steps` is then far too low."""
    memory_bytes: int
    """At the largest of its trainings, on its device."""
    disk_bytes: int
    """For checkpoints that are kept at a time, and for every finished network."""
    teacher_cache_bytes: int | None
    """For the teachers' answers; none before a preflight has found out."""
    seconds: Seconds | None
    """Of the trainings; none where the steps are not known, or no job like it has succeeded yet."""
    notes: list[str]
    """Why something is not known, and the way to know it."""
    preflight: KnownPreflight
    waiting: int
    """Jobs of the project that wait already."""
