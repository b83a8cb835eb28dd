"""A sheet: what one network says of every sample of one view, in memory-mapped safetensors shards.

A shard is written beside and renamed once, the manifest with their digests comes last. So a start
that was killed has lost one shard at most, and whoever opens a sheet knows that it is whole.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, Final, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from kdcore.errors import KdcoreError
from kdcore.files import write_file
from kdcore.teacher_cache.about import Manifest, SheetAbout
from kdcore.teacher_cache.cache import MANIFEST, Cache

BATCH: Final = 256
"""Samples that are asked about at once; it divides the samples of every shard."""
_MOST_ROWS: Final = 4096
_SHARD_BYTES: Final = 64 * 2**20
_DTYPES: Final = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
}
_HEADER: Final = 512
"""A shard's header takes no more, in bytes."""

Answer = Callable[[Tensor], dict[str, Tensor]]
"""From indices `(B,)` to the logits and features of these samples, by tap."""


class OutOfRangeError(KdcoreError):
    """An answer is too large for the numbers that it is kept in."""

    code = "teacher_cache_range"
    way_out = "set teacher_cache.dtype to bfloat16 or float32"


def size_of(about: SheetAbout) -> int:
    """Return the bytes that a sheet takes on the disk, or a few more."""
    return about.samples * _row_bytes(about) + _shards(about) * (_HEADER + 160) + 4096


