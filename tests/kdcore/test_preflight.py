"""A spec that is tried out before it is trained: what would fail is told, with its place."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from digit_images import digits, packed
from recipes import IMAGES, TEXTS, TINY
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]

from kdcore import Recipe, distill, layers_in, look
from kdcore.errors import RecipeError, WeightsError

ROOT = Path(__file__).parents[2]
TIMM = {"model": {"name": "timm", "architecture": "test_resnet"}}


def looked(inputs: Path, base: dict[str, Any] = TINY, **changes: Any) -> Any:
    return look(Recipe.model_validate({**base, **changes}), inputs)


@pytest.mark.parametrize("base", [TINY, IMAGES, TEXTS], ids=["vectors", "images", "texts"])
def test_what_can_be_trained_is_compatible(tmp_path: Path, base: dict[str, Any]) -> None:
    told = looked(tmp_path, base)
    assert told.problems == []
    assert told.compatible
    assert told.teacher.parameters > told.student.parameters > 0
    assert set(told.loss) == set(told.step_seconds) == {"teacher", "student-0"}
    assert told.samples["train"] > 0
    assert told.peak_memory_bytes > 10**7
    assert [*tmp_path.iterdir()] == []


def test_what_it_takes_is_told_for_the_device_and_the_disk(tmp_path: Path) -> None:
    training = {**TINY["training"], "save_steps": 20, "optim": "adamw"}
    told = looked(tmp_path, training=training)
    teacher, student = 4 * told.teacher.parameters, 4 * told.student.parameters
    # One checkpoint: the weights, two numbers beside each of them, and the best so far.
    least = 4 * teacher + teacher + 2 * student
    assert least <= told.disk_bytes <= least + 2**14, "the generators' states stand in it as well"
    assert told.device_memory_bytes > 4 * teacher, "of the state, and the gradients"
    larger = looked(tmp_path, training={**training, "per_device_train_batch_size": 64})
    kept = 4 * 24 * (64 - 16)
    assert larger.device_memory_bytes >= told.device_memory_bytes + kept


def test_the_teacher_cache_takes_no_more_than_is_told_beforehand(tmp_path: Path) -> None:
    told = looked(tmp_path, teacher_cache="always")
    for _ in distill(Recipe.model_validate({**TINY, "teacher_cache": "always"}), tmp_path):
        pass
    written = sum(file.stat().st_size for file in tmp_path.rglob("train-*/*.safetensors"))
    assert 0 < written <= told.teacher_cache_bytes < 2 * written + 10_000
    assert looked(tmp_path, teacher_cache="never").teacher_cache_bytes == 0


@pytest.mark.parametrize("method", ["crd", "simkd", "rco"])
def test_methods_with_parts_of_their_own_take_their_first_steps(
    tmp_path: Path, method: str
) -> None:
    told = looked(tmp_path, IMAGES, method=method)
    assert told.problems == []
    assert len(told.loss) >= 2


def test_a_layer_that_a_foreign_network_does_not_have_is_told_with_its_place(
    tmp_path: Path,
) -> None:
    hint = {"name": "fitnet", "teacher_layer": "layer9", "student_layer": "stage2"}
    packed(tmp_path / "digits.zip", digits(30, under="train/") | digits(9, start=60, under="test/"))
    data = {"name": "image_folder", "path": "digits.zip", "image_size": 8, "channels": 1}
    told = looked(tmp_path, IMAGES, teacher=TIMM, data=data, objectives=["cross_entropy", hint])
    (problem,) = told.problems
    assert not told.compatible
    assert (problem.pointer, problem.code) == ("/objectives/1", "recipe_invalid")
    assert "layer9" in problem.message
    assert "layer1.0.conv1" in [layer.path for layer in told.teacher.layers]


def test_a_tokenizer_with_more_ids_than_an_encoder_knows_is_told_with_both_numbers(
    tmp_path: Path,
) -> None:
    student = deepcopy(TEXTS["student"])
    student["model"]["config"]["vocab_size"] = 29
    (problem,) = looked(tmp_path, TEXTS, student=student).problems
    assert (problem.pointer, problem.code) == ("/student/model", "recipe_invalid")
    assert "vocab_size 29" in problem.message
    assert "30" in problem.message


def test_data_that_cannot_be_read_and_weights_that_do_not_fit_are_told(tmp_path: Path) -> None:
    data = {"name": "arrays", "path": "nothing.npz"}
    told = looked(tmp_path, data=data)
    assert [(one.pointer, one.code) for one in told.problems] == [("/data", "data_invalid")]
    assert (told.teacher, told.num_classes) == (None, None)
    save_file({"other": torch.zeros(2)}, tmp_path / "teacher.safetensors")
    teacher = {**TINY["teacher"], "weights": "teacher.safetensors"}
    (problem,) = looked(tmp_path, teacher=teacher).problems
    assert (problem.pointer, problem.code) == ("/teacher/weights", "weights_mismatch")


def test_the_command_line_says_it_in_a_sentence_or_as_json(tmp_path: Path) -> None:
    def run(*words: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        (tmp_path / "recipe.json").write_text(json.dumps({**TINY, **changes}))
        command = [sys.executable, "-m", "kdcore", "preflight", str(tmp_path / "recipe.json")]
        return subprocess.run(
            [*command, *words], cwd=ROOT, capture_output=True, text=True, check=False
        )

    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert "compatible: 120 steps" in done.stdout
    done = run("--json", data={"name": "table", "path": "rows.csv", "label": "kind"})
    assert done.returncode == 1
    assert json.loads(done.stdout)["problems"][0]["pointer"] == "/data"


def test_the_file_of_a_model_tells_its_layers_or_its_tensors(tmp_path: Path) -> None:
    save_file({"a.weight": torch.zeros(3, 2), "a.bias": torch.zeros(3)}, tmp_path / "w.safetensors")
    told = layers_in(tmp_path / "w.safetensors")
    assert (told.of, told.parameters, told.input_shape) == ("tensors", 9, None)
    assert {layer.path: layer.shape for layer in told.layers} == {"a.bias": [3], "a.weight": [3, 2]}
    (tmp_path / "bad.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0nonsense")
    with pytest.raises(WeightsError, match=r"bad\.safetensors"):
        layers_in(tmp_path / "bad.safetensors")
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    with pytest.raises(RecipeError, match="not a readable ONNX"):
        layers_in(tmp_path / "bad.onnx")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RecipeError, match=r"config\.json"):
        layers_in(tmp_path / "folder")
