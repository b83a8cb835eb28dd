"""A trained network in int8, by post-training quantisation of its ONNX file.

Weights are int8 for each channel, what layers give is int8 as well: int8 by int8 does not overflow
on processors that add pairs in 16 bits. Static: ranges are the smallest and largest values seen on
calibration samples, Jacob et al., Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, arXiv:1712.05877, section 3.1. Dynamic: ranges of each batch.
microsoft/onnxruntime, onnxruntime/python/tools/quantization.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

import torch
from torch import Tensor

from kdcore.errors import ExportError
from kdcore.portable import asked_onnx
from kdcore.shipping import Quantization
from kdcore.task import Task

Kind: TypeAlias = Literal["static", "dynamic"]
_BATCH: Final = 32
_DRAWN: Final = 0


@dataclass(frozen=True, slots=True)
class Quantized:
    """An ONNX file in int8."""

    kind: Kind
    content: bytes
    samples: int
    """That ranges were measured on."""


def calibration_samples(inputs: Tensor, count: int) -> Tensor:
    """Return `count` of the samples `(N, *shape)`, or all: always the same ones."""
    draw = torch.Generator().manual_seed(_DRAWN)
    return inputs[torch.randperm(len(inputs), generator=draw)[:count].to(inputs.device)].cpu()


def quantized(content: bytes, how: Quantization, samples: Tensor, task: Task) -> Quantized:
    """Return an ONNX file of ours in int8; ranges are measured on samples `(N, *shape)`.

    Where both kinds are allowed, the one is taken that agrees more with the file.

    Raises:
        ExportError: it cannot be quantised.
    """
    kinds: list[Kind] = ["static", "dynamic"] if how.kind == "auto" else [how.kind]
    made: list[Quantized] = []
    faults: list[str] = []
    for kind in kinds:
        try:
            made.append(_quantized(content, kind, samples))
        except Exception as error:  # noqa: BLE001  # what ONNX Runtime finds wrong is of any kind
            faults.append(f"{kind}: {str(error).partition(chr(10))[0][:200]}")
    if not made:
        raise ExportError(
            f"the student cannot be quantised ({'; '.join(faults)})",
            hint="leave int8 out of `export`",
        )
    if len(made) == 1:
        return made[0]
    said = asked_onnx(content, samples)

    def agreement(one: Quantized) -> float:
        outputs = asked_onnx(one.content, samples)
        return task.score(outputs, task.hard(said), said)["agreement"]

    return max(made, key=agreement)


def _quantized(content: bytes, kind: Kind, samples: Tensor) -> Quantized:
    with tempfile.TemporaryDirectory() as name, _quietly():
        given, prepared, result = (Path(name) / f"{word}.onnx" for word in ("a", "b", "c"))
        given.write_bytes(content)
        _prepare(given, prepared)
        if kind == "static":
            _static(prepared, result, samples)
        else:
            _dynamic(prepared, result)
        return Quantized(kind, result.read_bytes(), len(samples) if kind == "static" else 0)


def _prepare(given: Path, result: Path) -> None:
    """Write a file with shapes inferred and batch norms folded, as quantisation wants it."""
    from onnxruntime.quantization import shape_inference

    prepare = cast("Any", shape_inference).quant_pre_process
    prepare(str(given), str(result), skip_symbolic_shape=True)


def _static(prepared: Path, result: Path, samples: Tensor) -> None:
    from onnxruntime import quantization

    ours = cast("Any", quantization)

    class Reader(ours.CalibrationDataReader):  # the library asks for a subclass
        def __init__(self) -> None:
            self._batches = iter(cast("tuple[Tensor, ...]", samples.split(_BATCH)))

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"inputs": batch.numpy()}

    ours.quantize_static(
        str(prepared),
        str(result),
        Reader(),
        quant_format=ours.QuantFormat.QDQ,
        per_channel=True,
        activation_type=ours.QuantType.QInt8,
        weight_type=ours.QuantType.QInt8,
    )


def _dynamic(prepared: Path, result: Path) -> None:
    import onnx
    from onnxruntime import quantization

    ours, model = cast("Any", quantization), cast("Any", onnx.load(str(prepared)))
    # It turns matrices around, and then finds the shapes wrong that they had before.
    del model.graph.value_info[:]
    onnx.save(model, str(prepared))
    ours.quantize_dynamic(
        str(prepared), str(result), per_channel=True, weight_type=ours.QuantType.QInt8
    )


@contextmanager
def _quietly() -> Generator[None]:
    """Keep what the library says to itself: it speaks to the root logger, of what we have done."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(before)