def write_sheets(
    cache: Cache, sheets: Sequence[SheetAbout], answer: Answer
) -> Generator[int, None, None]:
    """Ask for all samples, and write sheets of the same view; whole shards are not made again.

    The caller is the only one who writes them. Yields the number of samples that are done; closing
    it loses the shard that is being made.

    Raises:
        OutOfRangeError: a number cannot be kept as it is to be kept.
        OSError, DiskFullError: it cannot be written; what is finished stays.
    """
    samples = sheets[0].samples
    for one in sheets:
        (cache.folder / one.name() / MANIFEST).unlink(missing_ok=True)
    missing = {one.tap: _missing_shards(cache, one) for one in sheets}
    parts: dict[str, list[dict[str, Tensor]]] = {one.tap: [] for one in sheets}
    seconds = {one.tap: 0.0 for one in sheets}
    for first in range(0, samples, BATCH):
        last = min(first + BATCH, samples)
        wanted = [one for one in sheets if first // rows_of(one) in missing[one.tap]]
        if not wanted:
            continue
        began = time.monotonic()
        said = answer(torch.arange(first, last))
        for one in wanted:
            parts[one.tap].append(_packed(said[one.tap], one))
        took = time.monotonic() - began
        for one in wanted:
            seconds[one.tap] += took / len(wanted)
            if last % rows_of(one) == 0 or last == samples:
                place = first // rows_of(one)
                _write_shard(cache, one, place, parts[one.tap], seconds[one.tap])
                parts[one.tap], seconds[one.tap] = [], 0.0
        yield last
    for one in sheets:
        written = [_written(cache, one, place) for place in range(_shards(one))]
        manifest = Manifest(
            sheet=one,
            rows=rows_of(one),
            shards=[digest for digest, _ in written],
            seconds=sum(took for _, took in written),
        )
        write_file(cache.folder / one.name() / MANIFEST, manifest.model_dump_json().encode())


def _missing_shards(cache: Cache, about: SheetAbout) -> set[int]:
    """Return the places of the shards that are not there as they were written."""
    return {
        place
        for place in range(_shards(about))
        if _written(cache, about, place)[0] != _sha256(_shard(cache, about, place))
    }


def _write_shard(
    cache: Cache,
    about: SheetAbout,
    place: int,
    parts: Sequence[Mapping[str, Tensor]],
    seconds: float,
) -> None:
    joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    content = safetensors_bytes(joined)
    shard = _shard(cache, about, place)
    # The digest first: a shard that is there has one.
    record = f"{hashlib.sha256(content).hexdigest()} {seconds:.3f}"
    write_file(shard.with_suffix(".sha256"), record.encode())
    write_file(shard, content)


def check_sheet(cache: Cache, about: SheetAbout) -> str | None:
    """Return what is wrong with a sheet; None where it is whole.

    A sheet that was never finished is not damaged: the word for it is `absent`.
    """
    manifest = cache.manifest(about.name())
    if manifest is None or manifest.rows != rows_of(about):
        return "absent"
    wrong = [
        _shard(cache, about, place).name
        for place, digest in enumerate(manifest.shards)
        if _sha256(_shard(cache, about, place)) != digest
    ]
    return f"{about.name()}: {', '.join(wrong)} is not what was written" if wrong else None


@dataclass(frozen=True, slots=True)
class Sheet:
    """An open sheet; a copy for another process opens it there."""

    cache: Cache
    about: SheetAbout
    shards: list[dict[str, Tensor]]
    """Memory-mapped, or one of them on the device."""
    rows: int
    """Samples in each shard but the last."""
    device: torch.device
    resident: bool

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Hand over where it is, and not what is in it."""
        opened = partial(open_sheet, resident=self.resident)
        return opened, (self.cache, self.about, self.device)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the answers to samples `(B,)` as float32 `(B, *shape)` on the device."""
        parts = self._gather(index)
        if self.about.top_k is None:
            return parts["rows"].float()
        return _unpacked(parts, self.about.shape[0])

    def _gather(self, index: Tensor) -> dict[str, Tensor]:
        if len(self.shards) == 1:
            (shard,) = self.shards
            here = index.to(next(iter(shard.values())).device)
            return {name: self._moved(rows[here]) for name, rows in shard.items()}
        index = index.cpu()
        which = index // self.rows
        found = {
            name: torch.empty((len(index), *rows.shape[1:]), dtype=rows.dtype)
            for name, rows in self.shards[0].items()
        }
        for place in cast("list[int]", which.unique().tolist()):
            here = which == place
            for name, rows in self.shards[place].items():
                found[name][here] = rows[index[here] - place * self.rows]
        return {name: self._moved(rows) for name, rows in found.items()}

    def _moved(self, rows: Tensor) -> Tensor:
        """Hand rows to the device without waiting for it."""
        if rows.is_cuda or self.device.type != "cuda":
            return rows.to(self.device)
        return rows.pin_memory().to(self.device, non_blocking=True)


def open_sheet(
    cache: Cache, about: SheetAbout, device: torch.device, *, resident: bool = True
) -> Sheet:
    """Open a finished sheet, read into the device's memory if it is to be resident there.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    shards: list[dict[str, Tensor]] = []
    for place in range(_shards(about)):
        try:
            with cast("Any", safe_open(_shard(cache, about, place), framework="pt")) as file:
                names = cast("list[str]", file.keys())
                shards.append({name: file.get_tensor(name) for name in names})
        except SafetensorError as error:
            raise OSError(f"{about.name()}: {error}") from error
    if resident and (len(shards) > 1 or device.type != "cpu"):
        names = list(shards[0])
        shards = [{name: torch.cat([one[name] for one in shards]).to(device) for name in names}]
    return Sheet(cache, about, shards, rows_of(about), device, resident)


def rows_of(about: SheetAbout) -> int:
    """Return the samples in a shard, a power of two: few enough to be held and to be lost."""
    rows = _MOST_ROWS
    while rows > BATCH and rows * _row_bytes(about) > _SHARD_BYTES:
        rows //= 2
    return rows


def _row_bytes(about: SheetAbout) -> int:
    each = _DTYPES[about.dtype].itemsize
    if about.top_k:
        return about.top_k * (each + torch.int32.itemsize) + torch.float32.itemsize
    return prod(about.shape) * each


def _shards(about: SheetAbout) -> int:
    return -(-about.samples // rows_of(about))


def _shard(cache: Cache, about: SheetAbout, place: int) -> Path:
    return cache.folder / about.name() / f"{place:05d}.safetensors"


def _packed(said: Tensor, about: SheetAbout) -> dict[str, Tensor]:
    dtype = _DTYPES[about.dtype]
    if about.top_k is None:
        return {"rows": _kept(said, dtype)}
    values, classes = said.float().topk(about.top_k, dim=-1)
    others = said.float().scatter(-1, classes, float("-inf"))
    return {
        "values": _kept(values, dtype),
        "classes": classes.to(torch.int32).cpu(),
        # A logit that all others share and that leaves them the probability which they had.
        "others": (others.logsumexp(-1) - _log(said.shape[-1] - about.top_k)).cpu(),
    }


def _unpacked(parts: Mapping[str, Tensor], classes: int) -> Tensor:
    others = parts["others"].unsqueeze(-1).expand(-1, classes)
    return others.scatter(-1, parts["classes"].long(), parts["values"].float())


def _kept(said: Tensor, dtype: torch.dtype) -> Tensor:
    kept = said.to(dtype)
    if not bool(cast("Any", kept).isfinite().all()):
        highest = float(said.abs().max())
        raise OutOfRangeError(f"the teacher says {highest:g}, which {dtype} cannot hold")
    return kept.cpu().contiguous()


def _log(count: int) -> float:
    return float(torch.tensor(float(count)).log())


def _written(cache: Cache, about: SheetAbout, place: int) -> tuple[str, float]:
    """Return the digest that a shard was written with, and the seconds that its answers took."""
    try:
        digest, *took = _shard(cache, about, place).with_suffix(".sha256").read_text().split()
        return digest, float(*took)  # an earlier version did not tell the seconds
    except (OSError, ValueError):
        return "none", 0.0


def _sha256(file: Path) -> str:
    """Return the digest of what is there; empty where nothing can be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
