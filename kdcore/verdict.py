"""The verdict: is the student worth having, and was it distillation that made it so?

The rule. For each seed, the student's score on the test part (accuracy, or whatever the task counts
by) minus that of the same network trained without the teacher, from the same initial weights, for
as many steps. Over the seeds, the Student-t
interval of the mean difference: wholly above 0 it `beats`, wholly below 0 it `loses`, wholly within
the tie margin it `ties`, and everything else is `inconclusive`. A spread of less than one test
sample counts as one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from kdcore.gate import Gate
from kdcore.measures import Int8, Timing, speedups

Outcome = Literal["beats", "ties", "loses", "inconclusive"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Sample(_Record):
    """One measure over the seeds."""

    values: list[float]
    mean: float
    std: float | None
    """Sample standard deviation; none for a single value."""

    @classmethod
    def of(cls, values: Sequence[float]) -> Sample:
        """Summarise one value a seed."""
        spread = statistics.stdev(values) if len(values) > 1 else None
        return cls(values=list(values), mean=statistics.fmean(values), std=spread)


class Measured(_Record):
    """One network, measured."""

    score: Annotated[Sample, Field(validation_alias=AliasChoices("score", "accuracy"))]
    """The verdict's `metric` on the test part; 1 is perfect."""
    parameters: int
    size_bytes: int
    """Of its safetensors file."""
    flops: int
    """For one sample."""
    latency_ms: float
    """Median for one sample on one CPU thread."""


class Interval(_Record):
    """A mean difference over paired seeds, and how sure it is."""

    mean: float
    low: float
    high: float
    confidence: float
    values: list[float]
    """One difference a seed."""


class GateResult(_Record):
    """A gate and what was measured."""

    gate: str
    metric: str
    op: str
    target: float
    value: float | None
    passed: bool


class Verdict(_Record):
    """The answer, with everything that it rests on."""

    outcome: Outcome
    sentence: str
    rule: str
    seeds: list[int]
    metric: str = "accuracy"
    """The score that is compared, as gates call it."""
    called: str = "accuracy"
    """The same in words."""
    teacher: Measured
    student: Measured
    baseline: Measured | None
    controls: dict[str, Measured]
    uplift: Interval | None
    """Student minus baseline; none without a baseline or with a single seed."""
    retention: float
    """Share of the teacher's score that the student keeps."""
    agreement: float
    """How far student and teacher say the same on the test part, 1 is wholly, mean over the seeds:
    the share of equal answers; of numbers, the share of the teacher's variance."""
    compression: dict[str, float]
    """Teacher over student: parameters, size, flops, latency."""
    int8: Int8 | None = None
    """The delivered student in int8; none where that form was not asked for."""
    gates: list[GateResult]
    gates_passed: bool | None
    """None where no gate was set."""


def paired_interval(
    differences: Sequence[float], confidence: float, resolution: float = 0.0
) -> Interval | None:
    """Return the Student-t interval of the mean of paired differences; None for fewer than two.

    A spread below `resolution` is taken as that: a few seeds that happen to agree to the sample are
    no certainty.
    """
    count = len(differences)
    if count < 2:  # noqa: PLR2004  # one difference has no spread
        return None
    from scipy.special import stdtrit

    mean = statistics.fmean(differences)
    quantile = float(stdtrit(count - 1, (1 + confidence) / 2))
    half = quantile * max(statistics.stdev(differences), resolution) / math.sqrt(count)
    return Interval(
        mean=mean,
        low=mean - half,
        high=mean + half,
        confidence=confidence,
        values=list(differences),
    )


def decide(uplift: Interval | None, tie_margin: float) -> Outcome:
    """Apply the rule of this file."""
    if uplift is None:
        return "inconclusive"
    if uplift.low > 0:
        return "beats"
    if uplift.high < 0:
        return "loses"
    if -tie_margin < uplift.low and uplift.high < tie_margin:
        return "ties"
    return "inconclusive"


