"""The rule of the verdict, against scipy's own intervals, and the gates."""

import pytest
from scipy import stats

from kdcore.gate import INT8_METRICS, METRICS, SCORES, Gate
from kdcore.verdict import (
    Interval,
    Measured,
    Sample,
    Verdict,
    decide,
    paired_interval,
    reach_verdict,
)


def measured(*accuracy: float, parameters: int = 100) -> Measured:
    return Measured(
        score=Sample.of(accuracy),
        parameters=parameters,
        size_bytes=4 * parameters,
        flops=2 * parameters,
        latency_ms=0.5,
    )


def verdict(
    student: Measured,
    baseline: Measured | None,
    gates: tuple[str, ...] = (),
    metric: str = "accuracy",
) -> Verdict:
    return reach_verdict(
        seeds=list(range(len(student.score.values))),
        teacher=measured(0.9, parameters=1000),
        student=student,
        baseline=baseline,
        controls={},
        agreement=0.8,
        confidence=0.95,
        tie_margin=0.005,
        test_size=1000,
        gates=gates,
        metric=metric,
    )


def test_the_interval_is_that_of_a_paired_t_test():
    student, baseline = [0.81, 0.84, 0.80, 0.86], [0.80, 0.80, 0.81, 0.82]
    theirs = stats.ttest_rel(student, baseline).confidence_interval(0.95)
    ours = paired_interval([s - b for s, b in zip(student, baseline, strict=True)], 0.95)
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.001, 0.02, "beats"),
        (0.0001, 0.0002, "beats"),
        (-0.02, -0.001, "loses"),
        (-0.004, 0.004, "ties"),
        (-0.006, 0.004, "inconclusive"),
        (0.0, 0.01, "inconclusive"),
    ],
)
def test_the_rule(low, high, outcome):
    interval = Interval(mean=(low + high) / 2, low=low, high=high, confidence=0.95, values=[])
    assert decide(interval, 0.005) == outcome


def test_one_seed_or_no_baseline_is_inconclusive():
    assert verdict(measured(0.9), measured(0.1)).outcome == "inconclusive"
    alone = verdict(measured(0.9, 0.8), None)
    assert (alone.outcome, alone.uplift) == ("inconclusive", None)


def test_the_differences_are_paired_by_seed():
    reached = verdict(measured(0.5, 0.7, 0.9), measured(0.4, 0.6, 0.8))
    assert reached.uplift is not None
    assert reached.uplift.values == pytest.approx([0.1, 0.1, 0.1])
    assert reached.outcome == "beats"


def test_seeds_that_happen_to_agree_are_no_certainty():
    reached = verdict(measured(0.504, 0.604), measured(0.5, 0.6))
    assert reached.uplift is not None
    assert reached.uplift.low < 0 < reached.uplift.high
    assert reached.outcome == "inconclusive"


def test_gates_are_judged_by_what_was_measured():
    gates = (
        "student.accuracy >= 0.7",
        "retention > 0.9",
        "size_mb <= 0.0004",
        "compression >= 10",
        "latency_ms < 0.5",
        "agreement >= 0.8",
    )
    reached = verdict(measured(0.6, 0.8), measured(0.6, 0.7), gates)
    assert [result.passed for result in reached.gates] == [True, False, True, True, False, True]
    assert reached.gates_passed is False
    assert verdict(measured(0.6), None).gates_passed is None


def test_what_was_not_measured_does_not_pass():
    reached = verdict(measured(0.6), measured(0.5), ("uplift.low > -1",))
    assert reached.gates[0].value is None
    assert reached.gates_passed is False


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_gated(metric):
    own = score if (score := metric.partition(".")[2]) in SCORES else "accuracy"
    reached = verdict(measured(0.6, 0.8), measured(0.6, 0.7), (f"{metric} >= -1e9",), own)
    # What only the int8 form has was not measured here, and so is not met.
    assert reached.gates_passed is (metric not in INT8_METRICS)


@pytest.mark.parametrize(
    "line", ["", "retention", "retention = 1", "retention >= x", "retention >= nan", "a.b >= 1"]
)
def test_a_line_that_is_no_gate_is_refused(line):
    with pytest.raises(ValueError, match=r"expected|Known"):
        Gate.parse(line)
