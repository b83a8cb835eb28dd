"""What is told of networks and specs that were looked at, before anything is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class LayerTold(_Record):
    """One layer, or one tensor of a file of weights."""

    path: str
    """As objectives name it."""
    shape: list[int]
    """Of what it gives for one sample; of a file of weights, that of the tensor."""
    parameters: int | None
    """With all that is in it; None where it has none of its own."""
    role: Literal["map", "embedding"] | None = None
    """What objectives take it for, where none is named."""


class NetworkTold(_Record):
    """One network of a spec."""

    model: str
    parameters: int
    flops: int | None
    """Operations for one sample, two for each multiply-add; None where nobody can count them."""
    layers: list[LayerTold]


class ModelLayers(_Record):
    """What is in the file of a model."""

    format: Literal["onnx", "safetensors", "folder"]
    of: Literal["layers", "tensors"]
    """What is listed: layers where the file says how they are put together, or else its tensors."""
    input_shape: list[int] | None
    """Of one sample; None where the file does not say."""
    parameters: int
    layers: list[LayerTold]


class TensorTold(_Record):
    """One tensor of a file of weights that does not fit the network."""

    name: str
    found: list[int] | None
    """Its shape in the file; None where it is not there."""
    expected: list[int] | None
    """Its shape in the network; None where that has no such tensor."""


class FitProblem(_Record):
    """One reason why a spec would fail."""

    pointer: str
    """JSON pointer to the place in the spec; empty for the whole of it."""
    code: str
    message: str
    hint: str
    tensors: list[TensorTold] = []
    """Of weights, all tensors that do not fit, up to 1,000 of them; the message tells a few."""


class Preflight(_Record):
    """A spec, tried out on its own data: one step of each training, on the CPU."""

    format: Literal["stillhouse-preflight"] = "stillhouse-preflight"
    version: Literal[1] = 1
    compatible: bool
    """Whether nothing was found that a job would fail of."""
    problems: list[FitProblem]
    input_shape: list[int] | None
    """Of one sample; None where the data cannot be read."""
    num_classes: int | None
    samples: dict[str, int]
    """By part of the data."""
    teacher: NetworkTold | None
    """None where it cannot be built."""
    student: NetworkTold | None
    steps: int
    """Optimiser steps of all trainings and seeds, now that the data is known."""
    step_seconds: dict[str, float]
    """What the first step of each training took on the CPU, by stage; later ones are faster."""
    loss: dict[str, float]
    """Of that step, by stage."""
    peak_memory_bytes: int
    """The most that the process which tried it out had in memory, with the libraries and data."""
    device_memory_bytes: int | None = None
    """What the largest training needs on its device, in float32: the data, weights, gradients, the
    optimiser's state, averages, teachers, and what a step keeps of its batch; without libraries,
    and what kernels need for a moment. None where a training could not be tried."""
    disk_bytes: int | None = None
    """For the checkpoints that are kept at a time, and for every finished network; else as above.
    """
    teacher_cache_bytes: int | None = None
    """For the teachers' answers, where none of them is kept yet; 0 where they are asked in every
    step. None as above."""
    warnings: list[str]
