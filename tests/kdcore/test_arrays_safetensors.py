"""Arrays in a safetensors file are the same data as in an .npz file, and refused as clearly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recipes import tiny
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors
from sklearn.datasets import load_digits

from kdcore import distill
from kdcore.datasets.arrays import Arrays
from kdcore.errors import DataError
from kdcore.events import VerdictReached

BUNCH: Any = load_digits()


def arrays() -> dict[str, Any]:
    x, y = (BUNCH.images * 15.9).astype("uint8")[:, None], BUNCH.target
    parts = {"train": slice(150), "test": slice(150, 200)}
    found = {f"x_{part}": x[which] for part, which in parts.items()}
    return found | {f"y_{part}": y[which] for part, which in parts.items()}


def test_both_files_are_the_same_data_and_are_distilled(tmp_path):
    np.savez(tmp_path / "own.npz", **arrays())
    save_file(arrays(), tmp_path / "own.safetensors")
    one, other = (Arrays(path=f"own.{kind}").read(tmp_path) for kind in ("npz", "safetensors"))
    for part in ("train", "test"):
        ours, theirs = getattr(one, part), getattr(other, part)
        assert torch.equal(ours.inputs, theirs.inputs)
        assert torch.equal(ours.labels, theirs.labels)
    recipe = tiny().model_copy(update={"data": Arrays(path="own.safetensors")})
    events = list(distill(recipe, tmp_path / "out", inputs=tmp_path))
    assert any(isinstance(event, VerdictReached) for event in events)


def refused(inputs: Path, words: str) -> None:
    with pytest.raises(DataError) as caught:
        Arrays(path="own.safetensors").read(inputs)
    assert words in str(caught.value)
    assert str(inputs) not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"", b"none at all", b"\xff" * 64, b"\x02" + bytes(7) + b"{}"])
def test_a_file_that_is_no_safetensors_is_refused(tmp_path, content):
    (tmp_path / "own.safetensors").write_bytes(content)
    refused(tmp_path, "own.safetensors: no")


def test_what_is_missing_cut_or_of_another_type_is_refused(tmp_path):
    refused(tmp_path, "own.safetensors: no such file in the inputs folder")
    file = tmp_path / "own.safetensors"
    save_file({key: value for key, value in arrays().items() if key != "y_test"}, file)
    refused(tmp_path, "no array y_test; found ")
    save_file(arrays(), file)
    file.write_bytes(file.read_bytes()[:-9])
    refused(tmp_path, "not a readable .safetensors file")
    save_file(arrays() | {"y_train": np.zeros(150)}, file)
    refused(tmp_path, "y_train has type float64")
    tensors = {key: torch.from_numpy(value) for key, value in arrays().items()}
    save_tensors(tensors | {"x_train": torch.zeros(150, 4, dtype=torch.bfloat16)}, file)
    refused(tmp_path, "own.safetensors: ")