def reach_verdict(  # noqa: PLR0913  # all that a verdict rests on, by name
    *,
    seeds: list[int],
    teacher: Measured,
    student: Measured,
    baseline: Measured | None,
    controls: dict[str, Measured],
    agreement: float,
    confidence: float,
    tie_margin: float,
    test_size: int,
    gates: Sequence[str],
    metric: str = "accuracy",
    called: str = "accuracy",
    teacher_is_truth: bool = False,
    int8: Int8 | None = None,
    timings: Sequence[Timing] = (),
) -> Verdict:
    """Weigh the measured networks against each other and against the gates."""
    differences = [
        distilled - alone
        for distilled, alone in zip(
            student.score.values, baseline.score.values if baseline else [], strict=False
        )
    ]
    uplift = paired_interval(differences, confidence, resolution=1 / test_size)
    outcome = decide(uplift, tie_margin)
    best = teacher.score.mean
    retention = student.score.mean / best if best > 0 else 0.0
    compression = {
        "parameters": teacher.parameters / student.parameters,
        "size": teacher.size_bytes / student.size_bytes,
        "flops": teacher.flops / max(student.flops, 1),
        "latency": teacher.latency_ms / student.latency_ms,
    }
    keeps = f"The student keeps {retention:.1%} of the teacher's {called} "
    if teacher_is_truth:
        keeps = f"The student's {called} is {student.score.mean:.1%} "
    keeps += f"with {compression['parameters']:.1f} times fewer parameters"
    unsaid = "without a baseline nobody can say what distillation was worth."
    if teacher_is_truth:
        unsaid = f"the teacher is the measure, and {unsaid}"
    reached = Verdict(
        outcome=outcome,
        sentence=(_sentence(outcome, uplift, keeps) if baseline else f"{keeps}; {unsaid}")
        + _in_int8(int8),
        rule=(
            f"paired difference of test {called} to the same student without distillation; "
            f"{100 * confidence:g}% Student-t interval over the seeds: above 0 beats, "
            f"below 0 loses, "
            f"within ±{tie_margin:g} ties, otherwise inconclusive; a spread below one test sample "
            f"counts as one"
        ),
        seeds=seeds,
        metric=metric,
        called=called,
        teacher=teacher,
        student=student,
        baseline=baseline,
        controls=controls,
        uplift=uplift,
        retention=retention,
        agreement=agreement,
        compression=compression,
        int8=int8,
        gates=[],
        gates_passed=None,
    )
    values = values_of(reached)
    if timings:
        values["speedup"] = min(speedups(timings), default=compression["latency"])
    results = [_judge(line, values) for line in gates]
    passed = all(result.passed for result in results) if results else None
    return reached.model_copy(update={"gates": results, "gates_passed": passed})


def values_of(verdict: Verdict) -> dict[str, float | None]:
    """Return what gates and objectives are about, by name; None where it was not measured.

    The speedup is that of one sample on one thread.
    """
    student, baseline, int8 = verdict.student, verdict.baseline, verdict.int8
    before = zip(student.score.values, baseline.score.values if baseline else [], strict=False)
    differences = [distilled - alone for distilled, alone in before]
    return {
        f"teacher.{verdict.metric}": verdict.teacher.score.mean,
        f"student.{verdict.metric}": student.score.mean,
        f"baseline.{verdict.metric}": baseline.score.mean if baseline else None,
        "uplift": statistics.fmean(differences) if differences else None,
        "uplift.low": verdict.uplift.low if verdict.uplift else None,
        "retention": verdict.retention,
        "agreement": verdict.agreement,
        "parameters": float(student.parameters),
        "size_mb": student.size_bytes / 1e6,
        "flops": float(student.flops),
        "latency_ms": student.latency_ms,
        "compression": verdict.compression["parameters"],
        "speedup": verdict.compression["latency"],
        f"int8.{verdict.metric}": int8.score if int8 else None,
        "int8.drop": int8.drop if int8 else None,
        "int8.size_mb": int8.size_bytes / 1e6 if int8 else None,
        "int8.latency_ms": int8.latency_ms if int8 else None,
    }


def _judge(line: str, values: dict[str, float | None]) -> GateResult:
    gate = Gate.parse(line)
    value = values[gate.metric]
    return GateResult(
        gate=line,
        metric=gate.metric,
        op=gate.op,
        target=gate.target,
        value=value,
        passed=gate.passes(value),
    )


def _sentence(outcome: Outcome, uplift: Interval | None, keeps: str) -> str:
    if uplift is None:
        return f"{keeps}; one seed is too few to say what distillation was worth."
    points = f"{100 * uplift.mean:+.1f} points [{100 * uplift.low:+.1f}, {100 * uplift.high:+.1f}]"
    says = {
        "beats": "distillation beats training it alone",
        "loses": "distillation loses against training it alone",
        "ties": "distillation ties with training it alone",
        "inconclusive": "whether distillation helped is inconclusive",
    }[outcome]
    return f"{keeps}; {says}: {points} over {len(uplift.values)} seeds."


def _in_int8(int8: Int8 | None) -> str:
    """Tell what int8 costs, where it costs anything."""
    if int8 is None or int8.drop <= 0:
        return ""
    return f" In int8 the delivered student loses {100 * int8.drop:.1f} points."
