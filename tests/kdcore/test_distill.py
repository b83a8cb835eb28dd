"""The story from recipe to proven student, and what it refuses."""

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from pydantic import ValidationError
from recipes import tiny
from safetensors.torch import load_file, save_file

from kdcore import Recipe, distill, load_student
from kdcore.corpus import load_corpus
from kdcore.datasets.arrays import Arrays
from kdcore.errors import (
    DataError,
    DiskFullError,
    KdcoreError,
    NonFiniteLossError,
    RecipeError,
    WeightsError,
)
from kdcore.events import (
    EVENT,
    ArtifactWritten,
    Event,
    Metrics,
    RunStarted,
    StageFinished,
    StageStarted,
    VerdictReached,
    Warned,
)
from kdcore.network import build


def save_arrays(folder: Path, **changes: Any) -> None:
    draw = np.random.default_rng(0)
    arrays = {
        "x_train": draw.normal(size=(40, 6)).astype("float32"),
        "y_train": np.arange(40) % 3,
        "x_test": draw.normal(size=(12, 6)).astype("float32"),
        "y_test": np.arange(12) % 3,
    }
    arrays.update(changes)
    np.savez(
        folder / "data.npz", **{name: value for name, value in arrays.items() if value is not None}
    )


def on_arrays() -> Recipe:
    return tiny().model_copy(update={"data": Arrays(path="data.npz")})


