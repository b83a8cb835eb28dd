"""What a run computes on: device, threads, and the state of every random generator."""

from __future__ import annotations

import hashlib
import os
import platform
import random
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, cast

import numpy as np
import torch

from kdcore.computing import Runtime
from kdcore.cores import usable_cores
from kdcore.errors import RecipeError
from kdcore.events import Warned


@dataclass(frozen=True, slots=True)
class Threads:
    """How many CPU threads a run computes with, and why.

    A sum that is split over another number of threads may differ in its last bits. So a run that
    goes on uses as many as it began with, unless there is no room for them any more.
    """

    asked: int | str
    """What the recipe says."""
    share: int | None
    """The most that the run may use, where whoever runs it says so."""
    before: int | None
    """As many as the run began with, where it goes on."""

    @property
    def most(self) -> int:
        """The most that may be used."""
        if self.share is not None:
            return self.share
        return self.asked if isinstance(self.asked, int) else usable_cores()

    @property
    def number(self) -> int:
        """As many as are used."""
        wanted = self.asked if isinstance(self.asked, int) else self.most
        return min(self.before or wanted, self.most)

    def cautions(self) -> Iterator[Warned]:
        """Warn where it is not the number that was asked for, or that the run began with."""
        if isinstance(self.asked, int) and self.asked > self.most:
            yield Warned(
                code="threads_bounded",
                message=f"runtime.threads is {self.asked}; this trainer's share of the cores is "
                f"{self.most}, and more would slow down every trainer on the machine",
                hint="use threads: auto, or give the worker fewer slots",
            )
        if self.before is not None and self.before != self.number:
            yield Warned(
                code="threads_changed",
                message=f"the run began with {self.before} threads and goes on with {self.number}, "
                "all that there is room for; its last bits may differ from an undisturbed run's",
                hint="use threads: 1 where a resumed run must end the same on any machine",
            )


def prepare(runtime: Runtime, threads: int) -> torch.device:
    """Set the threads and make the arithmetic repeatable; return the device.

    Raises:
        RecipeError: the device that the recipe names is not there.
    """
    torch.set_num_threads(threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    name = runtime.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    # On a GPU some operations have no repeatable form: those are used, with a warning in the log.
    torch.use_deterministic_algorithms(mode=True, warn_only=device.type == "cuda")
    if device.type == "cuda":
        # What is called float32 is float32; whoever wants it faster asks for bfloat16.
        torch.backends.cudnn.allow_tf32 = False
        present, asked = torch.cuda.device_count(), (device.index or 0) + runtime.processes
        if asked > present:
            raise RecipeError(
                f"runtime.device is {runtime.device!r} and runtime.processes {runtime.processes}; "
                f"this machine has {present} CUDA devices",
                hint="ask for fewer processes (resources.gpus), or use another device",
            )
    return device


def versions() -> dict[str, str]:
    """Return what the numbers of a run may depend on."""
    packages = ("torch", "numpy", "safetensors")
    ours = {"python": platform.python_version(), "kdcore": version("stillhouse-server")}
    return ours | {name: version(name) for name in packages}


def derive_seed(*parts: object) -> int:
    """Return a 63-bit seed that depends on every part and on nothing else."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_everything(seed: int) -> None:
    """Start the generators of torch, NumPy and Python from one seed."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  # the global generator that libraries draw from
    random.seed(seed)


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of every generator that the run may draw from, as tensors and numbers."""
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002  # as above
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        "numpy": (
            name,
            torch.tensor(cast("Any", keys).astype("int64")),
            position,
            has_gauss,
            gauss,
        ),
        "python": random.getstate(),
    }


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Put every generator back to where `random_state` found it."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype("uint32"), *rest))  # noqa: NPY002  # as above
    version_, inner, gauss = state["python"]
    random.setstate((version_, tuple(inner), gauss))
