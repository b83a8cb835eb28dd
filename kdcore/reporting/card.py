"""The model card that travels with the student, in the form of the Hugging Face hub."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import JsonValue

from kdcore.preparation import Feed
from kdcore.recipe import Recipe
from kdcore.reporting import forms
from kdcore.reporting.licences import as_metadata
from kdcore.reporting.markdown import networks
from kdcore.reporting.plain import plain
from kdcore.reporting.record import Report
from kdcore.tokens import Ids

_IMAGE_DIMENSIONS = 3
_NAMED = 20
"""Classes that are told by name."""


def model_card(recipe: Recipe, report: Report, feed: Feed, opened: str = "") -> str:
    """Return the README; `opened` is Python that opens the student by another library."""
    verdict, input_shape = report.verdict, feed.input_shape
    method = recipe.method.name if recipe.method else "axes written out"
    licence = recipe.teacher.license or "not told; what it allows holds for the student as well"
    inputs = "int64 `(batch, tokens)`, ids of the delivered tokenizer"
    if not isinstance(input_shape, Ids):
        inputs = f"float32 `(batch, {', '.join(map(str, input_shape))})`"
    lines = [
        "---",
        *_metadata(recipe, report, input_shape),
        "---",
        "",
        f"# {plain(recipe.name or 'A distilled student')}",
        "",
        verdict.sentence,
        "",
        f"- Teacher: `{recipe.teacher.model.label()}`; student: `{recipe.student.model.label()}`",
        f"- Licence of the teacher: {licence}",
        f"- Method: {method}",
        f"- Data: {_data(recipe, report, feed)}",
        f"- Seed: {report.quality.seed} of {recipe.seeds}",
        f"- Verdict: {verdict.outcome}, by this rule: {verdict.rule}",
        "",
        *networks(verdict),
        "",
        "FLOPs are for one sample, two for each multiply-add; latency is PyTorch's for one sample",
        "on one CPU thread of the machine that trained it.",
        *forms.as_markdown(report),
        "",
        "## Use it",
        "",
        "With PyTorch: `kdcore.load_student(folder)` builds what `config.json` describes",
        f"and reads `student.safetensors`. It takes {inputs}, prepared as",
        f"`config.json` tells under `preprocessing`, and gives {recipe.task.gives}.",
        "",
    ]
    if opened:
        lines += ["```python", opened, "```", ""]
    for form in ("onnx", "int8"):
        if form in recipe.export:
            lines += _onnx("student.onnx" if form == "onnx" else "student.int8.onnx", inputs)
    if "exported" in recipe.export:
        lines += [
            "```python",
            "import torch",
            "",
            'student = torch.export.load("student.pt2").module()  # runs code: trust its source',
            "logits = student(inputs)",
            "```",
            "",
        ]
    lines += [
        "## Made again",
        "",
        "`python -m kdcore spec.lock out/` trains the same student from the same data.",
        "",
    ]
    return "\n".join(lines)


def _data(recipe: Recipe, report: Report, feed: Feed) -> str:
    """Tell which data it was, how much of it, what its outputs are called, and its sha256."""
    told = [f"`{recipe.data.name}`"]
    if report.data_quality:
        parts = report.data_quality.parts.items()
        told.append(", ".join(f"{one.samples:,} {part} samples" for part, one in parts))
    what = "outputs" if recipe.task.name in {"embedding", "regression"} else "classes"
    names = ", ".join(plain(name) for name in feed.class_names[:_NAMED])
    more = ", …" if len(feed.class_names) > _NAMED else ""
    told.append(f"{feed.num_classes:,} {what}" + (f" ({names}{more})" if names else ""))
    return "; ".join([*told, f"sha256 `{report.digests['data']}`"])


def _onnx(file: str, inputs: str) -> list[str]:
    return [
        "```python",
        "import onnxruntime",
        "",
        f'session = onnxruntime.InferenceSession("{file}")',
        f'(logits,) = session.run(None, {{"inputs": inputs}})  # NumPy, {inputs.replace("`", "")}',
        "```",
        "",
    ]


def _metadata(recipe: Recipe, report: Report, input_shape: tuple[int, ...]) -> Iterator[str]:
    """Tell what the hub reads, as YAML whose values are JSON."""
    kind = _hub_task(recipe, input_shape)
    task: dict[str, JsonValue] = {"type": kind or "other"}
    result: dict[str, JsonValue] = {
        "task": task,
        "dataset": {"name": recipe.data.name, "type": recipe.data.name},
        "metrics": [{"type": recipe.task.metric, "value": report.verdict.student.score.mean}],
    }
    name = recipe.name or f"{recipe.student.model.label()} distilled"
    fields: dict[str, JsonValue] = {
        "library_name": "stillhouse",
        "tags": ["knowledge-distillation"],
        "metrics": [recipe.task.metric],
        "model-index": [{"name": name, "results": [result]}],
    }
    if kind:
        fields["pipeline_tag"] = kind
    if recipe.teacher.license:
        fields |= as_metadata(recipe.teacher.license)
    for field, value in fields.items():
        yield f"{field}: {json.dumps(value)}"


def _hub_task(recipe: Recipe, input_shape: tuple[int, ...]) -> str | None:
    """Return what the hub calls such a task; None where it has no word for it."""
    if isinstance(input_shape, Ids):
        kind = "text"
    else:
        kind = "image" if len(input_shape) == _IMAGE_DIMENSIONS else "tabular"
    if recipe.task.name == "embedding":
        return {"text": "feature-extraction", "image": "image-feature-extraction"}.get(kind)
    if recipe.task.name == "regression":
        return "tabular-regression" if kind == "tabular" else None
    return f"{kind}-classification"
