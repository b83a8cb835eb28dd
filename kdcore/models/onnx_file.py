"""A teacher in an ONNX file.

Formula
    ONNX Runtime on the CPU, with the threads of the run; its logits are one of its outputs
Shapes
    (B, *shape) float32, or ids (B, L) int64 -> (B, C), for any B; its further outputs of floats are
    layers that may be named. Beside ids it may take attention_mask and token_type_ids (B, L), which
    are made out of them
Paper
    The file format is ONNX's: Open Neural Network Exchange, onnx.ai
Source
    onnx/onnx, docs/IR.md (external data, functions, operator sets); microsoft/onnxruntime. One file
    with all its numbers, standard operators alone. It teaches and is never trained: what it says is
    kept by the sha256 of the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, PrivateAttr

from kdcore.errors import RecipeError
from kdcore.inputs import InputPath
from kdcore.model import Model

if TYPE_CHECKING:
    from torch import nn


class OnnxFile(Model):
    """A trained network in an ONNX file, as a teacher."""

    name: Literal["onnx"] = "onnx"
    path: Annotated[InputPath, Field(examples=["teacher.onnx"])]
    """The file, relative to the inputs folder."""
    output: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """Name of the output that gives the logits; `logits`, or the first one, where not given."""

    foreign = True
    reads_texts = True

    _file: Path | None = PrivateAttr(None)

    @property
    def learns(self) -> bool:
        """It does not."""
        return False

    @property
    def comes_trained(self) -> bool:
        """It does."""
        return True

    def located(self, inputs: Path) -> Self:
        """Return the same with its file found."""
        found = self.model_copy()
        found._file = inputs / self.path  # noqa: SLF001  # its own
        return found

    def files(self) -> tuple[str, ...]:
        """Return the file."""
        return (self.path,)

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Read and check the file.

        Raises:
            RecipeError: it is not there, not to be trusted, or does not fit the data.
        """
        from kdcore.onnx_network import LARGEST, OnnxNetwork

        if self._file is None or not self._file.is_file():
            raise RecipeError(
                f"{self.path}: no such file in the inputs folder", hint="put the ONNX file there"
            )
        size = self._file.stat().st_size
        if size > LARGEST:
            raise RecipeError(
                f"{self.path}: found {size:,} bytes; expected at most {LARGEST:,}",
                hint="take a smaller teacher",
            )
        content = self._file.read_bytes()
        network = OnnxNetwork(content, shown=self.path, input_shape=input_shape, output=self.output)
        if network.num_classes != num_classes:
            raise RecipeError(
                f"{self.path}: found logits for {network.num_classes} classes, and data of "
                f"{num_classes}; expected as many",
                hint="take a teacher for these classes, or name another output",
            )
        return network

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Return nothing: they are known when the file is read."""

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Return nothing: as above."""
