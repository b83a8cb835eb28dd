"""Checkpoints: a folder each, written beside, flushed to the disk, and renamed once.

A checkpoint is either whole or absent. `latest` checks the checksums of the newest one and falls
back to the one before where they do not hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch

from kdcore.errors import CheckpointError
from kdcore.files import disk_full_is_named, sync_folder, write_file

KEPT = 2
_STATE, _MANIFEST = "state.pt", "manifest.json"


def save(folder: Path, step: int, state: Mapping[str, Any], digest: str) -> None:
    """Write the state of a training after `step` steps; older ones but the last are removed.

    Raises:
        DiskFullError: no room; nothing is left behind, and the checkpoints before are untouched.
    """
    target = folder / f"step-{step:09d}"
    if target.exists():
        return  # the same step of the same run: the state is the same
    with _beside(target) as beside:
        with disk_full_is_named(), (beside / _STATE).open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        manifest = {"step": step, "digest": digest, "sha256": _sha256(beside / _STATE)}
        write_file(beside / _MANIFEST, json.dumps(manifest).encode())
    for old in _steps(folder)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def latest(folder: Path, digest: str) -> tuple[int, dict[str, Any]] | None:
    """Return the newest whole checkpoint as its step and state, or None.

    A damaged one is set aside under a name that ends in `.bad`.

    Raises:
        CheckpointError: the checkpoints are of another recipe or other data.
    """
    for path in reversed(_steps(folder)):
        manifest = _read_manifest(path)
        if manifest is None or _sha256(path / _STATE) != manifest["sha256"]:
            shutil.rmtree(path.with_suffix(".bad"), ignore_errors=True)
            path.rename(path.with_suffix(".bad"))
            continue
        if manifest["digest"] != digest:
            raise CheckpointError(f"{path} was written by another recipe or with other data")
        state = torch.load(path / _STATE, map_location="cpu", weights_only=True)
        return int(manifest["step"]), cast("dict[str, Any]", state)
    return None


@contextmanager
def _beside(target: Path) -> Generator[Path]:
    """Give a folder to write into, which becomes `target` in one step if all goes well."""
    beside = target.with_name(target.name + ".tmp")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        with disk_full_is_named():
            beside.mkdir(parents=True)
            yield beside
            sync_folder(beside)
            beside.rename(target)
            sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _steps(folder: Path) -> list[Path]:
    """Return the finished checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step-*") if not path.suffix)


def _read_manifest(path: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((path / _MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    whole = isinstance(manifest, dict) and {"step", "digest", "sha256"} <= manifest.keys()
    return cast("dict[str, Any]", manifest) if whole else None


def _sha256(file: Path) -> str | None:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None