def test_every_file_is_delivered_with_its_digest_and_the_student_opens_again(tmp_path):
    recipe = tiny(export=["safetensors", "onnx"], seeds=[3, 4], gates=["retention >= 0.1"])
    events = list(distill(recipe, tmp_path))
    written = {event.name: event for event in events if isinstance(event, ArtifactWritten)}
    assert set(written) == {
        "student.safetensors",
        "student.onnx",
        "teacher.safetensors",
        "config.json",
        "recipe.json",
        "spec.lock",
        "verdict.json",
        "report.json",
        "report.md",
        "report.html",
        "README.md",
    }
    for event in written.values():
        content = (tmp_path / event.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (
            event.size_bytes,
            event.sha256,
        )
    student = load_student(tmp_path / "artifacts")
    inputs = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(tmp_path / "artifacts/student.onnx")
    (logits,) = session.run(None, {"inputs": inputs.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), student(inputs), atol=1e-5, rtol=1e-5)
    for event in events:
        assert EVENT.validate_json(event.model_dump_json()) == event


def test_the_verdict_is_over_every_seed_and_equals_what_was_measured(tmp_path):
    events = list(distill(tiny(seeds=[1, 2, 3], baseline={"hard_labels": True}), tmp_path))
    verdict = next(event for event in events if isinstance(event, VerdictReached)).verdict
    accuracy = {
        event.stage: event.scores["accuracy"]
        for event in events
        if isinstance(event, StageFinished)
    }
    assert verdict.student.score.values == [accuracy[f"student-{seed}"] for seed in (1, 2, 3)]
    assert verdict.baseline is not None
    assert verdict.baseline.score.values == [accuracy[f"baseline-{seed}"] for seed in (1, 2, 3)]
    assert verdict.controls["hard_labels"].score.values == [
        accuracy[f"hard_labels-{seed}"] for seed in (1, 2, 3)
    ]
    assert verdict.teacher.score.values == [accuracy["teacher"]]
    assert verdict.student.parameters == 16 * 4 + 4 + 4 * 4 + 4
    assert verdict.student.flops == 2 * (16 * 4 + 4 * 4)


def test_whoever_trains_after_the_teacher_is_compared_with_it_on_the_way(tmp_path):
    recipe = tiny(export=["safetensors"])
    told: dict[str, list[float]] = {}
    for event in distill(recipe, tmp_path, report_every=60):
        if isinstance(event, Metrics):
            agreed = event.columns.get("validation/agreement", [])
            told.setdefault(event.stage, []).extend(one for one in agreed if one is not None)
    assert told["teacher"] == []
    assert len(told["student-0"]) == len(told["baseline-0"]) > 1
    artifacts = tmp_path / "artifacts"
    student = load_student(artifacts)
    samples = load_corpus(recipe.data, tmp_path, torch.device("cpu")).validation
    assert samples is not None
    teacher = build(recipe.teacher.model, (16,), 4, seed=0)
    teacher.load_state_dict(load_file(artifacts / "teacher.safetensors"))
    answers = [network.eval()(samples.inputs).argmax(1) for network in (student, teacher)]
    same = int((answers[0] == answers[1]).sum()) / len(samples.labels)
    assert told["student-0"][-1] == pytest.approx(same)
    assert same < 1


def test_a_chain_trains_each_assistant_by_the_one_before(tmp_path):
    assistants = [{"name": "mlp", "hidden": [16]}, {"name": "mlp", "hidden": [8]}]
    recipe = tiny(method={"name": "takd", "assistants": assistants}, baseline=False)
    events = list(distill(recipe, tmp_path))
    plan = next(event for event in events if isinstance(event, RunStarted)).stages
    assert [(stage.name, stage.teachers) for stage in plan] == [
        ("teacher", []),
        ("assistant-1-0", ["teacher"]),
        ("assistant-2-0", ["assistant-1-0"]),
        ("student-0", ["assistant-2-0"]),
    ]
    first = load_file(tmp_path / "artifacts/assistant-1.safetensors")
    assert first["hidden1.0.weight"].shape == (16, 16)


def test_a_chain_without_assistants_is_plain_kd(tmp_path):
    """Golden fact G6."""
    plain = {"name": "kd", "alpha": 0.7, "temperature": 3.0}
    list(distill(tiny(method=plain), tmp_path / "kd"))
    list(distill(tiny(method={**plain, "name": "takd", "assistants": []}), tmp_path / "takd"))
    student = "stages/student-0.safetensors"
    assert (tmp_path / "kd" / student).read_bytes() == (tmp_path / "takd" / student).read_bytes()


def test_a_given_teacher_is_read_and_not_trained(tmp_path):
    normed = {"model": {"name": "plain_cnn", "stages": [[4]], "hidden": []}}
    images = {"shape": [1, 6, 6]}
    list(distill(tiny(teacher=normed, data=images), tmp_path / "first"))
    given = tmp_path / "first/artifacts/teacher.safetensors"
    (tmp_path / "teacher.safetensors").write_bytes(given.read_bytes())
    recipe = tiny(teacher=normed | {"weights": "teacher.safetensors"}, data=images)
    events = list(distill(recipe, tmp_path / "second", inputs=tmp_path))
    plan = next(event for event in events if isinstance(event, RunStarted)).stages
    assert [stage.role for stage in plan] == ["baseline", "student"]
    first, second = (
        (tmp_path / run / "artifacts/student.safetensors").read_bytes()
        for run in ("first", "second")
    )
    assert first == second


def test_a_teacher_file_that_does_not_fit_is_described_tensor_by_tensor(tmp_path):
    save_file(
        {"hidden1.0.weight": torch.zeros(3, 3), "odd": torch.zeros(1)}, tmp_path / "t.safetensors"
    )
    recipe = tiny(teacher={"weights": "t.safetensors"})
    with pytest.raises(WeightsError) as caught:
        list(distill(recipe, tmp_path / "out", inputs=tmp_path))
    for words in ("head.bias is missing", "odd is not in the network", "[3, 3]", "[24, 16]"):
        assert words in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\xff" * 64])
def test_a_teacher_file_that_is_no_safetensors_is_refused(tmp_path, content):
    (tmp_path / "t.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        list(distill(tiny(teacher={"weights": "t.safetensors"}), tmp_path / "o", inputs=tmp_path))


@pytest.mark.parametrize("often", [{"save_steps": 1}, {"eval_steps": 1}, {}])
def test_a_diverging_run_fails_at_the_step_and_tells_only_numbers_before(tmp_path, often):
    recipe = tiny(training={"learning_rate": 1e9, "max_steps": 5000, **often})
    told: list[Event] = []
    with pytest.raises(NonFiniteLossError, match=r"at step \d{1,2} of stage teacher|held out"):
        told.extend(distill(recipe, tmp_path))
    for event in told:
        assert EVENT.validate_json(event.model_dump_json()) == event
    for state in tmp_path.glob("checkpoints/teacher/step-*/state.pt"):
        weights = torch.load(state, weights_only=True)["network"]
        assert all(bool(tensor.isfinite().all()) for tensor in weights.values())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x_train": np.zeros((0, 6), "float32"), "y_train": np.zeros(0, int)}, "no samples"),
        (
            {"x_test": np.zeros((0, 6), "float32"), "y_test": np.zeros(0, int)},
            "test part has no samples",
        ),
        ({"x_train": np.full((40, 6), np.nan, "float32")}, "40 training samples hold NaN"),
        ({"y_train": np.zeros(40, int)}, "fewer than two classes"),
        ({"y_train": np.full(40, -2)}, "label -2"),
        ({"y_train": np.arange(39) % 3}, "40 samples and 39 labels"),
        ({"y_train": np.arange(40) / 2}, "one integer a sample"),
        ({"x_train": np.array(["a"] * 40)}, "uint8 or floating"),
        ({"x_test": np.zeros((12, 5), "float32")}, "must be equal"),
        (
            {"x_train": np.zeros(40, "float32"), "x_test": np.zeros(12, "float32")},
            "has shape (40,)",
        ),
        ({"x_train": np.float32(1)}, "has shape ()"),
        ({"y_test": np.full(12, 2**40)}, "go up to 1099511627776"),
        ({"y_train": np.arange(40) % 2 * 50}, "without wide gaps"),
        ({"y_test": None}, "no array y_test"),
        ({"x_train": np.array([{}] * 40, dtype=object)}, "not a readable .npz"),
    ],
)
def test_bad_arrays_are_refused_with_what_was_found(tmp_path, changes, words):
    save_arrays(tmp_path, **changes)
    recipe = on_arrays()
    with pytest.raises(DataError) as caught:
        list(distill(recipe, tmp_path / "out", inputs=tmp_path))
    assert words in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"no zip at all", b"PK\x03\x04broken", b"npy"])
