"""Images in WebDataset's shards: tar archives in which files of one sample share a name.

Formula
    x = (byte / 255 - mean) / std, channel by channel; `normalize: none` is mean 0 and std 1.
    Images are resized by Pillow's bilinear filter, whose support grows with the reduction
    (antialiased). Without `test_path`, round(test_share * n) of the n images of each class are for
    testing: those whose sha256 of "seed/shard/key" comes first.
Shapes
    (channels, height, width), as `channels` and `image_size` say; classes are numbered in the
    order of their names, numbers by size; a training sample without a class has no label. At most
    8 GiB as float32
Paper
    Aizman, Maltby, Breuel. High Performance I/O For Large Scale Deep Learning. arXiv:2001.01858
Source
    webdataset/webdataset, src/webdataset/tariterators.py: a key is the name up to the first dot
    after the last slash; `cls` is text. mean and std stand in pytorch/vision,
    torchvision/transforms/_presets.py
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from kdcore.errors import DataError
from kdcore.reading.collection import Collection, drawn, several
from kdcore.reading.image_set import ImageSet
from kdcore.reading.shard_names import ShardNames, shards_of
from kdcore.reading.shard_samples import ShardSamples


class WebDataset(ImageSet):
    """Tar archives of `key.jpg` or `key.png` beside `key.cls` or `key.json`."""

    name: Literal["webdataset"] = "webdataset"
    path: ShardNames
    """The training shards, relative to the inputs folder: a pattern such as
    `shards/train-{000..146}.tar`, a list of these, or the folder that they lie in."""
    test_path: ShardNames | None = None
    """Those for testing; where they are not given, `test_share` is drawn."""
    validation_path: ShardNames | None = None
    """Those for validation, beside some for testing."""
    label: Annotated[str, Field(min_length=1, max_length=1024)] = "label"
    """The key in `key.json` that names the class, where there is no `key.cls`."""

    @model_validator(mode="after")
    def _tested_before_validated(self) -> Self:
        if self.validation_path and not self.test_path:
            raise PydanticCustomError(
                "shard_parts", "found validation_path without test_path; expected both, or neither"
            )
        return self

    def may_validate(self) -> bool:
        """Return whether there are shards for validation, or samples are set aside."""
        return self.validation_size > 0 or self.validation_path is not None

    @contextmanager
    def collected(self, inputs: Path) -> Generator[Collection]:
        """Look through all shards, and sort their samples into parts and classes."""
        named = {"train": self.path, "test": self.test_path, "validation": self.validation_path}
        shards = {part: shards_of(inputs, names) for part, names in named.items() if names}
        everywhere = [shard for names in shards.values() for shard in names]
        if len(set(everywhere)) < len(everywhere):
            twice = sorted({shard for shard in everywhere if everywhere.count(shard) > 1})
            raise DataError(
                f"found {several(twice)} in two parts; expected each shard in one",
                hint="what is learned from tells nothing when it is tested on",
            )
        with ShardSamples(inputs, shards, self.label) as samples:
            parts = samples.parts
            if self.test_path is None:
                keys = [name for name, _ in parts["train"]]
                parts = drawn(parts["train"], keys, self.test_share, self.split_seed)
            yield Collection(
                shown=several([self.path] if isinstance(self.path, str) else self.path),
                class_names=samples.class_names,
                parts=parts,
                content=samples.read,
                faults=samples.faults,
                warnings=samples.warnings,
            )
