"""The samples of shards: files of one key, an image and what tells its class."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, cast

from kdcore.events import Warned
from kdcore.reading.cells import as_label
from kdcore.reading.collection import several
from kdcore.reading.faults import Fault
from kdcore.reading.labelling import Named, labelled
from kdcore.reading.shards import Member, Shard

_IMAGES: Final = frozenset({"png", "jpg", "jpeg", "bmp", "webp", "gif"})
_MAX_CLASS_BYTES: Final = 2**10
_MAX_JSON_BYTES: Final = 2**20
_SHORT: Final = 60


@dataclass(slots=True)
class _Sample:
    """The files of one key."""

    images: list[Member] = field(default_factory=list[Member])
    cls: Member | None = None
    json: Member | None = None


class ShardSamples:
    """All samples of some shards, looked through and not read; use it as a context.

    Raises:
        DataError: on opening, where a shard is not as it should be.
    """

    def __init__(self, inputs: Path, shards: Mapping[str, list[str]], label: str) -> None:
        """Look through the shards of each part; `label` is the class's key in JSON."""
        self._inputs, self._label = inputs, label
        self._open: tuple[str, Shard] | None = None
        self._places: dict[str, tuple[str, Member]] = {}
        self._others = Counter[str]()
        self.faults: list[Fault] = []
        try:
            told = [
                one
                for part, names in shards.items()
                for name in names
                for one in self._look_through(part, name)
            ]
        except BaseException:
            self.__exit__()
            raise
        self.class_names, self.parts = labelled(told, self.faults)

    def __enter__(self) -> Self:
        """Return the samples."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the shard that is open."""
        if self._open:
            self._open[1].close()
            self._open = None

    @property
    def warnings(self) -> tuple[Warned, ...]:
        """What was left out."""
        if not self._others:
            return ()
        kinds = several(f"{count} .{kind}" for kind, count in self._others.most_common())
        return (
            Warned(
                code="files_beside_samples",
                message=f"the shards hold files that are neither images nor tell a class: {kinds}; "
                "left out",
                hint="a class is told by key.cls, or by data.label in key.json",
            ),
        )

    def read(self, name: str) -> bytes:
        """Return the image file of a sample."""
        shard, member = self._places[name]
        return self._shard(shard).read(member.start, member.size)

    def _shard(self, name: str) -> Shard:
        # Samples come in the order of their shards: one open file is enough for any number.
        if self._open is None or self._open[0] != name:
            self.__exit__()
            self._open = name, Shard(self._inputs / name, name)
        return self._open[1]

    def _look_through(self, part: str, name: str) -> list[Named]:
        """Return the samples of one shard, each with the name of its class."""
        shard, samples = self._shard(name), dict[str, _Sample]()
        for member in shard.members():
            folder, slash, file = member.name.rpartition("/")
            stem, _, kind = file.partition(".")
            sample = samples.setdefault(f"{name}/{folder}{slash}{stem}", _Sample())
            kind = kind.lower()
            if kind.rpartition(".")[2] in _IMAGES:
                sample.images.append(member)
            elif kind == "cls":
                sample.cls = member
            elif kind == "json":
                sample.json = member
            else:
                self._others[kind] += 1
        found: list[Named] = []
        for key, sample in samples.items():
            if len(sample.images) != 1:
                number = len(sample.images) or "no"
                self.faults.append(Fault(key, f"has {number} images; expected one"))
                continue
            told = self._told(key, shard, sample)
            if isinstance(told, Fault):
                self.faults.append(told)
                continue
            self._places[key] = name, sample.images[0]
            found.append(Named(key, told, part, key))
        return found

    def _told(self, key: str, shard: Shard, sample: _Sample) -> str | Fault | None:
        """Return the name of a sample's class; None where nothing tells it."""
        if member := sample.cls:
            if member.size > _MAX_CLASS_BYTES:
                return Fault(key, f"has a .cls file of {member.size:,} bytes; expected one word")
            try:
                return shard.read(member.start, member.size).decode().strip() or None
            except UnicodeDecodeError:
                return Fault(key, "has a .cls file that is not written in UTF-8")
        if member := sample.json:
            return self._in_json(key, shard, member)
        return None

    def _in_json(self, key: str, shard: Shard, member: Member) -> str | Fault | None:
        if member.size > _MAX_JSON_BYTES:
            return Fault(
                key,
                f"has a .json file of {member.size:,} bytes; expected at most {_MAX_JSON_BYTES:,}",
            )
        try:
            row: object = json.loads(shard.read(member.start, member.size))
        except (ValueError, RecursionError) as error:
            return Fault(key, f"has a .json file that is none ({str(error)[:_SHORT]})")
        if not isinstance(row, dict):
            return Fault(key, f"has a .json file of {type(row).__name__}; expected an object")
        cell = cast("dict[str, object]", row).get(self._label)
        if cell is not None and not isinstance(cell, str | int | float):
            return Fault(key, f"has {type(cell).__name__} in {self._label!r}; expected a class")
        return None if cell is None or cell == "" else as_label(cell)
