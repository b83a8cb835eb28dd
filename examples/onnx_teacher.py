"""Writes digits_teacher.onnx: a network that scikit-learn trained on its digits.

    python examples/onnx_teacher.py stillhouse-data/inputs

No PyTorch is needed for it: of a teacher of any framework the ONNX file is all that is asked for.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any, cast

import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import (  # pyright: ignore[reportMissingTypeStubs]
    load_digits,  # pyright: ignore[reportUnknownVariableType]
)
from sklearn.neural_network import MLPClassifier  # pyright: ignore[reportMissingTypeStubs]

TEST_FROM = 1297


def trained() -> Any:
    """Return scikit-learn's network, trained on the images that are not for testing."""
    digits = cast("Any", load_digits())
    network = MLPClassifier((256,), max_iter=40, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 40 epochs do, though more would change it still
        network.fit(digits.data[:TEST_FROM], digits.target[:TEST_FROM])
    return network


def as_onnx(network: Any) -> onnx.ModelProto:
    """Return the same in standard operators, from `(batch, 1, 8, 8)` to logits `(batch, 10)`."""
    nodes = [helper.make_node("Flatten", ["inputs"], ["0"])]
    numbers: list[TensorProto] = []
    last = len(network.coefs_) - 1
    for place, (weights, bias) in enumerate(zip(network.coefs_, network.intercepts_, strict=True)):
        numbers += [
            numpy_helper.from_array(weights.astype("float32"), f"weights{place}"),
            numpy_helper.from_array(bias.astype("float32"), f"bias{place}"),
        ]
        gives = "logits" if place == last else f"sums{place}"
        given = [str(place), f"weights{place}", f"bias{place}"]
        nodes.append(helper.make_node("Gemm", given, [gives]))
        if place < last:
            nodes.append(helper.make_node("Relu", [gives], [str(place + 1)]))
    images = helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["batch", 1, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])
    graph = helper.make_graph(nodes, "digits", [images], [logits], numbers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main(folder: Path) -> None:
    """Write the file into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "digits_teacher.onnx"
    onnx.save(as_onnx(trained()), file)
    sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "stillhouse-data/inputs"))