def test_a_file_that_is_no_npz_is_refused(tmp_path, content):
    if content == b"npy":
        np.save(tmp_path / "one.npy", np.zeros(3))
        (tmp_path / "one.npy").rename(tmp_path / "data.npz")
    elif content is not None:
        (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"data\.npz"):
        list(distill(on_arrays(), tmp_path / "o", inputs=tmp_path))


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"data": {"labelled": 100_000}}, DataError, "asks for 100000 labels"),
        ({"data": {"validation_size": 512}}, DataError, "validation_size is 512"),
        ({"data": {"augmentation": {"horizontal_flip": True}}}, ValidationError, "changes of imag"),
        ({"data": {"augmentation": {"cutmix": 1.0}}}, ValidationError, "changes of images"),
        ({"student": {"model": "plain_cnn"}}, ValidationError, "takes images"),
        ({"runtime": {"device": "cuda:99"}}, RecipeError, "CUDA devices"),
        (
            {
                "student": {"model": "resnet"},
                "data": {"shape": [1, 4, 4]},
                "training": {"per_device_train_batch_size": 1},
            },
            RecipeError,
            r"cannot be trained on batches of shape \(1, 1, 4, 4\)",
        ),
        (
            {
                "student": {"model": "resnet"},
                "data": {"shape": [1, 4, 4], "labelled": 1, "unlabelled": False},
            },
            RecipeError,
            r"cannot be trained on batches of shape \(1, 1, 4, 4\)",
        ),
        (
            {"data": {"train_size": 34, "labelled": 2}, "baseline": False, "method": "rkd"},
            RecipeError,
            "found 2 samples that student-0 learns from, and rkd compares 3",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_before_any_training(tmp_path, changes, error, words):
    seen: list[Event] = []
    with pytest.raises(error, match=words):
        seen.extend(distill(tiny(**changes), tmp_path))
    assert not any(isinstance(event, StageStarted) for event in seen)


def test_arrays_of_bytes_are_scaled_to_one_and_unlabelled_ones_are_used(tmp_path):
    draw = np.random.default_rng(1)
    save_arrays(
        tmp_path,
        x_train=draw.integers(0, 256, (40, 6), dtype="uint8"),
        x_test=draw.integers(0, 256, (12, 6), dtype="uint8"),
        y_train=np.where(np.arange(40) < 30, np.arange(40) % 3, -1),
    )
    source = Arrays(path="data.npz").read(tmp_path)
    assert float(source.train.inputs.max()) <= 1
    events = list(distill(on_arrays(), tmp_path / "out", inputs=tmp_path))
    assert any(isinstance(event, VerdictReached) for event in events)


@pytest.mark.parametrize("kind", [">f4", "longdouble", "float16"])
def test_arrays_of_any_floating_type_are_read(tmp_path, kind):
    save_arrays(tmp_path, x_train=np.ones((40, 6), kind), y_train=np.arange(40).astype(">i2") % 3)
    source = Arrays(path="data.npz").read(tmp_path)
    assert source.train.inputs.dtype == torch.float32
    assert float(source.train.inputs.min()) == 1


def test_a_weak_teacher_and_a_single_seed_are_warned_about(tmp_path):
    recipe = tiny(teacher={"training": {"max_steps": 1, "learning_rate": 1e-9}})
    codes = {event.code for event in distill(recipe, tmp_path) if isinstance(event, Warned)}
    assert codes == {"weak_teacher", "one_seed"}


@pytest.mark.parametrize("broken", ["student.safetensors", "config.json", "report.md"])
def test_a_full_disk_while_exporting_is_named_and_leaves_no_half_file(
    tmp_path, monkeypatch, broken
):
    fsync = os.fsync

    def full(descriptor: int) -> None:
        if f"artifacts/{broken}." in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match="no room"):
        list(distill(tiny(), tmp_path))
    assert not (tmp_path / "artifacts" / broken).exists()
    assert not list(tmp_path.rglob("*.tmp"))
    monkeypatch.undo()
    list(distill(tiny(), tmp_path))
    assert (tmp_path / "artifacts" / broken).stat().st_size


def test_every_error_has_a_code_of_its_own():
    def family(error: type[KdcoreError]) -> list[type[KdcoreError]]:
        return [error, *(kin for child in error.__subclasses__() for kin in family(child))]

    codes = [error.code for error in family(KdcoreError)]
    assert len(set(codes)) == len(codes)


def test_the_config_says_all_that_is_needed_to_feed_the_student(tmp_path):
    list(distill(tiny(), tmp_path))
    config = json.loads((tmp_path / "artifacts/config.json").read_text())
    assert (config["input_shape"], config["num_classes"]) == ([16], 4)
