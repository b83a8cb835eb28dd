"""What is measured of the forms that a student is delivered in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

Runtime: TypeAlias = Literal["pytorch", "onnxruntime"]
"""What runs a network."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class FormTold(_Record):
    """A form of the delivered student, held against the network on samples of the test part."""

    form: Literal["onnx", "exported"]
    file: str
    size_bytes: int
    samples: int
    """That both were asked about."""
    largest_difference: float
    """Of their logits."""
    tolerance: float
    """The most that was allowed."""


class Int8(_Record):
    """The delivered student in int8; all but the sizes is measured with ONNX Runtime."""

    kind: Literal["static", "dynamic"]
    """Whether the ranges of what layers give were measured beforehand, or are when it runs."""
    seed: int
    """Of the delivered student, which this was made of."""
    calibration_samples: int
    """Training samples that ranges were measured on; 0 where they were not."""
    score: float
    """The verdict's `metric` on the test part."""
    float_score: float
    """Of the same student as it was trained."""
    agreement: float
    """How far both say the same on the test part, 1 is wholly."""
    size_bytes: int
    float_size_bytes: int
    """Of the student's ONNX file."""
    latency_ms: float
    """Median for one sample on one CPU thread."""
    float_latency_ms: float
    """Of the student's ONNX file; both were timed in turns."""

    @property
    def drop(self) -> float:
        """Score that int8 costs; negative where it gains."""
        return self.float_score - self.score


class Timing(_Record):
    """How long one network takes for one batch on one of the declared targets."""

    network: Literal["teacher", "student", "int8"]
    runtime: Runtime
    threads: int
    """CPU threads."""
    batch: int
    """Samples."""
    median_ms: float | None
    """For the batch; none where it was not measured."""
    low_ms: float | None
    """Lower quartile."""
    high_ms: float | None
    """Upper quartile."""
    repeats: int
    """Times that it was measured, the networks in turns."""
    reason: str | None = None
    """Why it was not measured."""


def speedups(timings: Sequence[Timing]) -> list[float]:
    """Return how many times as long as the student the teacher takes, for each target."""
    known = {
        (one.network, one.runtime, one.threads, one.batch): one.median_ms
        for one in timings
        if one.median_ms
    }
    return [
        known["teacher", runtime, threads, batch] / median
        for (network, runtime, threads, batch), median in known.items()
        if network == "student" and ("teacher", runtime, threads, batch) in known
    ]
