"""A network of transformers as a model: built from its settings, delivered as its own folder."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, cast

from pydantic import JsonValue

from kdcore.errors import RecipeError
from kdcore.hub import classifier
from kdcore.model import Foreign, image_shape
from kdcore.preparation import PREPARATION, Feed
from kdcore.tokens import Ids

if TYPE_CHECKING:
    from torch import nn


class TransformersModel(Foreign):
    """A network that transformers builds from settings, with logits alone coming out of it."""

    extra = "hub"
    reads_texts = True

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Return nothing; samples that the network cannot take are refused."""
        self._check_inputs(input_shape)

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Return nothing; as above."""
        self._check_inputs(input_shape)

    def _check_inputs(self, input_shape: tuple[int, ...]) -> None:
        from kdcore.encoders import check_kind

        check_kind(self.name, self.settings().get("model_type"), input_shape)

    def settings(self) -> Mapping[str, JsonValue]:
        """Return what the network is built from."""
        raise NotImplementedError

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Build transformers' network, whose logits come out of it."""
        return self._built(self.settings(), input_shape, num_classes)

    def _built(
        self, named: Mapping[str, JsonValue], input_shape: tuple[int, ...], num_classes: int
    ) -> nn.Module:
        from kdcore.encoders import read_ids_alone
        from kdcore.vision import first_line, import_transformers

        self._check_inputs(input_shape)
        settings = dict(named)
        labels = settings.pop("id2label", None)
        kind = str(settings.pop("model_type"))
        if isinstance(labels, dict) and len(labels) == num_classes:
            settings["id2label"] = {int(place): label for place, label in labels.items()}  # type: ignore[assignment]
        else:
            settings["num_labels"] = num_classes
        transformers = import_transformers()
        try:
            config = transformers.AutoConfig.for_model(kind, **settings)
            self._fit(config, input_shape)
            network = getattr(transformers, self._opener(kind)).from_config(config)
        except RecipeError:
            raise
        except Exception as error:  # noqa: BLE001  # what transformers finds wrong is of any kind
            taken = "texts" if isinstance(input_shape, Ids) else "images"
            raise RecipeError(
                f"transformers cannot build {kind} for {taken} of "
                f"{'x'.join(map(str, input_shape))} with {num_classes} classes: "
                f"{first_line(error)}",
                hint="change its settings",
            ) from None
        if isinstance(input_shape, Ids):
            read_ids_alone(network, input_shape)
        self._give(network, num_classes)
        return network

    def _opener(self, kind: str) -> str:
        """Return the class of transformers that makes the network."""
        return classifier(kind)

    def _give(self, network: nn.Module, num_classes: int) -> None:
        """Let the network give one tensor: its logits, for as many classes as it was built for."""
        from kdcore.pretrained import give_the_logits

        give_the_logits(network)

    def library_config(self, network: nn.Module, feed: Feed) -> dict[str, JsonValue]:
        """Return what `from_pretrained` wants to find beside the delivered weights."""
        config = cast("Any", network).config.to_diff_dict()
        theirs: dict[str, JsonValue] = {
            **json.loads(json.dumps(config)),
            "architectures": [type(network).__name__],
            "transformers_weights": "student.safetensors",
        }
        if names := feed.class_names:
            theirs["id2label"] = {str(place): name for place, name in enumerate(names)}
            theirs["label2id"] = {name: place for place, name in enumerate(names)}
        return theirs

    def library_files(
        self, files: Mapping[str, bytes], network: nn.Module, feed: Feed
    ) -> Mapping[str, bytes]:
        """Return the files with a tokenizer or image processor that gives what is taken."""
        from kdcore.encoders import for_network

        prepared = feed.as_preparation()
        images = {} if prepared is None else {PREPARATION: json.dumps(prepared, indent=2).encode()}
        return {**for_network(files, network), **images}

    def opened(self, input_shape: tuple[int, ...], num_classes: int) -> str:
        """Return how transformers opens it."""
        opens = classifier(str(self.settings()["model_type"]))
        lines = [
            f"from transformers import {opens}\n",
            f'student = {opens}.from_pretrained(".")  # this folder',
        ]
        if isinstance(input_shape, Ids):
            lines[0] = f"from transformers import {opens}, AutoTokenizer\n"
            lines += [
                'tokenizer = AutoTokenizer.from_pretrained(".")',
                'encoded = tokenizer(texts, truncation=True, padding=True, return_tensors="pt")',
                "logits = student(**encoded).logits",
            ]
        return "\n".join(lines)

    def _named(self) -> Collection[str]:
        """Return the settings that data must fit, and not the other way round."""
        return self.settings()

    def _fit(self, config: Any, input_shape: tuple[int, ...]) -> None:
        """Take the data's channels, or its tokenizer's ids, unless the settings name others."""
        if isinstance(input_shape, Ids):
            from kdcore.encoders import fit_ids

            fit_ids(config, input_shape, self._named())
            return
        channels, _, _ = image_shape(self.name, input_shape)
        named = self.settings().get("num_channels")
        if named is not None and named != channels:
            raise RecipeError(
                f"found num_channels {named}, and images of {channels} channels; expected the same",
                hint="take data of as many channels, or a network for them",
            )
        config.num_channels = channels
