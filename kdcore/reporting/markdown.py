"""The report as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from kdcore.quality import Quality, VectorQuality
from kdcore.reporting import folded, forms
from kdcore.reporting.plain import plain
from kdcore.reporting.record import Report
from kdcore.verdict import Measured, Verdict

_MARKS = {True: "✅", False: "❌"}


def as_markdown(report: Report) -> str:
    """Return the report of a run: fit for a pull request's comment."""
    verdict = report.verdict
    lines = [
        f"# {plain(report.name or 'Distillation')}: {verdict.outcome}",
        "",
        verdict.sentence,
        "",
        *networks(verdict),
        "",
        (
            f"Student and teacher agree to {verdict.agreement:.1%} on the test part. "
            f"The delivered student is that of seed {report.quality.seed}."
        ),
        "",
        *_closely(report.quality),
        *_front(report),
        *forms.as_markdown(report),
    ]
    if verdict.gates:
        lines += ["", "| gate | measured | |", "| --- | ---: | --- |"]
        for gate in verdict.gates:
            value = "not measured" if gate.value is None else f"{gate.value:.6g}"
            lines.append(f"| `{gate.gate}` | {value} | {_MARKS[gate.passed]} |")
    if verdict.uplift:
        values = ", ".join(f"{100 * value:+.2f}" for value in verdict.uplift.values)
        lines += ["", f"Student minus baseline by seed, in points: {values}."]
    if report.data_quality and report.data_quality.notes:
        lines += ["", "Of the data:", ""]
        lines += [f"- {plain(note.message)}: {note.hint}." for note in report.data_quality.notes]
    lines += ["", f"Rule: {verdict.rule}.", *folded.as_markdown(report), ""]
    return "\n".join(lines)


def _closely(quality: Quality) -> list[str]:
    """Return what the numbers of the verdict hide."""
    match quality.kind:
        case "classification":
            errors = [f"{name} {100 * one.ece:.1f} %" for name, one in quality.calibration.items()]
            wrong = quality.only_teacher + quality.neither
            return [
                f"Where it is wrong, the teacher is right on {quality.only_teacher} of {wrong}.",
                "",
                f"Expected calibration error: {', '.join(errors)}.",
            ]
        case "multi_label":
            found = [f"{name} {100 * one:.1f} %" for name, one in quality.micro_f1.items()]
            return [f"Micro F1: {', '.join(found)}."]
        case "regression":
            rows = [
                f"| {plain(target.name)} | {name} | {one.r2:.4f} | {one.rmse:.4g} | {one.mae:.4g} |"
                for target in quality.targets
                for name, one in target.networks.items()
            ]
            return [
                "| target | network | R² | RMSE | MAE |",
                "| --- | --- | ---: | ---: | ---: |",
                *rows,
            ]
        case "embedding":
            return [*_vectors(quality)]


def _vectors(quality: VectorQuality) -> Iterator[str]:
    yield "| network | nearest is the teacher's | neighbours shared | nearest is of its class |"
    yield "| --- | ---: | ---: | ---: |"
    for name, one in quality.networks.items():
        own = "" if one.same_class is None else f"{100 * one.same_class:.1f} %"
        yield f"| {name} | {100 * one.nearest:.1f} % | {100 * one.overlap:.1f} % | {own} |"
    yield ""
    yield f"Searched: {quality.searched:,} test samples, for {quality.neighbours} neighbours each."
    yield f"One vector for all samples would reach a cosine of {quality.constant:.4f}."


def _front(report: Report) -> list[str]:
    names = [one.network for one in report.pareto if one.front]
    if not names:
        return []
    return ["", f"On the Pareto front of {report.verdict.called} and costs: {', '.join(names)}."]


def networks(verdict: Verdict) -> list[str]:
    """Return the table of the compared networks."""
    rows = [("teacher", verdict.teacher), ("**student**", verdict.student)]
    if verdict.baseline:
        rows.append(("baseline (no distillation)", verdict.baseline))
    rows += [(f"control: {name}", measured) for name, measured in verdict.controls.items()]
    return [
        f"| network | test {verdict.called} | parameters | size | FLOPs | latency |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(_row(name, measured) for name, measured in rows),
    ]


def _row(name: str, measured: Measured) -> str:
    score = f"{100 * measured.score.mean:.2f} %"
    if measured.score.std is not None:
        score += f" ± {100 * measured.score.std:.2f}"
    return (
        f"| {name} | {score} | {measured.parameters:,} | {measured.size_bytes / 1000:,.1f} kB "
        f"| {measured.flops:,} | {measured.latency_ms:.3f} ms |"
    )
