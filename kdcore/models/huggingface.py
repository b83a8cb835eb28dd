"""Classifiers of images and texts of transformers: from a folder, or from their settings alone.

Formula
    AutoModelForImageClassification, or of a text encoder AutoModelForSequenceClassification, of
    config.json; its `logits` are what comes out. A text encoder is told which ids are padding, and
    is given token types where texts are pairs
Shapes
    (B, channels, H, W) -> (B, C), or ids (B, L) -> (B, C); layers are named by their paths, such as
    `vit.layers.1` or `bert.encoder.layer.1.attention.self.query`
Paper
    Wolf et al. HuggingFace's Transformers: State-of-the-art Natural Language Processing. 2019.
    arXiv:1910.03771. Each architecture there names its paper. A student of some layers of its
    teacher: Sanh, Debut, Chaumond, Wolf. DistilBERT. arXiv:1910.01108
Source
    huggingface/transformers, src/transformers/models/auto/modeling_auto.py; the networks are
    theirs, unchanged, of the architectures that are listed here. Nothing is fetched and no code of
    the folder is run: config.json is read as JSON, model.safetensors as numbers, and a folder with
    `auto_map`, Python or pickles in it is refused. Needs the extra `hub` where the job runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import Field, JsonValue, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from kdcore.errors import RecipeError
from kdcore.hub import CONFIG, IDS, WEIGHTS, Settings, plain, read_config
from kdcore.inputs import InputPath
from kdcore.lazy import torch
from kdcore.model import Model
from kdcore.preparation import Expected, read_preparation
from kdcore.transformers_model import TransformersModel

if TYPE_CHECKING:
    from torch import nn


class HuggingFaceConfig(TransformersModel):
    """A network of transformers that nobody has trained, from its settings."""

    name: Literal["huggingface_config"] = "huggingface_config"
    config: Annotated[
        Settings,
        Field(examples=[{"model_type": "resnet", "depths": [1, 1], "hidden_sizes": [8, 16]}]),
    ]
    """What a config.json says of the architecture: `model_type` and its sizes; what is left out is
    as the library has it. Channels and classes are the data's, and so are the ids of a text encoder
    (vocab_size, pad_token_id), unless they are named."""

    def settings(self) -> Mapping[str, JsonValue]:
        """Return the settings as they are."""
        return cast("Mapping[str, JsonValue]", self.config)


class HuggingFace(TransformersModel):
    """A network of transformers with its weights, from a folder in the inputs folder."""

    name: Literal["huggingface"] = "huggingface"
    path: Annotated[InputPath, Field(examples=["my-vit"])]
    """Folder with config.json and model.safetensors, such as `save_pretrained` writes; as a teacher
    it is taken as it is, unless `teacher.training` is given."""
    new_head: bool = False
    """Draw the head for the data's classes anew, whatever classes the folder's is for. Such a
    teacher is trained first, from these weights."""
    layers: (
        Annotated[list[Annotated[int, Field(ge=0, le=511)]], Field(min_length=1, max_length=512)]
        | None
    ) = None
    """Keep only these layers of the encoder, counted from 0, with their weights: a student that
    begins as a part of its teacher. DistilBERT has [0, 2, 4, 7, 9, 11] of 12. Such a teacher is
    trained first."""
    pooling: Literal["mean"] | None = None
    """mean takes an encoder of texts without a head, and of its last hidden states the mean over
    the tokens: a sentence encoder, as a teacher of vectors (task `embedding`)."""

    names_a_folder: ClassVar[bool] = True

    _folder: Path | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _as_it_is_where_it_is_pooled(self) -> Self:
        if self.pooling and (self.new_head or self.layers):
            raise PydanticCustomError(
                "pooled_and_changed",
                "found pooling beside new_head or layers; expected an encoder as it was saved",
            )
        return self

    @property
    def learns(self) -> bool:
        """Whether it can be trained: a pooled one teaches."""
        return self.pooling is None

    @property
    def comes_trained(self) -> bool:
        """Whether it knows the data's classes."""
        return not self.new_head and self.layers is None

    def label(self) -> str:
        """Return the folder's name, with the layers that are kept of it."""
        return super().label() + (f", layers {self.layers}" if self.layers else "")

    def located(self, inputs: Path) -> Self:
        """Return the same with its folder found."""
        found = self.model_copy()
        found._folder = inputs / self.path  # noqa: SLF001  # its own
        return found

    def files(self) -> tuple[str, ...]:
        """Return the two files of the folder."""
        return (f"{self.path}/{CONFIG}", f"{self.path}/{WEIGHTS}")

    def expects(self) -> Expected | None:
        """Return what its preprocessor_config.json tells, where there is one."""
        return read_preparation(self._found())

    def settings(self) -> Mapping[str, JsonValue]:
        """Read config.json."""
        settings = read_config(self._found(), self.path)
        if self.layers is None:
            return settings
        told = "n_layers" if "n_layers" in settings else "num_hidden_layers"
        return {**settings, told: len(self.layers)}

    def _check_inputs(self, input_shape: tuple[int, ...]) -> None:
        if self._folder is not None:  # what it is for stands in there
            super()._check_inputs(input_shape)

    def _opener(self, kind: str) -> str:
        from kdcore.pretrained import ENCODER

        return ENCODER if self.pooling else super()._opener(kind)

    def _give(self, network: nn.Module, num_classes: int) -> None:
        from kdcore.pretrained import give_the_mean

        if self.pooling:
            give_the_mean(network, num_classes, self.path)
        else:
            super()._give(network, num_classes)

    def _named(self) -> Collection[str]:
        return IDS  # it comes with weights for its own ids, whether config.json tells them or not

    def furnish(self, network: nn.Module, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Read the weights."""
        from kdcore.encoders import kept_layers
        from kdcore.pretrained import encoder_weights, read_weights, whole_weights

        shown = f"{self.path}/{WEIGHTS}"
        weights = self._found().resolve() / WEIGHTS
        whole = cast("Any", network)
        if self.layers is not None:
            settings = read_config(self._found(), self.path)
            with torch.device("meta"):
                whole = cast("Any", self._built(settings, input_shape, num_classes))
        opener = self._opener(whole.config.model_type)
        loaded, misfits = read_weights(whole.config, opener, weights, shown)
        if self.pooling:
            network.load_state_dict(encoder_weights(loaded, misfits, shown))
            return
        state = whole_weights(loaded, misfits, shown, num_classes, new_head=self.new_head)
        if self.layers is not None:
            state = kept_layers(state, self.layers, self.path)
        network.load_state_dict(state)

    def delivered(self) -> Model:
        """Return the settings of the architecture, as they stand in the folder."""
        from kdcore.encoders import with_ids

        return HuggingFaceConfig.model_validate({"config": with_ids(plain(self.settings()))})

    def _found(self) -> Path:
        if self._folder is None:
            raise RecipeError(f"found the folder {self.path} and no inputs folder to look in")
        return self._folder
