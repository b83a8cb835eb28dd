"""A job's curves as clients see them."""

from __future__ import annotations

from api.schemas import Body


class StageMetrics(Body):
    """The curves of one stage, in columns of equal length."""

    role: str | None = None
    seed: int | None = None
    columns: dict[str, list[int | float | None]]
    """`step`, and under each key a value or null for each step."""


class MetricsBody(Body):
    """The curves of a job."""

    job: str
    stages: dict[str, StageMetrics]
    points: int
    """Steps in this answer, over all stages."""
    downsampled: bool
    """True where `max_points` left points out; the highest and lowest are always kept."""
