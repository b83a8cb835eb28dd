"""How much memory a process has taken."""

from __future__ import annotations

import resource
import sys

import torch

_KIB = 1024


def peak_memory(device: torch.device) -> int:
    """Return the most bytes that this process had: of a GPU for tensors there, else of its own."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * _KIB
