"""What all forms of the report say alike of the student's forms and of times."""

from __future__ import annotations

from typing import Final

from kdcore.measures import Int8, Timing
from kdcore.reporting.record import Report

_RUNTIMES: Final = {"pytorch": "PyTorch", "onnxruntime": "ONNX Runtime"}


def runtime(timing: Timing) -> str:
    """Return what has run a network, as it is spelt."""
    return _RUNTIMES[timing.runtime]


def int8(form: Int8, called: str) -> str:
    """Tell in one sentence each what int8 costs, and what it is worth."""
    change = 100 * (form.score - form.float_score)
    ranges = "when it runs"
    if form.kind == "static":
        ranges = f"on {form.calibration_samples} training samples"
    smaller = form.float_size_bytes / form.size_bytes
    faster = form.float_latency_ms / form.latency_ms
    return (
        f"student.int8.onnx, of seed {form.seed}, {form.kind}: ranges are measured {ranges}. Test "
        f"{called} {100 * form.score:.2f} %, {change:+.2f} points; it agrees with the student to "
        f"{form.agreement:.1%} on the test part. {form.size_bytes / 1000:,.1f} kB, "
        f"{_times(smaller, 'as small', 'as large')} as student.onnx; {form.latency_ms:.3f} ms for "
        f"one sample on one thread, {_times(faster, 'as fast', 'as slow')}."
    )


def _times(factor: float, better: str, worse: str) -> str:
    if factor >= 1:
        return f"{factor:.2g} times {better}"
    return f"{1 / factor:.2g} times {worse}"


def as_markdown(report: Report) -> list[str]:
    """Return the tables of forms and times, in Markdown."""
    lines: list[str] = []
    for one in report.forms:
        lines += [
            "",
            (
                f"`{one.file}` differs from the student by at most {one.largest_difference:.2g} on "
                f"{one.samples} test samples (allowed: {one.tolerance:.2g})."
            ),
        ]
    if report.verdict.int8:
        lines += ["", f"In int8: {int8(report.verdict.int8, report.verdict.called)}"]
    return lines + _times_table(report.timings)


def _times_table(timings: list[Timing]) -> list[str]:
    """Return a table of times, in Markdown."""
    if not timings:
        return []
    lines = [
        "",
        "| network | run by | threads | batch | median | quartiles | repeats |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in timings:
        took = f"not measured: {one.reason} | | "
        if one.median_ms is not None:
            took = f"{one.median_ms:.3f} ms | {one.low_ms:.3f} to {one.high_ms:.3f} | {one.repeats}"
        who = f"| {one.network} | {runtime(one)} | {one.threads} | {one.batch} |"
        lines.append(f"{who} {took} |")
    return lines
