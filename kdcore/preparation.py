"""What other libraries tell of how an image's pixels became a network's input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, cast

from pydantic import Field, JsonValue, TypeAdapter, ValidationError

PREPARATION: Final = "preprocessor_config.json"
"""What `save_pretrained` of an image processor writes."""
_OTHER_WAYS: Final = ("do_flip_channel_order", "include_top", "rescale_offset")
_BYTES: Final = 2**20
_BYTE: Final = 255
_BILINEAR: Final = 2
"""Pillow's number for it."""

Numbers: TypeAlias = Annotated[
    tuple[Annotated[float, Field(ge=-1e4, le=1e4)], ...], Field(min_length=1, max_length=3)
]
_MOMENTS: TypeAdapter[tuple[Numbers, Numbers]] = TypeAdapter(tuple[Numbers, Numbers])


class Expected(NamedTuple):
    """What a network's weights were trained on: pixels in [0, 1], less `mean`, divided by `std`."""

    mean: tuple[float, ...]
    """One for each channel."""
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Feed:
    """What a delivered network is fed, and what its outputs are called."""

    input_shape: tuple[int, ...]
    num_classes: int
    class_names: tuple[str, ...]
    """Of the outputs, where they have names."""
    preprocessing: Mapping[str, JsonValue]
    """How a sample becomes its input."""

    @property
    def moments(self) -> Expected | None:
        """What pixels in [0, 1] are normalised with; None where it is fed anything else."""
        told = self.preprocessing
        return expected(told.get("mean"), told.get("std")) if told.get("kind") == "image" else None

    def as_preparation(self) -> dict[str, JsonValue] | None:
        """Return what AutoImageProcessor of transformers reads, where it can do the same."""
        told, moments = self.preprocessing, self.moments
        size: dict[str, JsonValue] = {name: told.get(name) for name in ("height", "width")}
        if moments is None or (told.get("fit") == "crop" and size["height"] != size["width"]):
            return None
        prepared: dict[str, JsonValue] = {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": True,
            "size": size,
            "resample": _BILINEAR,
            "do_rescale": True,
            "rescale_factor": 1 / _BYTE,
            "do_normalize": True,
            "image_mean": list[JsonValue](moments.mean),
            "image_std": list[JsonValue](moments.std),
        }
        if told.get("fit") == "crop":
            prepared["image_processor_type"] = "BitImageProcessor"
            prepared["size"] = {"shortest_edge": told.get("height")}
            prepared["do_center_crop"] = True
            prepared["crop_size"] = size
            prepared["do_convert_rgb"] = told.get("channels") == "RGB"
        return prepared


def expected(mean: object, std: object) -> Expected | None:
    """Return two lists of an unchecked document, where they are what they should be."""
    try:
        found = Expected(*_MOMENTS.validate_python((mean, std)))
    except ValidationError:
        return None
    return found if len(found.mean) == len(found.std) and all(found.std) else None


def read_preparation(folder: Path) -> Expected | None:
    """Return what a folder's preprocessor_config.json has done to pixels; None where none tells.

    One that shifts pixels in another way, or swaps channels, is not told by mean and std.
    """
    try:
        with (folder / PREPARATION).open("rb") as file:
            content = file.read(_BYTES + 1)
        document = json.loads(content) if len(content) <= _BYTES else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    told = cast("dict[str, Any]", document)
    factor = 1 if told.get("do_rescale") is False else told.get("rescale_factor", 1 / _BYTE)
    found = expected(told.get("image_mean"), told.get("image_std"))
    if told.get("do_normalize") is False:
        found = expected([0], [1])
    another = any(told.get(name) for name in _OTHER_WAYS)
    if found is None or another or not isinstance(factor, int | float) or factor <= 0:
        return None
    # Its numbers are of pixels times the factor, ours of pixels in [0, 1].
    whole = _BYTE * factor
    mean, std = (tuple(one / whole for one in numbers) for numbers in found)
    return Expected(mean, std)
