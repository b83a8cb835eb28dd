"""The data of a run: checked, split, on the device, and with the labels that each stage may see."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import torch
from pydantic import JsonValue
from torch import Tensor

from kdcore.arithmetic import as_images
from kdcore.augment import augmented
from kdcore.dataset import Augmentation, Dataset, Samples, Source
from kdcore.errors import DataError
from kdcore.events import Warned
from kdcore.mixing import Mix, drawn_mix, mixed
from kdcore.task import Task
from kdcore.tasks.classification import Classification
from kdcore.tensors import HIDDEN, is_known
from kdcore.tokens import Ids

_CLASSES = Classification()
_SPLIT_SEED = 0
_STORED_SEED = 0
_IMAGE_DIMENSIONS = 3
_SHOWN = 5
_PIECE = 4096


@dataclass(frozen=True, slots=True)
class View:
    """What a network is shown of some samples."""

    inputs: Tensor
    """`(B, *shape)`, images with their channels last."""
    mix: Mix | None
    """What was mixed in, where the augmentation mixes."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Everything that the stages of one run train on and are measured on."""

    train: Samples
    validation: Samples | None
    test: Samples
    num_classes: int
    """What a network says of a sample: classes, labels or numbers."""
    task: Task
    black: Tensor
    """`(1,)` or `(channels,)`: what comes in from beyond the border of an image."""
    fingerprint: str
    """sha256 of all inputs and labels; what is kept for this run is kept for this data."""
    class_names: tuple[str, ...] = ()
    """Of the outputs, where they have names."""
    units: tuple[float, ...] = ()
    """How much of what the user counts in is 1 in each output, where these are numbers."""
    preprocessing: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """How a sample becomes the network's input."""
    warnings: tuple[Warned, ...] = ()
    """What was met while reading."""
    ids: Ids | None = None
    """The shape of a sample where samples are texts."""
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """What is delivered with the student by name."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.ids or tuple(self.train.inputs.shape[1:])

    def lacks_labels(self, part: str) -> bool:
        """Return whether the teacher's answers are to stand for the labels of a part."""
        samples = self.test if part == "test" else self.validation
        if samples is None:
            return False
        return not self.task.learns_labels or not is_known(samples.labels).any()

    def answered(self, part: str, answers: Tensor) -> Corpus:
        """Return the same with a teacher's outputs `(N, C)` in the place of a part's labels."""
        samples = self.test if part == "test" else self.validation
        assert samples is not None  # noqa: S101  # the caller has looked
        mine = replace(samples, labels=self.task.hard(answers), own=samples.labels)
        return replace(self, test=mine) if part == "test" else replace(self, validation=mine)

    @property
    def teacher_is_truth(self) -> bool:
        """Whether the teacher's answers stand for the labels of the test part."""
        return self.test.own is not None

    def view(
        self,
        index: Tensor,
        how: Augmentation,
        *,
        seed: int | None,
        number: int,
        among: Tensor | None = None,
    ) -> View:
        """Return one view of training samples `(B,)`; without a seed a stored one.

        What is mixed in comes from all training samples, or from those of `among` `(M,)`.
        """
        seed = _STORED_SEED if seed is None else seed

        def changed(which: Tensor) -> Tensor:
            images = self.train.inputs[which]
            return augmented(images, which, how=how, seed=seed, view=number, black=self.black)

        if not how.mixes:
            return View(as_images(changed(index)), None)
        count = len(self.train.labels) if among is None else len(among)
        mix = drawn_mix(
            index, how=how, seed=seed, view=number, partners=count, size=self.input_shape[1:]
        )
        if among is not None:
            mix = replace(mix, partner=among[mix.partner])
        return View(as_images(mixed(changed(index), changed(mix.partner), mix)), mix)

    def student_labels(self, labelled: int | None, seed: int) -> Tensor:
        """Return the training labels `(N, ...)` that a student sees.

        All but `labelled` of them are hidden; the kept ones are drawn by `seed`, and spread evenly
        over the classes where each sample has one.
        """
        labels = self.train.labels
        if labelled is None:
            return labels
        draw = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(labels), generator=draw)
        order = order[is_known(labels.cpu()[order])]
        if labels.dim() == 1:
            order = _evenly(order, labels.cpu()[order], self.num_classes)
        keep = order[:labelled].to(labels.device)
        seen = torch.full_like(labels, math.nan if labels.is_floating_point() else HIDDEN)
        seen[keep] = labels[keep]
        return seen


