"""A network that an earlier job has delivered: its teacher, an assistant, or its student.

Formula
    The network that config.json describes, with the weights of the safetensors file beside it
Shapes
    (B, *input_shape) -> (B, C), as in the job that delivered it; its stages or layers are named as
    there
Paper
    None: it is one of ours or of another library, as that job's recipe says
Source
    This file, and kdcore/delivered.py. Both files are read as data, nothing in them is run. As a
    teacher it is taken as it is, unless `teacher.training` is given; as a student or assistant it
    begins with these weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, PrivateAttr

from kdcore.delivered import CONFIG, Delivered, read_delivered
from kdcore.errors import RecipeError
from kdcore.inputs import InputPath
from kdcore.model import Model
from kdcore.preparation import Expected, Feed, expected
from kdcore.tokens import Ids

if TYPE_CHECKING:
    from torch import nn


class DeliveredNetwork(Model):
    """A network from the files of an earlier job."""

    name: Literal["artifact"] = "artifact"
    path: Annotated[InputPath, Field(examples=["earlier-job"])]
    """Folder of the files in the inputs folder, such as `stillhouse download` writes."""
    file: Annotated[str, Field(pattern=r"^(student|teacher|assistant-[1-8])$")] = "student"
    """Which network: student, teacher, or assistant-1 and so on."""

    foreign = True
    reads_texts = True
    names_a_folder: ClassVar[bool] = True

    _folder: Path | None = PrivateAttr(None)

    @property
    def comes_trained(self) -> bool:
        """It does."""
        return True

    def label(self) -> str:
        """Return which network of which folder it is."""
        return f"{self.name} {self.path} {self.file}"

    def located(self, inputs: Path) -> Self:
        """Return the same with its folder found."""
        found = self.model_copy()
        found._folder = inputs / self.path  # noqa: SLF001  # its own
        return found

    def files(self) -> tuple[str, ...]:
        """Return the description and the weights."""
        return (f"{self.path}/{CONFIG}", f"{self.path}/{self.file}.safetensors")

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Build the network that is described.

        Raises:
            RecipeError: it is not there, or is for other inputs or classes.
        """
        found = self._described()
        theirs = f"{_told(found.input_shape)} and {found.num_classes} classes"
        ours = f"{_told(input_shape)} and {num_classes} classes"
        if theirs != ours:
            raise RecipeError(
                f"{self.path}: found a {self.file} for {theirs}, and data with {ours}; "
                "expected the same",
                hint="name data of that form, or another network",
            )
        return found.model.build(input_shape, num_classes)

    def furnish(self, network: nn.Module, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Read the weights."""
        from kdcore.weights import load_weights

        file = f"{self.file}.safetensors"
        load_weights(network, self._found() / file, f"{self.path}/{file}")

    def expects(self) -> Expected | None:
        """Return what the images of the earlier job were normalised with."""
        told = self._described().preprocessing
        return expected(told.get("mean"), told.get("std"))

    def heads(self, network: nn.Module) -> tuple[str, ...]:
        """Return those of the described model."""
        return self._described().model.heads(network)

    def delivered(self) -> Model:
        """Return the model that is described."""
        return self._described().model.delivered()

    def library_config(self, network: nn.Module, feed: Feed) -> dict[str, JsonValue]:
        """Return what the library of the described model wants to find."""
        return self._described().model.library_config(network, feed)

    def library_weights(self) -> str | None:
        """Return the name that the library of the described model looks for."""
        return self._described().model.library_weights()

    def library_files(
        self, files: Mapping[str, bytes], network: nn.Module, feed: Feed
    ) -> Mapping[str, bytes]:
        """Return them as the library of the described model wants to find them."""
        return self._described().model.library_files(files, network, feed)

    def opened(self, input_shape: tuple[int, ...], num_classes: int) -> str:
        """Return how the library of the described model opens it."""
        return self._described().model.opened(input_shape, num_classes)

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Return nothing: they are known when the folder is read."""

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Return nothing: as above."""

    def _described(self) -> Delivered:
        from kdcore.models import MODELS

        return read_delivered(self._found(), self.file, shown=self.path, models=MODELS)

    def _found(self) -> Path:
        if self._folder is None:
            raise RecipeError(f"found the folder {self.path} and no inputs folder to look in")
        return self._folder


def _told(shape: tuple[int, ...]) -> str:
    if not isinstance(shape, Ids):
        return f"inputs of shape {tuple(shape)}"
    told = ", ".join(f"{name} {value}" for name, value in shape.told().items())
    return f"texts of up to {shape[0]} tokens ({told})"
