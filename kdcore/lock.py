"""A run is written into a lock, and another one is held to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from kdcore.arithmetic import processor
from kdcore.errors import LockError
from kdcore.events import Warned
from kdcore.files import write_file
from kdcore.locking import Lock
from kdcore.models import PLUGINS
from kdcore.results import weights_digest
from kdcore.run import Run
from kdcore.runtime import versions
from kdcore.sides import models_in

_LIBRARIES: Final = {
    "huggingface": "transformers",
    "huggingface_config": "transformers",
    "onnx": "onnxruntime",
    "timm": "timm",
    "torchvision": "torchvision",
}
"""Whose networks they are, by the name of the model."""
_WAY_OUT: Final = (
    "make them alike, set lock.differences to warn, or leave the lock out for a new run"
)


def begin_locked(lock: Lock | None, workdir: Path) -> None:
    """Let a run that is new begin with the threads and the choices of a lock."""
    if lock is None or (workdir / "run.digest").exists():
        return
    write_file(workdir / "run.threads", str(lock.threads).encode())
    write_file(workdir / "choices.json", json.dumps(lock.choices, indent=1).encode())


def hold_to_lock(run: Run) -> Iterator[Warned]:
    """Compare a prepared run with its recipe's lock, if there is one.

    Raises:
        LockError: something is not alike, and the lock says to refuse that.
    """
    lock = run.recipe.lock
    if lock is None:
        return
    found = list(_differences(lock, lock_of(run)))
    if found and lock.differences == "refuse":
        raise LockError(f"not as locked: {'; '.join(found)}", hint=_WAY_OUT)
    for one in found:
        yield _warned("lock_differs", one)
    if (here := processor()) != lock.processor:
        yield _warned("lock_differs", f"the processor is {here!r}, locked on {lock.processor!r}")


def compare_with_lock(run: Run) -> Iterator[Warned]:
    """Warn of each training of a finished run that ended with other weights than the locked one."""
    if run.recipe.lock is None:
        return
    locked = run.recipe.lock.weights
    for stage, digest in lock_of(run).weights.items():
        if locked.get(stage, digest) != digest:
            yield Warned(
                code="replay_differs",
                message=f"{stage} ended with other weights than the locked run's",
                hint="look at the differences that were told at the start",
            )


def lock_of(run: Run) -> Lock:
    """Return what a run was made with; the weights are those of finished trainings."""
    weights = {stage.name: weights_digest(stage, run) for stage in run.plan}
    return Lock(
        versions=_versions(run),
        digests={name: digest for name, digest in run.digests.items() if digest},
        device="cuda" if run.device.type == "cuda" else "cpu",
        processor=processor(),
        threads=run.threads.number,
        choices=run.choices.settled(),
        weights={stage: digest for stage, digest in weights.items() if digest},
    )


def _versions(run: Run) -> dict[str, str]:
    # What an earlier job delivered is a network of ours, of a library or of a plug-in.
    names = {
        (model.delivered() if model.names_a_folder else model).name
        for model in models_in(run.recipe)
    }
    found = versions()
    for name in sorted(names & PLUGINS.packages.keys()):
        package, _, number = PLUGINS.packages[name].rpartition(" ")
        found[package] = number
    for library in sorted({_LIBRARIES[name] for name in names if name in _LIBRARIES}):
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "none"
    return found


def _differences(lock: Lock, here: Lock) -> Iterator[str]:
    for name, locked in lock.versions.items():
        if (found := here.versions.get(name, "none")) != locked:
            yield f"{name} is {found}, locked with {locked}"
    for name in dict.fromkeys([*lock.digests, *here.digests]):
        locked, found = lock.digests.get(name), here.digests.get(name)
        if locked != found:
            yield f"the sha256 of {name} is {_short(found)}, locked with {_short(locked)}"
    if here.device != lock.device:
        yield f"the device is {here.device}, locked with {lock.device}"
    if here.threads != lock.threads:
        yield f"{here.threads} CPU threads, locked with {lock.threads}"


def _short(digest: str | None) -> str:
    return f"{digest[:12]}…" if digest else "none"


def _warned(code: str, message: str) -> Warned:
    return Warned(
        code=code,
        message=f"not as locked: {message}; the last bits may differ",
        hint=_WAY_OUT,
    )
