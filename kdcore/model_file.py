"""What is in the file of a model: its layers where it says how they are put together, or tensors.

>>> from kdcore import layers_in
>>> layers_in(Path("teacher.onnx"))
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open

from kdcore.delivered import CONFIG, read_delivered
from kdcore.errors import RecipeError, WeightsError
from kdcore.evaluate import count_parameters
from kdcore.inspected import LayerTold, ModelLayers
from kdcore.listing import layers_told
from kdcore.models import MODELS
from kdcore.network import shapes_of
from kdcore.onnx_network import LARGEST, OnnxNetwork, sample_shape

_STUDENT = "student"


def layers_in(path: Path, shown: str | None = None) -> ModelLayers:
    """Return what an `.onnx` or `.safetensors` file, or a model's folder, holds.

    `shown` is what people call it. A folder of a finished job tells the layers of its student.

    Raises:
        RecipeError: it is not to be trusted, or its form is not known.
        WeightsError: it is no safetensors.
    """
    shown = shown or path.name
    if path.is_dir():
        return _of_folder(path, shown)
    if shown.endswith(".onnx"):
        return _of_onnx(path, shown)
    return _of_weights([path], shown, "safetensors")


def _of_onnx(path: Path, shown: str) -> ModelLayers:
    if (size := path.stat().st_size) > LARGEST:
        raise RecipeError(f"{shown}: found {size:,} bytes; expected at most {LARGEST:,}")
    content = path.read_bytes()
    shape = sample_shape(content, shown)
    network = OnnxNetwork(content, shown=shown, input_shape=shape, output=None)
    return ModelLayers(
        format="onnx",
        of="layers",
        input_shape=list(shape),
        parameters=count_parameters(network),
        layers=layers_told(network, network.layer_shapes, "teacher"),
    )


def _of_folder(folder: Path, shown: str) -> ModelLayers:
    weights = sorted(folder.glob("*.safetensors"))
    try:
        found = read_delivered(folder, _STUDENT, shown=shown, models=MODELS)
    except RecipeError:  # another library's, which builds it
        if not weights:
            raise RecipeError(
                f"{shown}: found no {CONFIG} of a delivered network, and no safetensors",
                hint="zip a folder with both",
            ) from None
        return _of_weights(weights, shown, "folder")
    with torch.device("meta"):
        network = found.model.build(found.input_shape, found.num_classes)
    return ModelLayers(
        format="folder",
        of="layers",
        input_shape=list(found.input_shape),
        parameters=count_parameters(network),
        layers=layers_told(network, shapes_of(network, found.input_shape), _STUDENT),
    )


def _of_weights(files: list[Path], shown: str, form: Any) -> ModelLayers:
    """List tensors by their names; numbers are not read."""
    layers: list[LayerTold] = []
    for path in files:
        try:
            with cast("Any", safe_open)(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118  # it is no mapping
                    shape = [int(side) for side in file.get_slice(name).get_shape()]
                    layers.append(
                        LayerTold(path=str(name), shape=shape, parameters=math.prod(shape))
                    )
        except (SafetensorError, OSError, ValueError) as error:
            raise WeightsError(f"{shown}: not a readable safetensors file ({error})") from None
    return ModelLayers(
        format=form,
        of="tensors",
        input_shape=None,
        parameters=sum(layer.parameters or 0 for layer in layers),
        layers=layers,
    )
