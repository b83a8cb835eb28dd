"""torch on first use.

The API process reads every entry of the catalogue (its options, formula and defaults) and must
start where torch is not installed. An entry therefore writes `from kdcore.lazy import F, torch`:
the type checker sees the real modules, the interpreter loads them at the first computation.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import nn
else:

    class _Lazy:
        """A module that is imported when an attribute of it is first asked for."""

        def __init__(self, module: str) -> None:
            self._module = module

        def __getattr__(self, name: str) -> Any:
            value = getattr(importlib.import_module(self._module), name)
            setattr(self, name, value)  # the next look-up costs nothing
            return value

    torch = _Lazy("torch")
    nn = _Lazy("torch.nn")
    F = _Lazy("torch.nn.functional")

__all__ = ["F", "nn", "torch"]
