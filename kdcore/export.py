"""What a run delivers: the student in its forms, and the papers that go with it."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from kdcore.errors import ExportError
from kdcore.events import ArtifactWritten
from kdcore.files import write_file
from kdcore.model import Model
from kdcore.network import OURS, predict, weights_bytes
from kdcore.recipe import Recipe
from kdcore.reporting.markdown import as_markdown, model_card
from kdcore.reporting.page import as_page
from kdcore.reporting.record import Report

_COMPARED = 64
_TOLERANCE = 1e-4
_MEDIA = {
    ".safetensors": "application/vnd.safetensors",
    ".onnx": "application/vnd.onnx",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".html": "text/html; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is known when the last network is trained."""

    recipe: Recipe
    report: Report
    model: Model
    """What the student is built from; an objective may have made it of the recipe's."""
    folder: Path
    seed: int
    """The seed whose student is delivered."""
    student: nn.Module
    teacher: nn.Module | None
    """Where it was trained in this run."""
    assistants: list[nn.Module]
    samples: Tensor
    """`(N, *shape)`: the exported forms are compared on some of these."""
    num_classes: int
    class_names: tuple[str, ...]
    preprocessing: Mapping[str, JsonValue]
    scores: dict[str, Any]
    """Test scores by stage."""


def deliver(delivery: Delivery) -> Iterator[ArtifactWritten]:
    """Write all files, each whole or not at all.

    Raises:
        ExportError: the ONNX file does not compute what the student computes.
        DiskFullError: no room.
    """
    recipe, report, folder = delivery.recipe, delivery.report, delivery.folder
    student = delivery.student.cpu()
    # What other libraries look for in a file.
    metadata = {"format": "pt"} if delivery.model.foreign else None
    write_file(folder / "student.safetensors", weights_bytes(student, metadata))
    yield _written(folder / "student.safetensors", "student")
    difference = None
    if "onnx" in recipe.export:
        content = onnx_bytes(student, delivery.samples[:2].cpu())
        difference = _largest_difference(content, student, delivery.samples[:_COMPARED].cpu())
        write_file(folder / "student.onnx", content)
        yield _written(folder / "student.onnx", "student_onnx")
    if delivery.teacher is not None:
        write_file(folder / "teacher.safetensors", weights_bytes(delivery.teacher))
        yield _written(folder / "teacher.safetensors", "teacher")
    for place, assistant in enumerate(delivery.assistants, start=1):
        path = folder / f"assistant-{place}.safetensors"
        write_file(path, weights_bytes(assistant))
        yield _written(path, "assistant")
    opened = delivery.model.opened(tuple(delivery.samples.shape[1:]), delivery.num_classes)
    documents = {
        "config.json": ("config", _json(_config(delivery, difference))),
        "recipe.json": ("recipe", _json(recipe.model_dump(mode="json"))),
        "verdict.json": ("verdict", _json(report.verdict.model_dump(mode="json"))),
        "report.json": ("report_json", report.model_dump_json(indent=2) + "\n"),
        "report.md": ("report", as_markdown(report)),
        "report.html": ("report_html", as_page(report)),
        "README.md": ("card", model_card(recipe, report.verdict, delivery.seed, opened)),
    }
    for name, (kind, text) in documents.items():
        write_file(folder / name, text.encode())
        yield _written(folder / name, kind)


def onnx_bytes(network: nn.Module, samples: Tensor) -> bytes:
    """Return a network as one ONNX file with a dynamic batch, from `inputs` to `logits`."""
    # The exporter speaks a lot, and not to users of this engine.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(),
            (samples,),
            dynamo=True,
            input_names=["inputs"],
            output_names=["logits"],
            dynamic_shapes=({0: batch},),
            verbose=False,
        )
    if program is None:
        raise ExportError("the ONNX exporter gave nothing back")
    return program.model_proto.SerializeToString()


def _largest_difference(content: bytes, network: nn.Module, samples: Tensor) -> float:
    """Hold the ONNX file against the network on real samples."""
    import onnxruntime

    session = cast("Any", onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]))
    (logits,) = session.run(None, {"inputs": samples.numpy()})
    expected = predict(network, samples)
    difference = float((torch.from_numpy(logits) - expected).abs().max())  # pyright: ignore[reportUnknownMemberType]
    allowed = _TOLERANCE * max(float(expected.abs().max()), 1.0)
    if not difference <= allowed:
        raise ExportError(
            f"student.onnx differs from the network by {difference:g} on real samples; "
            f"at most {allowed:g} is allowed"
        )
    return difference


def _config(delivery: Delivery, difference: float | None) -> dict[str, Any]:
    """Return all that is needed to build the student and to feed it."""
    ours = {
        "format": "stillhouse-student",
        "version": 1,
        "model": delivery.model.delivered().model_dump(mode="json"),
        "input_shape": list(delivery.samples.shape[1:]),
        "task": delivery.recipe.task.name,
        "num_classes": delivery.num_classes,
        "class_names": list(delivery.class_names),
        "preprocessing": dict(delivery.preprocessing),
        "data": delivery.recipe.data.model_dump(mode="json"),
        "seed": delivery.seed,
        "onnx_largest_difference": difference,
        "scores": delivery.scores,
    }
    theirs = delivery.model.library_config(delivery.student)
    return {**theirs, OURS: ours} if theirs else ours


def _json(document: object) -> str:
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _written(path: Path, kind: str) -> ArtifactWritten:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ArtifactWritten(
        name=path.name,
        path=f"{path.parent.name}/{path.name}",
        kind=kind,
        size_bytes=path.stat().st_size,
        sha256=digest,
        media_type=_MEDIA[path.suffix],
    )
