"""A sheet: what one network says of every sample of one view, in memory-mapped safetensors shards.

A shard is written beside and renamed once, the manifest with their digests comes last. So a start
that was killed has lost one shard at most, and whoever opens a sheet knows that it is whole.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from kdcore.errors import KdcoreError
from kdcore.files import write_file
from kdcore.teacher_cache.shelf import MANIFEST, Cache, Manifest, SheetAbout

ROWS: Final = 4096
_MAX_SHARDS: Final = 64
_RESIDENT: Final = 2**30
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
    numbers = prod(about.shape)
    each = numbers * _DTYPES[about.dtype].itemsize
    if about.top_k:
        each = about.top_k * (_DTYPES[about.dtype].itemsize + torch.int32.itemsize) + 4
    return about.samples * each + _shards(about.samples) * (_HEADER + 80) + 4096


def write_sheets(
    cache: Cache, sheets: Sequence[SheetAbout], answer: Answer, batch_size: int
) -> Generator[int, None, float]:
    """Ask for all samples, and write sheets of the same view; finished shards are not made again.

    Yields the number of samples that are done; closing it loses the shard that is being made.
    Returns the seconds that were spent on asking.

    Raises:
        OutOfRangeError: a number cannot be kept as it is to be kept.
        DiskFullError: no room; what is finished stays.
    """
    samples = sheets[0].samples
    rows = rows_of(samples)
    seconds = 0.0
    for place, start in enumerate(range(0, samples, rows)):
        end = min(start + rows, samples)
        missing = [one for one in sheets if not _shard(cache, one, place).exists()]
        parts: dict[str, list[dict[str, Tensor]]] = {one.tap: [] for one in missing}
        for first in range(start, end if missing else start, batch_size):
            began = time.monotonic()
            said = answer(torch.arange(first, min(first + batch_size, end)))
            for one in missing:
                parts[one.tap].append(_packed(said[one.tap], one))
            seconds += time.monotonic() - began
            yield min(first + batch_size, end)
        for one in missing:
            joined = {
                name: torch.cat([part[name] for part in parts[one.tap]])
                for name in parts[one.tap][0]
            }
            write_file(_shard(cache, one, place), safetensors_bytes(joined))
    for one in sheets:
        digests = [_sha256(_shard(cache, one, place)) for place in range(_shards(samples))]
        share = seconds / len(sheets)
        manifest = Manifest(sheet=one, rows=rows, shards=digests, seconds=share)
        write_file(cache.folder / one.name() / MANIFEST, manifest.model_dump_json().encode())
    return seconds


def check_sheet(cache: Cache, about: SheetAbout) -> str | None:
    """Return what is wrong with a sheet, removing what is damaged; None where it is whole.

    A sheet that was never finished is not damaged: the word for it is `absent`.
    """
    manifest = cache.manifest(about.name())
    if manifest is None:
        return "absent"
    wrong: list[str] = []
    for place, digest in enumerate(manifest.shards):
        shard = _shard(cache, about, place)
        try:
            found = _sha256(shard)
        except OSError:
            found = ""
        if found != digest:
            wrong.append(shard.name)
            shard.unlink(missing_ok=True)
    if not wrong:
        return None
    (cache.folder / about.name() / MANIFEST).unlink(missing_ok=True)
    return f"{about.name()}: {', '.join(wrong)} is not what was written"


@dataclass(frozen=True, slots=True)
class Sheet:
    """An open sheet."""

    about: SheetAbout
    shards: list[dict[str, Tensor]]
    """Memory-mapped, or one of them on the device."""
    rows: int
    """Samples in each shard but the last."""
    device: torch.device

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
        if rows.device == self.device or self.device.type != "cuda":
            return rows.to(self.device)
        return rows.pin_memory().to(self.device, non_blocking=True)


def open_sheet(cache: Cache, about: SheetAbout, device: torch.device) -> Sheet:
    """Open a finished sheet; a small one is read into the device's memory.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    shards: list[dict[str, Tensor]] = []
    for place in range(_shards(about.samples)):
        try:
            with cast("Any", safe_open(_shard(cache, about, place), framework="pt")) as file:
                names = cast("list[str]", file.keys())
                shards.append({name: file.get_tensor(name) for name in names})
        except SafetensorError as error:
            raise OSError(f"{about.name()}: {error}") from error
    if size_of(about) <= _RESIDENT and (len(shards) > 1 or device.type != "cpu"):
        names = list(shards[0])
        shards = [{name: torch.cat([one[name] for one in shards]).to(device) for name in names}]
    return Sheet(about, shards, rows_of(about.samples), device)


def rows_of(samples: int) -> int:
    """Return the samples in a shard: few enough that a killed start loses little."""
    return max(ROWS, -(-samples // _MAX_SHARDS))


def _shards(samples: int) -> int:
    return -(-samples // rows_of(samples))


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


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
