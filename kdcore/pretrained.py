"""Weights of a folder of transformers, read by the library, which knows their older names."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors import safe_open

from kdcore.errors import Misfit, WeightsError
from kdcore.hub import WEIGHTS, classifier
from kdcore.vision import first_line, import_transformers
from kdcore.weights import told

if TYPE_CHECKING:
    from torch import Tensor, nn


def read_pretrained(
    network: nn.Module, weights: Path, shown: str, num_classes: int, *, new_head: bool
) -> dict[str, Tensor]:
    """Return a network's numbers as a file has them.

    With `new_head` the head is new where the file has none that fits.

    Raises:
        WeightsError: the file cannot be read, or does not fit.
    """
    config = cast("Any", network).config
    kind = getattr(import_transformers(), classifier(config.model_type))
    # Older files have older names, which the library knows. It is shown numbers alone.
    with tempfile.TemporaryDirectory() as shut:
        config.save_pretrained(shut)
        (Path(shut) / WEIGHTS).symlink_to(weights)
        try:
            loaded, found = kind.from_pretrained(
                shut,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                dtype="float32",
            )
        except Exception as error:  # noqa: BLE001  # what transformers finds is of any kind
            raise WeightsError(
                f"{shown}: no readable safetensors file for its config.json ({first_line(error)})"
            ) from None
    state: dict[str, Tensor] = loaded.state_dict()
    sizes = _sizes(weights)
    misfits = [
        *(Misfit(name, None, tuple(state[name].shape)) for name in sorted(found["missing_keys"])),
        *(Misfit(name, sizes.get(name, ()), None) for name in sorted(found["unexpected_keys"])),
        *(
            Misfit(name, tuple(theirs), tuple(ours))
            for name, theirs, ours in sorted(found["mismatched_keys"])
        ),
    ]
    # By the library's convention what is beside the base model is a head.
    body = f"{loaded.base_model_prefix}."
    beside = [one for one in misfits if not one.name.startswith(body)]
    if new_head:
        misfits = [one for one in misfits if one not in beside]
    if misfits:
        raise WeightsError(
            f"{shown} does not fit the network for {num_classes} classes: {told(misfits)}",
            hint="set new_head: true, to have a new head trained"
            if beside == misfits
            else "save the network with save_pretrained",
            misfits=misfits,
        )
    return state


def _sizes(weights: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a file's tensors by name."""
    with cast("Any", safe_open)(weights, framework="pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # it is no mapping
