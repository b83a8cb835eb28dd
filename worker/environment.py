"""What a child process may see of the worker's environment."""

import os
from pathlib import Path

from worker.blinkers import hidden_files

_KEPT = frozenset(
    {"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
)
_KEPT_FAMILIES = ("LC_", "CUDA_", "NVIDIA_", "XDG_")


def bare_environment() -> dict[str, str]:
    """Return an allow-list: a trainer has no business with the database, the broker or any key."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_FAMILIES)
    }
    root = Path(__file__).resolve().parents[1]
    if root.name != "site-packages":
        # The child starts in its own folder, and a clone's packages are not there.
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), kept.get("PYTHONPATH")]))
    # What it may not read, by name; it gives up the right to it first of all.
    kept |= hidden_files()
    kept["PYTHONUNBUFFERED"] = "1"
    # A pool of threads does not survive a fork. The engine itself sets the number that the run
    # asks for, which wins over these, so that a cold trainer computes just as a warm one does.
    kept["OMP_NUM_THREADS"] = kept["MKL_NUM_THREADS"] = "1"
    return kept
