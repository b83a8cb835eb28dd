"""Image classifiers of transformers: from a folder, or from their settings alone.

Formula
    AutoModelForImageClassification of config.json; its `logits` are what comes out
Shapes
    (B, channels, H, W) -> (B, C); layers are named by their paths, such as `vit.layers.1`
Paper
    Wolf et al. HuggingFace's Transformers: State-of-the-art Natural Language Processing. 2019.
    arXiv:1910.03771. Each architecture there names its paper.
Source
    huggingface/transformers, src/transformers/models/auto/modeling_auto.py; the networks are
    theirs, unchanged, of the architectures that are listed here. Nothing is fetched and no code of
    the folder is run: config.json is read as JSON, model.safetensors as numbers, and a folder with
    `auto_map`, Python or pickles in it is refused. Needs the extra `hub` where the job runs.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from pydantic import Field, JsonValue, PrivateAttr

from kdcore.errors import RecipeError, WeightsError
from kdcore.hub import CONFIG, WEIGHTS, Settings, plain, read_config
from kdcore.inputs import InputPath
from kdcore.model import Foreign, Model, image_shape

if TYPE_CHECKING:
    from torch import nn


class _HuggingFace(Foreign):
    """What both have in common."""

    def settings(self) -> Mapping[str, JsonValue]:
        """Return what the network is built from."""
        raise NotImplementedError

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Build transformers' network, whose logits come out of it."""
        from kdcore.vision import first_line, import_transformers

        channels, height, width = image_shape(self.name, input_shape)
        settings = dict(self.settings())
        labels = settings.pop("id2label", None)
        kind = str(settings.pop("model_type"))
        if isinstance(labels, dict) and len(labels) == num_classes:
            settings["id2label"] = {int(place): label for place, label in labels.items()}  # type: ignore[assignment]
        else:
            settings["num_labels"] = num_classes
        transformers = import_transformers()
        try:
            config = transformers.AutoConfig.for_model(kind, **settings)
            self._fit(config, channels)
            network = transformers.AutoModelForImageClassification.from_config(config)
        except RecipeError:
            raise
        except Exception as error:  # noqa: BLE001  # what transformers finds wrong is of any kind
            raise RecipeError(
                f"transformers cannot build {kind} for images of {channels}x{height}x{width} with "
                f"{num_classes} classes: {first_line(error)}",
                hint="change its settings",
            ) from None
        network.register_forward_hook(_logits)
        return network

    def library_config(self, network: nn.Module) -> dict[str, JsonValue]:
        """Return what `from_pretrained` wants to find beside the delivered weights."""
        config = cast("Any", network).config.to_diff_dict()
        return {
            **json.loads(json.dumps(config)),
            "architectures": [type(network).__name__],
            "transformers_weights": "student.safetensors",
        }

    def opened(self, input_shape: tuple[int, ...], num_classes: int) -> str:
        """Return how transformers opens it."""
        return (
            "from transformers import AutoModelForImageClassification\n\n"
            'student = AutoModelForImageClassification.from_pretrained(".")  # this folder'
        )

    def _fit(self, config: Any, channels: int) -> None:
        """Take the data's channels, unless the settings name others."""
        named = self.settings().get("num_channels")
        if named is not None and named != channels:
            raise RecipeError(
                f"found num_channels {named}, and images of {channels} channels; expected the same",
                hint="take data of as many channels, or a network for them",
            )
        config.num_channels = channels


class HuggingFaceConfig(_HuggingFace):
    """A network of transformers that nobody has trained, from its settings."""

    name: Literal["huggingface_config"] = "huggingface_config"
    config: Annotated[
        Settings,
        Field(examples=[{"model_type": "resnet", "depths": [1, 1], "hidden_sizes": [8, 16]}]),
    ]
    """What a config.json says of the architecture: `model_type` and its sizes; what is left out is
    as the library has it. Channels and classes are the data's."""

    def settings(self) -> Mapping[str, JsonValue]:
        """Return the settings as they are."""
        return cast("Mapping[str, JsonValue]", self.config)


class HuggingFace(_HuggingFace):
    """A network of transformers with its weights, from a folder in the inputs folder."""

    name: Literal["huggingface"] = "huggingface"
    path: Annotated[InputPath, Field(examples=["my-vit"])]
    """Folder with config.json and model.safetensors, such as `save_pretrained` writes; as a teacher
    it is taken as it is, unless `teacher.training` is given."""
    new_head: bool = False
    """Draw the head for the data's classes anew, whatever classes the folder's is for. Such a
    teacher is trained first, from these weights."""

    _folder: Path | None = PrivateAttr(None)

    @property
    def comes_trained(self) -> bool:
        """Whether it knows the data's classes."""
        return not self.new_head

    def located(self, inputs: Path) -> Self:
        """Return the same with its folder found."""
        found = self.model_copy()
        found._folder = inputs / self.path  # noqa: SLF001  # its own
        return found

    def files(self) -> tuple[str, ...]:
        """Return the two files of the folder."""
        return (f"{self.path}/{CONFIG}", f"{self.path}/{WEIGHTS}")

    def settings(self) -> Mapping[str, JsonValue]:
        """Read config.json."""
        return read_config(self._found(), self.path)

    def furnish(self, network: nn.Module, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Read the weights."""
        from kdcore.vision import first_line, import_transformers

        shown = f"{self.path}/{WEIGHTS}"
        weights = self._found().resolve() / WEIGHTS
        if not weights.is_file():
            raise WeightsError(
                f"{shown}: no such file in the inputs folder",
                hint="save the network with save_pretrained, as one safetensors file",
            )
        theirs = import_transformers().AutoModelForImageClassification
        # Older files have older names, which the library knows. It is shown numbers alone.
        with tempfile.TemporaryDirectory() as shut:
            cast("Any", network).config.save_pretrained(shut)
            (Path(shut) / WEIGHTS).symlink_to(weights)
            try:
                loaded, told = theirs.from_pretrained(
                    shut,
                    local_files_only=True,
                    use_safetensors=True,
                    trust_remote_code=False,
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                    dtype="float32",
                )
            except Exception as error:  # noqa: BLE001  # what transformers finds is of any kind
                raise WeightsError(
                    f"{shown}: no readable safetensors file for its config.json "
                    f"({first_line(error)})"
                ) from None
        others = [str(one[0]) for one in told["mismatched_keys"]]
        strange = [*told["missing_keys"], *told["unexpected_keys"]]
        if not self.new_head:
            strange += others
        if strange:
            heads = f" for {num_classes} classes" if others else ""
            raise WeightsError(
                f"{shown} does not fit the network{heads}, in {', '.join(sorted(strange)[:5])}",
                hint="set new_head: true, to have a new head trained"
                if others
                else "save the network with save_pretrained",
            )
        network.load_state_dict(loaded.state_dict())

    def delivered(self) -> Model:
        """Return the settings of the architecture, as they stand in the folder."""
        return HuggingFaceConfig.model_validate({"config": plain(self.settings())})

    def _found(self) -> Path:
        if self._folder is None:
            raise RecipeError(f"found the folder {self.path} and no inputs folder to look in")
        return self._folder


def _logits(_module: object, _given: object, gave: Any) -> Any:
    """Let the logits alone come out."""
    return gave.logits
