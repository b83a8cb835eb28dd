"""The shelf as one run sees it: what its networks said of its data, found or written."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import Tensor, nn

from kdcore.arithmetic import Precision, answering
from kdcore.caching import Caching
from kdcore.corpus import Corpus
from kdcore.dataset import Augmentation, Dataset, Samples
from kdcore.errors import DiskFullError
from kdcore.events import Warned
from kdcore.model import Model
from kdcore.network import observe, predict, weights_bytes
from kdcore.probe import dtype_of
from kdcore.teacher_cache.about import About, SheetAbout
from kdcore.teacher_cache.answers import LOGITS, Kept
from kdcore.teacher_cache.cache import Cache
from kdcore.teacher_cache.locks import Lock
from kdcore.teacher_cache.sheet import (
    OutOfRangeError,
    check_sheet,
    open_sheet,
    size_of,
    write_sheets,
)
from kdcore.teacher_cache.shelf import Shelf
from kdcore.tensors import Shapes
from kdcore.tokens import in_numbers

Part: TypeAlias = Literal["train", "validation", "test"]
UNUSABLE: Final = (OSError, DiskFullError, OutOfRangeError)
"""What goes wrong with a shelf; no run ends for it, it asks its teachers instead."""
_RESIDENT: Final = 2**30
_REMEMBERED: Final = 2
_FEWEST: Final = 64
"""Fewer samples are not asked about at once: some kernels take another way for very few."""


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """A network that is trained no more."""

    model: Model
    network: nn.Module


@dataclass(slots=True)
class Archive:
    """What is kept of the networks of one run."""

    shelf: Shelf
    caching: Caching
    data: Dataset
    corpus: Corpus
    device: torch.device
    failed: dict[tuple[str, ...], str] = field(default_factory=dict[tuple[str, ...], str])
    """What could not be kept in this run, and why: it is not tried for every seed anew."""
    _abouts: dict[nn.Module, About] = field(default_factory=dict[nn.Module, About])
    _damage: dict[str, bool] = field(default_factory=dict[str, bool])
    """What was found damaged, and whether that was told."""
    _checked: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    _copies: dict[tuple[nn.Module, Precision], nn.Module] = field(
        default_factory=dict[tuple[nn.Module, Precision], nn.Module]
    )
    _opened: dict[tuple[str, ...], Kept] = field(default_factory=dict[tuple[str, ...], Kept])

    def cache(self, frozen: Frozen) -> Cache:
        """Return the cache of a network, whether it is there or not."""
        return self.shelf.cache(self._about(frozen).key())

    def predictions(self, frozen: Frozen, part: Part) -> Tensor:
        """Return the float32 logits `(N, C)` of a part as it is, asking only if none are kept."""
        samples = self._samples(part)
        if self.caching.use == "never":
            return predict(frozen.network, samples.inputs)
        with contextlib.suppress(*UNUSABLE):
            if (kept := self._recalled(frozen, part)) is not None:
                return kept
        logits = predict(frozen.network, samples.inputs)
        with contextlib.suppress(*UNUSABLE):  # then it is not kept, and that is all
            self._remember(frozen, self._plain(part), logits)
        return logits

    def _recalled(self, frozen: Frozen, part: Part) -> Tensor | None:
        cache, about = self.cache(frozen), self._plain(part)
        with cache.using():
            if self.fault(cache, about) is not None:
                return None
            cache.touch([about.name()])
            everything = torch.arange(about.samples, device=self.device)
            return open_sheet(cache, about, self.device)[everything]

    def _plain(self, part: Part) -> SheetAbout:
        return SheetAbout(
            part=part,
            view=None,
            augmentation=None,
            tap=LOGITS,
            precision="float32",
            dtype="float32",
            samples=len(self._samples(part).labels),
            shape=[self.corpus.num_classes],
        )

    def _remember(self, frozen: Frozen, about: SheetAbout, logits: Tensor) -> None:
        cache = self.cache(frozen)
        with cache.using(), self.room(frozen, [about]) as mine:
            if mine:
                for _ in write_sheets(cache, [about], lambda index: {LOGITS: logits[index]}):
                    pass

    def room(
        self,
        frozen: Frozen,
        sheets: Sequence[SheetAbout],
        *,
        use: Lock | None = None,
        keep: Collection[str] = (),
    ) -> contextlib.AbstractContextManager[frozenset[str] | None]:
        """Set the bytes of a network's sheets aside while they are written, as the shelf does.

        What this run has read does not make way: its other stages and seeds will read it again.
        """
        cache = self.cache(frozen)
        cache.write_about(self._about(frozen))  # first: what nobody can list, nobody counts
        sizes = {one.name(): size_of(one) for one in sheets}
        read = {name for key, name in self._checked if key == cache.key}
        return self.shelf.room(cache, sizes, use=use, keep={*keep, *read})

    def fault(self, cache: Cache, about: SheetAbout) -> str | None:
        """Return why a sheet cannot be used, `absent` where it is not there; None where it can.

        What was found whole is not read again by this run.
        """
        if (cache.key, about.name()) in self._checked and cache.manifest(about.name()):
            return None
        fault = check_sheet(cache, about)
        if fault is None:
            self._checked.add((cache.key, about.name()))
        elif fault != "absent":
            self._damage.setdefault(fault, False)
        return fault

    def damage(self) -> Iterator[Warned]:
        """Tell once of each sheet that was found damaged since it was last asked."""
        for fault, told in list(self._damage.items()):
            if not told:
                self._damage[fault] = True
                yield Warned(
                    code="teacher_cache_damaged",
                    message=f"{fault}; it is written anew",
                    hint="look after the disk that the caches are on",
                )

    def write(
        self, frozen: Frozen, sheets: Sequence[SheetAbout], how: Augmentation
    ) -> Generator[int, None, None]:
        """Write sheets of one view, as `write_sheets` does; the caller holds the builder's lock."""
        return write_sheets(self.cache(frozen), sheets, self.asker(frozen, sheets, how))

    def answering(self, frozen: Frozen, precision: Precision) -> nn.Module:
        """Return a network as it answers in these numbers; it is copied once."""
        key = frozen.network, precision
        if key not in self._copies:
            _forget(self._copies)
            self._copies[key] = answering(frozen.network, precision)
        return self._copies[key]

    def asker(
        self, frozen: Frozen, sheets: Sequence[SheetAbout], how: Augmentation
    ) -> Callable[[Tensor], dict[str, Tensor]]:
        """Return what a network says of training samples `(B,)` for sheets of one view."""
        sheet, *_ = sheets
        precision = "bfloat16" if sheet.precision == "bfloat16" else "float32"
        network = self.answering(frozen, precision)
        names = {one.tap for one in sheets} - {LOGITS}
        dtype = dtype_of(network)

        def ask(index: Tensor) -> dict[str, Tensor]:
            asked = len(index)
            index = torch.cat([index, index[:1].expand(max(_FEWEST - asked, 0))]).to(self.device)
            view = self.corpus.view(
                index,
                Augmentation() if sheet.view is None else how,
                seed=None,
                number=sheet.view or 0,
            )
            with torch.no_grad():
                said = observe(network, in_numbers(view.inputs, dtype), names)
            answers = {**said.features, LOGITS: said.logits}
            return {tap: one[:asked] for tap, one in answers.items()}

        return ask

    def open(self, frozen: Frozen, views: Sequence[Sequence[SheetAbout]], shapes: Shapes) -> Kept:
        """Open the sheets of a training; the caller holds the reader's lock.

        Raises:
            OSError: one is not there any more.
        """
        cache = self.cache(frozen)
        sheets = [one for view in views for one in view]
        names = [one.name() for one in sheets]
        cache.touch(names)
        key = (cache.key, *names)
        if key not in self._opened:
            resident = sum(map(size_of, sheets)) <= _RESIDENT
            opened = [
                {one.tap: open_sheet(cache, one, self.device, resident=resident) for one in view}
                for view in views
            ]
            _forget(self._opened)
            self._opened[key] = Kept(opened, shapes)
        return self._opened[key]

    def _about(self, frozen: Frozen) -> About:
        if (about := self._abouts.get(frozen.network)) is None:
            about = self._abouts[frozen.network] = About(
                teacher=frozen.model.label(),
                model=frozen.model.model_dump(mode="json"),
                weights_sha256=hashlib.sha256(weights_bytes(frozen.network)).hexdigest(),
                data=self.data.name,
                data_sha256=self.corpus.fingerprint,
                validation_size=self.data.validation_size,
            )
        return about

    def _samples(self, part: Part) -> Samples:
        if part == "train":
            return self.corpus.train
        if part == "test":
            return self.corpus.test
        if self.corpus.validation is None:
            raise ValueError("there are no validation samples")
        return self.corpus.validation


def _forget(remembered: dict[Any, Any]) -> None:
    """Make room for one more: what was remembered first goes first."""
    while len(remembered) >= _REMEMBERED:
        del remembered[next(iter(remembered))]
