"""What a worker computes with: told to the ledger, so that what is wrong with it can be seen."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from kdcore.cores import usable_cores

FLOORS: Final = {"torch": (2, 10), "onnx": (1, 21)}
"""Below these, files that users bring could run code (CVE-2026-24747, CVE-2026-27489)."""
EXTRAS: Final = {
    "vision": ("timm", "torchvision"),
    "hub": ("transformers", "tokenizers"),
    "data": ("pyarrow",),
}
"""The package's extras that specs may need, by what each brings."""
_TOLD: Final = ("torch", "onnx", "onnxruntime", "safetensors")
_LISTED_SECONDS: Final = 10.0
_MOST_GPUS: Final = 64


def about() -> dict[str, Any]:
    """Return versions, GPUs and cores; nothing of it loads torch."""
    return {
        "version": found("stillhouse-server"),
        "python": platform.python_version(),
        "packages": {name: found(name) for name in _TOLD},
        "extras": [extra for extra, brings in EXTRAS.items() if all(map(found, brings))],
        "gpus": gpus(),
        "cores": usable_cores(),
    }


def found(package: str) -> str | None:
    """Return the version of an installed package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def too_old() -> str | None:
    """Say what keeps trainers from being run here safely, if anything does."""
    for package, floor in FLOORS.items():
        expected = ".".join(map(str, floor))
        here = found(package)
        if here is None:
            return f"{package} is not installed; expected {expected} or newer"
        if _numbers(here) < floor:
            return f"found {package} {here}; expected {expected} or newer, as older ones are unsafe"
    return None


def gpus() -> list[str]:
    """Return the names of the GPUs that trainers started here would see."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    program = shutil.which("nvidia-smi")
    if program is None or visible in {"", "-1"}:
        return []
    ask = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        told = subprocess.run(  # noqa: S603  # the driver's own program
            ask, capture_output=True, text=True, timeout=_LISTED_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    names = [line.strip() for line in told.stdout.splitlines() if line.strip()][:_MOST_GPUS]
    if visible is None:
        return names
    wanted = [one.strip() for one in visible.split(",")]
    by_number = [names[int(one)] for one in wanted if one.isdecimal() and int(one) < len(names)]
    # Those named by their own ids cannot be told apart here; there are as many.
    return by_number or names[: len(wanted)]


def free_bytes(folder: Path) -> int | None:
    """Return how much room there is for what trainers write."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    release = text.partition("+")[0].split(".")[:2]
    return tuple(int("".join(filter(str.isdecimal, part)) or "0") for part in release)