def _evenly(order: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Sort samples `(M,)` so that the k-th of each class comes before the (k+1)-th of any."""
    rank = torch.zeros_like(labels)
    for one in range(num_classes):
        members = labels == one
        rank[members] = torch.arange(int(members.sum()))
    return order[rank.argsort(stable=True)]


def load_corpus(spec: Dataset, inputs: Path, device: torch.device, task: Task = _CLASSES) -> Corpus:
    """Read, check and split the data that a recipe names.

    Raises:
        DataError: the data is empty, holds NaN, has one class, or does not fit together.
    """
    source = spec.read_for(task.labelled_like, inputs)
    _check(source, spec, task)
    digest = hashlib.sha256()
    for part in (source.train, source.test, source.validation):
        for tensor in (part.inputs, part.labels) if part else ():
            digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
            digest.update(tensor.contiguous().numpy().data)  # as it lies, without a copy
    for name, content in sorted(source.files.items()):
        digest.update(f"{name}: {len(content)}".encode() + content)
    train, validation = source.train, source.validation
    if validation is None:
        train, validation = _split(train, spec.validation_size)
    if spec.labelled is not None and spec.labelled > (known := int(is_known(train.labels).sum())):
        raise DataError(
            f"data.labelled asks for {spec.labelled} labels; the training part has {known}",
            hint="lower data.labelled, or leave it out",
        )
    return Corpus(
        train=_to(train, device),
        validation=_to(validation, device) if validation else None,
        test=_to(source.test, device),
        num_classes=task.outputs(source.num_classes),
        task=task,
        black=torch.tensor(source.black, device=device),
        fingerprint=digest.hexdigest(),
        class_names=source.class_names if task.labelled_like == task.name else (),
        units=source.units,
        preprocessing=source.preprocessing,
        warnings=source.warnings,
        ids=source.ids,
        files=source.files,
    )


def _to(samples: Samples, device: torch.device) -> Samples:
    return replace(samples, inputs=samples.inputs.to(device), labels=samples.labels.to(device))


def _split(train: Samples, size: int) -> tuple[Samples, Samples | None]:
    if not size:
        return train, None
    order = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(_SPLIT_SEED))
    known = order[is_known(train.labels[order])]
    aside = (known if len(known) else order)[:size]
    keep = torch.ones(len(train.labels), dtype=torch.bool)
    keep[aside] = False
    return (
        Samples(train.inputs[keep], train.labels[keep]),
        Samples(train.inputs[aside], train.labels[aside]),
    )


def _check(source: Source, spec: Dataset, task: Task) -> None:
    for part, samples in source.parts().items():
        _check_part(part, samples)
        if source.train.inputs.shape[1:] != samples.inputs.shape[1:]:
            raise DataError(
                f"training samples have shape {tuple(source.train.inputs.shape[1:])}, "
                f"{part} samples {tuple(samples.inputs.shape[1:])}; they must be equal"
            )
        if source.train.labels.shape[1:] != samples.labels.shape[1:]:
            raise DataError(
                f"training labels have shape {tuple(source.train.labels.shape[1:])}, "
                f"{part} labels {tuple(samples.labels.shape[1:])}; they must be equal"
            )
    task.check(source)
    if source.validation is not None and spec.validation_size:
        raise DataError(
            f"found a validation part of {len(source.validation.labels)} samples and "
            f"data.validation_size {spec.validation_size}; expected one of the two",
            hint="leave data.validation_size out, or move the samples into the training part",
        )
    if spec.validation_size >= len(source.train.labels):
        raise DataError(
            f"data.validation_size is {spec.validation_size}, "
            f"and the training part has {len(source.train.labels)} samples",
            hint="set aside fewer samples",
        )
    if spec.augmentation.changes and source.train.inputs.dim() - 1 != _IMAGE_DIMENSIONS:
        raise DataError(
            "data.augmentation is for images (channels, height, width); "
            f"the samples have shape {tuple(source.train.inputs.shape[1:])}"
        )


def _check_part(part: str, samples: Samples) -> None:
    count = len(samples.inputs)
    if count == 0:
        raise DataError(f"the {part} part has no samples; at least one is needed")
    if len(samples.labels) != count:
        raise DataError(f"the {part} part has {count} samples and {len(samples.labels)} labels")
    # In pieces: what says whether a number is finite takes as much memory as the numbers.
    pieces = cast("tuple[Tensor, ...]", samples.inputs.flatten(1).split(_PIECE))
    broken = ~torch.cat([piece.isfinite().all(1) for piece in pieces])
    bad = cast("list[int]", broken.nonzero().flatten().tolist())
    if bad:
        raise DataError(
            f"{len(bad)} {part} samples hold NaN or infinity, the first at {bad[:_SHOWN]}",
            hint="remove or repair these samples",
        )
