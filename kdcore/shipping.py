"""What a recipe says of the forms that its student is delivered in, and of what they are timed on.

Nothing of this changes the student: all of it happens when the trainings are over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, cast

from pydantic import BeforeValidator, Field

from kdcore.entry import Record
from kdcore.errors import RecipeError
from kdcore.gate import INT8_METRICS, Gate
from kdcore.measures import Runtime

if TYPE_CHECKING:
    from kdcore.recipe import Recipe

Form: TypeAlias = Literal["safetensors", "onnx", "exported", "int8"]
Forms = Annotated[list[Form], Field(min_length=1, max_length=4)]
"""safetensors is always among them; exported is a torch.export program, int8 a quantised ONNX
file."""


class Quantization(Record):
    """How the int8 form is made of the trained student."""

    kind: Literal["auto", "static", "dynamic"] = "auto"
    """static measures the ranges of what layers give on samples beforehand, dynamic has them
    measured whenever it runs. auto makes both, and keeps the one that agrees more with the
    student on these samples."""
    calibration_samples: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Training samples that ranges are measured on; always the same ones."""


class Target(Record):
    """What a network is timed on."""

    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads."""
    batch: Annotated[int, Field(ge=1, le=4096)] = 1
    """Samples at a time."""


class Latency(Record):
    """Where teacher and student are timed, beside one sample on one thread."""

    targets: Annotated[list[Target], Field(max_length=16)] = []
    """Threads and batches, such as `{threads: 2, batch: 32}`."""
    runtimes: Annotated[list[Runtime], Field(min_length=1, max_length=2)] = [
        "pytorch",
        "onnxruntime",
    ]
    """What runs them; for ONNX Runtime the teacher is exported for this alone."""
    repeats: Annotated[int, Field(ge=3, le=1000)] = 30
    """Times that each is measured; fewer where a target would take more than ten seconds."""


def _targets(value: object) -> object:
    """Let a list of targets stand for the whole block."""
    return {"targets": cast("object", value)} if isinstance(value, list) else value


LatencyField = Annotated[Latency, BeforeValidator(_targets)]


def forms_are_delivered(recipe: Recipe) -> None:
    """Refuse what is said or asked of an int8 form that nobody makes.

    Raises:
        RecipeError: as above.
    """
    if "int8" in recipe.export:
        return
    hint = "add int8 to export, or leave it out"
    if recipe.quantization != Quantization():
        raise RecipeError(
            "found quantization, and no int8 among the forms in export; expected both or none",
            hint=hint,
            pointer="/quantization",
        )
    gated = {Gate.parse(line).metric for line in recipe.gates}
    if lost := sorted(gated & set(INT8_METRICS)):
        raise RecipeError(
            f"found a gate on {', '.join(lost)}, and no int8 among the forms in export; "
            "expected the form that it is about",
            hint=hint,
            pointer="/gates",
        )
