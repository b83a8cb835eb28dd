"""Libraries of networks, imported on first use: torchvision, timm, transformers.

They are extras, so each may be missing. torchvision comes compiled for CUDA alone: beside a torch
without CUDA its compiled operators cannot be loaded, and it refuses to be imported, and timm and
transformers with it. Two operators that its Python code names are then declared here, unimplemented
(they belong to detection), before it is imported; nothing else imports these libraries.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from typing import Any

from kdcore.errors import ExtraMissingError, RecipeError
from kdcore.lazy import torch

_DECLARED = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


@cache
def import_torchvision() -> Any:
    """Return torchvision.

    Raises:
        ExtraMissingError: it is not installed.
    """
    _need("torchvision", "vision")
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]  # what was imported before it failed
    library = torch.library.Library("torchvision", "FRAGMENT")
    for declared in _DECLARED.values():
        library.define(declared)
    sys.modules[__name__].__dict__["_library"] = library  # its operators go when it goes
    return importlib.import_module("torchvision")


@cache
def import_timm() -> Any:
    """Return timm.

    Raises:
        ExtraMissingError: it is not installed.
    """
    _need("timm", "vision")
    import_torchvision()
    return importlib.import_module("timm")


@cache
def import_transformers() -> Any:
    """Return transformers.

    Raises:
        ExtraMissingError: it is not installed.
    """
    _need("transformers", "hub")
    if importlib.util.find_spec("torchvision"):
        import_torchvision()
    transformers = importlib.import_module("transformers")
    logging: Any = importlib.import_module("transformers.utils.logging")
    logging.disable_progress_bar()  # a trainer's log has lines
    return transformers


def _need(library: str, extra: str) -> None:
    if importlib.util.find_spec(library) is None:
        raise ExtraMissingError(
            f"found a network of {library}, which is not installed where the job runs; "
            f"expected the extra `{extra}`",
            hint=f"install it on the workers: pip install 'stillhouse-server[{extra}]'",
        )


def first_line(error: Exception) -> str:
    """Return what to tell of an error of a library."""
    return str(error).partition("\n")[0] or type(error).__name__


def unknown_architecture(library: str, name: str, near: list[str]) -> RecipeError:
    """Return what to say of an architecture that the library does not have."""
    meant = f"; perhaps {', '.join(near)}" if near else ""
    return RecipeError(
        f"found no architecture {name!r} in {library}{meant}",
        hint=f"name one that this version of {library} has",
    )
