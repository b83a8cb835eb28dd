"""What a run delivers: the student in its forms, and the papers that go with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from torch import Tensor, nn

from kdcore.delivered import OURS
from kdcore.events import ArtifactWritten
from kdcore.files import write_file
from kdcore.locking import Lock
from kdcore.model import Model
from kdcore.network import weights_bytes
from kdcore.parcel import Parcel
from kdcore.preparation import Feed
from kdcore.recipe import Recipe
from kdcore.reporting.card import model_card
from kdcore.reporting.markdown import as_markdown
from kdcore.reporting.page import as_page
from kdcore.reporting.record import Report
from kdcore.tokens import Ids

_MEDIA = {
    ".safetensors": "application/vnd.safetensors",
    ".onnx": "application/vnd.onnx",
    ".pt2": "application/octet-stream",
    ".json": "application/json",
    ".lock": "application/json",
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
    parcel: Parcel
    """The student's other forms."""
    lock: Lock
    """What all of it was made with."""
    teacher: nn.Module | None
    """Where it was trained in this run."""
    assistants: list[nn.Module]
    models: dict[str, Model]
    """What the delivered networks beside the student are built from, by file."""
    samples: Tensor
    """`(N, *shape)`, of the test part."""
    input_shape: tuple[int, ...]
    num_classes: int
    class_names: tuple[str, ...]
    preprocessing: Mapping[str, JsonValue]
    scores: dict[str, Any]
    """Test scores by stage."""
    files: Mapping[str, bytes]
    """What the data brings along, such as a tokenizer, by name."""


def deliver(delivery: Delivery) -> Iterator[ArtifactWritten]:
    """Write all files, each whole or not at all.

    Raises:
        DiskFullError: no room.
    """
    recipe, report, folder = delivery.recipe, delivery.report, delivery.folder
    student = delivery.student.cpu()
    # What other libraries look for in a file.
    metadata = {"format": "pt"} if delivery.model.foreign else None
    write_file(folder / "student.safetensors", weights_bytes(student, metadata))
    yield _written(folder / "student.safetensors", "student")
    if again := delivery.model.library_weights():
        write_file(folder / again, weights_bytes(student, metadata))
        yield _written(folder / again, "student_weights")
    for file in delivery.parcel.files:
        write_file(folder / file.name, file.content)
        yield _written(folder / file.name, file.kind)
    if delivery.teacher is not None:
        write_file(folder / "teacher.safetensors", weights_bytes(delivery.teacher))
        yield _written(folder / "teacher.safetensors", "teacher")
    for place, assistant in enumerate(delivery.assistants, start=1):
        path = folder / f"assistant-{place}.safetensors"
        write_file(path, weights_bytes(assistant))
        yield _written(path, "assistant")
    feed = _feed(delivery)
    for name, content in delivery.model.library_files(delivery.files, student, feed).items():
        write_file(folder / name, content)
        yield _written(folder / name, "preprocessing")
    opened = delivery.model.opened(delivery.input_shape, delivery.num_classes)
    documents = {
        "config.json": ("config", _json(_config(delivery))),
        "recipe.json": ("recipe", _json(recipe.model_dump(mode="json"))),
        "spec.lock": ("lock", _json(_locked(recipe, delivery.lock))),
        "verdict.json": ("verdict", _json(report.verdict.model_dump(mode="json"))),
        "report.json": ("report_json", report.model_dump_json(indent=2) + "\n"),
        "report.md": ("report", as_markdown(report)),
        "report.html": ("report_html", as_page(report)),
        "README.md": ("card", model_card(recipe, report, feed, opened)),
    }
    for name, (kind, text) in documents.items():
        write_file(folder / name, text.encode())
        yield _written(folder / name, kind)


def _config(delivery: Delivery) -> dict[str, Any]:
    """Return all that is needed to build the student and to feed it."""
    differences = {one.form: one.largest_difference for one in delivery.parcel.forms}
    ours = {
        "format": "stillhouse-student",
        "version": 1,
        "model": delivery.model.delivered().model_dump(mode="json"),
        "networks": {
            file: model.delivered().model_dump(mode="json")
            for file, model in delivery.models.items()
        },
        "input_shape": list(delivery.input_shape),
        "task": delivery.recipe.task.name,
        "num_classes": delivery.num_classes,
        "class_names": list(delivery.class_names),
        "preprocessing": dict(delivery.preprocessing),
        "data": delivery.recipe.data.model_dump(mode="json"),
        "seed": delivery.seed,
        "onnx_largest_difference": differences.get("onnx"),
        "scores": delivery.scores,
    }
    if isinstance(delivery.input_shape, Ids):
        ours["ids"] = delivery.input_shape.told()
    theirs = delivery.model.library_config(delivery.student, _feed(delivery))
    # transformers takes all that stands beside its own for settings of the network.
    return {**theirs, OURS: ours} if "model_type" in theirs else {**theirs, **ours}


def _feed(delivery: Delivery) -> Feed:
    return Feed(
        input_shape=delivery.input_shape,
        num_classes=delivery.num_classes,
        class_names=delivery.class_names,
        preprocessing=delivery.preprocessing,
    )


def _locked(recipe: Recipe, lock: Lock) -> dict[str, Any]:
    """Return the recipe with all that replays it exactly; it is a recipe, and a spec, itself."""
    return {**recipe.model_dump(mode="json"), "lock": lock.model_dump(mode="json")}


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
