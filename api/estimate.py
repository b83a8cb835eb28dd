"""What a job would take, as it is told."""

from __future__ import annotations

from typing import Literal

from api.schemas import Body


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


class Estimate(Body):
    """What a job would take, at least."""

    object: Literal["estimate"] = "estimate"
    networks: list[NetworkSize]
    """The largest of each part of the spec."""
    steps: int
    """Optimiser steps of all trainings; of epochs of unknown length, one each."""
    memory_bytes: int
    """At the largest of its trainings."""
    disk_bytes: int
    """For checkpoints that are kept at a time, and for every finished network."""
    seconds: Seconds | None
    """Of the trainings; none where no job like it has succeeded yet."""
    waiting: int
    """Jobs of the project that wait already."""
