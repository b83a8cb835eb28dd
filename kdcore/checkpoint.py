"""Checkpoints: a folder each, written beside, flushed to the disk, and renamed once.

A checkpoint is either whole or absent. `latest` checks the checksums of the newest one, and falls
back to the one before where they do not hold: what is damaged is set aside, and told.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from kdcore.errors import CheckpointError
from kdcore.events import Warned
from kdcore.files import disk_full_is_named, make_folder, sync_folder, write_file

_STATE, _MANIFEST = "state.pt", "manifest.json"


@dataclass(frozen=True, slots=True)
class Found:
    """Where a training goes on."""

    step: int
    """0 where there is no whole checkpoint."""
    state: dict[str, Any] | None
    damaged: tuple[int, ...]
    """Steps of the newer checkpoints that could not be read, newest first."""

    def cautions(self, stage: str) -> Iterator[Warned]:
        """Warn of each checkpoint that was set aside."""
        onwards = f"the one of step {self.step}" if self.state else "the start of the stage"
        for step in self.damaged:
            yield Warned(
                code="checkpoint_damaged",
                message=f"the checkpoint of {stage} at step {step} is damaged, and was set aside; "
                f"the training goes on from {onwards}",
                hint="look after the disk; the student will be the same, only later",
            )


def save(folder: Path, step: int, state: Mapping[str, Any], digest: str, *, keep: int) -> None:
    """Write the state of a training after `step` steps; of older ones, `keep` - 1 stay.

    Raises:
        DiskFullError: no room, or a disk that fails; nothing is left behind, and the checkpoints
            before are untouched.
    """
    target = folder / _name(step)
    if target.exists():
        return  # the same step of the same run: the state is the same
    with _beside(target) as beside:
        with disk_full_is_named(), (beside / _STATE).open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        manifest = {"step": step, "digest": digest, "sha256": _sha256(beside / _STATE)}
        write_file(beside / _MANIFEST, json.dumps(manifest).encode())
    for old in _steps(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def latest(folder: Path, digest: str) -> Found:
    """Find the newest whole checkpoint; a damaged one is renamed, so that it ends in `.bad`.

    Raises:
        CheckpointError: the checkpoints are of another recipe or other data.
    """
    for torn in folder.glob("step-*.tmp"):  # whoever wrote it was killed
        shutil.rmtree(torn, ignore_errors=True)
    damaged: list[int] = []
    for path in reversed(_steps(folder)):
        step = int(path.name.removeprefix("step-"))
        manifest = _read_manifest(path)
        if manifest is None or manifest["step"] != step or not _holds(path, manifest):
            _set_aside(path)
            damaged.append(step)
            continue
        if manifest["digest"] != digest:
            raise CheckpointError(f"{path} was written by another recipe or with other data")
        state = torch.load(path / _STATE, map_location="cpu", weights_only=True)
        return Found(step, cast("dict[str, Any]", state), tuple(damaged))
    return Found(0, None, tuple(damaged))


@contextmanager
def _beside(target: Path) -> Generator[Path]:
    """Give a folder to write into, which becomes `target` in one step if all goes well."""
    beside = target.with_name(target.name + ".tmp")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with disk_full_is_named():
            make_folder(target.parent)
            beside.mkdir()
            yield beside
            sync_folder(beside)
            beside.rename(target)
            sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _name(step: int) -> str:
    return f"step-{step:09d}"


def _steps(folder: Path) -> list[Path]:
    """Return the finished checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step-" + "[0-9]" * 9))


def _read_manifest(path: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((path / _MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    whole = isinstance(manifest, dict) and {"step", "digest", "sha256"} <= manifest.keys()
    return cast("dict[str, Any]", manifest) if whole else None


def _holds(path: Path, manifest: dict[str, Any]) -> bool:
    """Tell whether the state is the one that was written."""
    found = _sha256(path / _STATE)
    return found is not None and found == manifest["sha256"]


def _set_aside(path: Path) -> None:
    aside = path.with_suffix(".bad")
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)


def _sha256(file: Path) -> str | None:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None
