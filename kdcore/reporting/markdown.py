"""The report and the model card, as Markdown."""

from __future__ import annotations

import re

from kdcore.quality import Quality
from kdcore.recipe import Recipe
from kdcore.reporting.record import Report
from kdcore.verdict import Measured, Verdict

_MARKS = {True: "✅", False: "❌"}


def as_markdown(report: Report) -> str:
    """Return the report of a run: fit for a pull request's comment."""
    verdict = report.verdict
    lines = [
        f"# {_plain(report.name or 'Distillation')}: {verdict.outcome}",
        "",
        verdict.sentence,
        "",
        *_table(verdict),
        "",
        (
            f"Student and teacher agree to {verdict.agreement:.1%} on the test part. "
            f"The delivered student is that of seed {report.quality.seed}."
        ),
        "",
        *_closely(report.quality),
    ]
    if verdict.gates:
        lines += ["", "| gate | measured | |", "| --- | ---: | --- |"]
        for gate in verdict.gates:
            value = "not measured" if gate.value is None else f"{gate.value:.6g}"
            lines.append(f"| `{gate.gate}` | {value} | {_MARKS[gate.passed]} |")
    if verdict.uplift:
        values = ", ".join(f"{100 * value:+.2f}" for value in verdict.uplift.values)
        lines += ["", f"Student minus baseline by seed, in points: {values}."]
    lines += ["", f"Rule: {verdict.rule}.", ""]
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
                f"| {_plain(target.name)} | {name} "
                f"| {one.r2:.4f} | {one.rmse:.4g} | {one.mae:.4g} |"
                for target in quality.targets
                for name, one in target.networks.items()
            ]
            return [
                "| target | network | R² | RMSE | MAE |",
                "| --- | --- | ---: | ---: | ---: |",
                *rows,
            ]


def model_card(recipe: Recipe, verdict: Verdict, seed: int, opened: str = "") -> str:
    """Return the README that travels with the student; `opened` is Python of another library."""
    method = recipe.method.name if recipe.method else "axes written out"
    lines = [
        "---",
        "library_name: stillhouse",
        "tags: [knowledge-distillation]",
        "---",
        "",
        f"# {_plain(recipe.name or 'A distilled student')}",
        "",
        verdict.sentence,
        "",
        f"- Teacher: `{recipe.teacher.model.name}`; student: `{recipe.student.model.name}`",
        f"- Method: {method}; data: `{recipe.data.name}`; seed {seed} of {recipe.seeds}",
        "",
        *_table(verdict),
        "",
        "## Use it",
        "",
        "With PyTorch: `kdcore.load_student(folder)` builds what `config.json` describes",
        "and reads `student.safetensors`.",
        "",
    ]
    if opened:
        lines += ["```python", opened, "```", ""]
    if "onnx" in recipe.export:
        lines += [
            "```python",
            "import onnxruntime",
            "",
            'session = onnxruntime.InferenceSession("student.onnx")',
            '(logits,) = session.run(None, {"inputs": inputs})  # float32, (B, *input_shape)',
            "```",
            "",
        ]
    return "\n".join(lines)


def _plain(name: str) -> str:
    """Return a name that is text and nothing else in Markdown."""
    return re.sub(r"([\\`*_\[\]<>#|!])", r"\\\1", name)


def _table(verdict: Verdict) -> list[str]:
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
