"""Writes digit_network.onnx and unlabelled_digits.npz: a network of another library, and its data.

    python examples/unlabelled.py stillhouse-data/inputs

The network is one that scikit-learn trained on all labels; it gives `logits`, and `vectors`, the 32
numbers before its last layer. The 1,297 training images come without a label, the 500 test images
with one.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import (  # pyright: ignore[reportMissingTypeStubs]
    load_digits,  # pyright: ignore[reportUnknownVariableType]
)
from sklearn.neural_network import MLPClassifier  # pyright: ignore[reportMissingTypeStubs]

TEST_FROM = 1297
HIDDEN = (256, 32)


def main(folder: Path) -> None:
    """Write both files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = cast("Any", load_digits())
    images = (digits.images / 16).astype(np.float32)[:, None]
    train, test = images[:TEST_FROM], images[TEST_FROM:]
    network = cast("Any", MLPClassifier(HIDDEN, alpha=0.1, tol=1e-3, random_state=0))
    network.fit(train.reshape(len(train), -1), digits.target[:TEST_FROM])
    onnx.save(as_onnx(network), str(folder / "digit_network.onnx"))
    np.savez(
        folder / "unlabelled_digits.npz",
        x_train=train,
        x_test=test,
        y_test=digits.target[TEST_FROM:].astype(np.int64),
    )
    sys.stdout.write(f"{folder / 'digit_network.onnx'}\n{folder / 'unlabelled_digits.npz'}\n")


def as_onnx(network: Any) -> onnx.ModelProto:
    """Return a network of three layers as an ONNX model."""
    numbers: list[Any] = []
    for place, (weight, bias) in enumerate(
        zip(network.coefs_, network.intercepts_, strict=True), start=1
    ):
        numbers.append(numpy_helper.from_array(weight.astype(np.float32), f"weight{place}"))
        numbers.append(numpy_helper.from_array(bias.astype(np.float32), f"bias{place}"))
    steps = [
        helper.make_node("Flatten", ["inputs"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight1", "bias1"], ["first"]),
        helper.make_node("Relu", ["first"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "weight2", "bias2"], ["vectors"]),
        helper.make_node("Relu", ["vectors"], ["last"]),
        helper.make_node("Gemm", ["last", "weight3", "bias3"], ["logits"]),
    ]
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        steps,
        "digits",
        [helper.make_tensor_value_info("inputs", floats, ["batch", 1, 8, 8])],
        [
            helper.make_tensor_value_info("logits", floats, ["batch", 10]),
            helper.make_tensor_value_info("vectors", floats, ["batch", HIDDEN[-1]]),
        ],
        numbers,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="examples"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
