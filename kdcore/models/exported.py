"""A teacher in a file of torch.export, which an operator trusts.

Formula
    The program's own, in PyTorch on the CPU, with the threads of the run
Shapes
    (B, *shape) -> (B, C), for any B; a text is ids (B, L)
Paper
    None: it is any network
Source
    pytorch/pytorch, torch/export. Reading such a file can run code, so its sha256 must stand in
    `trusted.sha256` in the inputs folder, where operators alone write; it is never taken from an
    upload. Its layers have no names. It teaches and is never trained.
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


class Exported(Model):
    """A trained network in a program of torch.export, as a teacher."""

    name: Literal["exported"] = "exported"
    path: Annotated[InputPath, Field(examples=["teacher.pt2"])]
    """The file, relative to the inputs folder."""

    foreign = True
    reads_texts = True

    _inputs: Path | None = PrivateAttr(None)

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
        found._inputs = inputs  # noqa: SLF001  # its own
        return found

    def files(self) -> tuple[str, ...]:
        """Return the file."""
        return (self.path,)

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Read the file, if it is trusted.

        Raises:
            RecipeError: it is not there, not trusted, or does not fit the data.
        """
        from kdcore.program_network import ProgramNetwork, require_trust

        if self._inputs is None or not (self._inputs / self.path).is_file():
            raise RecipeError(
                f"{self.path}: no such file in the inputs folder", hint="put the program there"
            )
        content = (self._inputs / self.path).read_bytes()
        require_trust(content, self._inputs, self.path)
        network = ProgramNetwork(content, shown=self.path, input_shape=input_shape)
        if network.num_classes != num_classes:
            raise RecipeError(
                f"{self.path}: found logits for {network.num_classes} classes, and data of "
                f"{num_classes}; expected as many",
                hint="take a teacher for these classes",
            )
        return network

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Return nothing: they are known when the file is read."""

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Return nothing: as above."""
