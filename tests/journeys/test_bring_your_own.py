"""Own teachers, students and data: uploaded, distilled, and opened by what they are from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import brought
import onnxruntime
import pytest
import torch
from brought import JOURNEYS, Journey
from running import running_house
from safetensors.torch import load_file
from sklearn.metrics import average_precision_score
from stillhouse import Client
from torch import Tensor
from torch.nn import functional

from jobs.database import Database, migrate
from jobs.settings import Settings
from kdcore import load_student
from kdcore.network import predict
from kdcore.recipe import Recipe
from kdcore.vision import import_timm, import_torchvision, import_transformers

pytestmark = pytest.mark.slow

PADDING = 0
"""The id of it in the tokenizer of the example."""


@dataclass(frozen=True)
class Delivered:
    """What came of a journey."""

    journey: Journey
    job: dict[str, Any]
    """As it ended."""
    folder: Path
    """Of the downloaded files."""
    sums: str
    """SHA256SUMS."""
    inputs: Tensor
    """The test part, as the student takes it."""
    labels: Tensor
    """Of the test part; where it has none, what the teacher says."""
    texts: list[str]
    """The same as people wrote it, where it is texts."""


@pytest.fixture(scope="module")
def house(
    tmp_path_factory: pytest.TempPathFactory, _redis_url: str
) -> Generator[tuple[Client, Path, dict[str, str]]]:
    """Upload all files and post all jobs; give the client, the files' folder, and the jobs."""
    folder = tmp_path_factory.mktemp("house")
    settings = Settings(data=folder / "data", database_url=f"sqlite:///{folder}/ledger.sqlite3")
    with Database(settings.database_url) as database:
        migrate(database)
    own = tmp_path_factory.mktemp("own")
    brought.bring(own)
    with running_house(settings, folder, STILLHOUSE_BROKER_URL=_redis_url) as client:
        uploads = {"dataset": client.datasets, "model": client.models}
        posted: dict[str, str] = {}
        for label, journey in JOURNEYS.items():
            references = {
                name: uploads[kind].upload(own / name)["reference"]
                for name, kind in journey.files.items()
            }
            spec = brought.with_references(journey.spec, references)
            posted[label] = client.submit(spec)["id"]
        assert not (settings.data / "inputs").exists()
        yield client, own, posted


@pytest.fixture(scope="module", params=JOURNEYS)
def delivered(house, request, tmp_path_factory) -> Delivered:
    """Wait for a job, and download what it delivers."""
    client, own, posted = house
    ended = client.wait(posted[request.param], timeout_seconds=280)
    assert (ended["status"], ended["failure"]) == ("succeeded", None)
    folder = tmp_path_factory.mktemp("student")
    client.download(ended["id"], folder)
    journey = JOURNEYS[request.param]
    recipe = Recipe.model_validate(brought.with_references(journey.spec, brought.UNPACKED))
    test = recipe.data.read_for(recipe.task.name, own).test
    texts = brought.test_texts(own) if recipe.data.name == "text" else []
    sums = client.checksums(ended["id"])
    labels = test.labels if journey.labelled else by_the_teacher(own, test.inputs)
    return Delivered(journey, ended, folder, sums, test.inputs, labels, texts)


def by_the_teacher(own: Path, inputs: Tensor) -> Tensor:
    return by_onnx(own / "digit_network.onnx", inputs).argmax(1)


def by_onnx(file: Path, inputs: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (logits, *_) = session.run(None, {"inputs": inputs.numpy()})
    return torch.from_numpy(logits)


def by_timm(one: Delivered) -> Tensor:
    weights = str(one.folder / "student.safetensors")
    options = {"num_classes": 4, "in_chans": 1, "checkpoint_path": weights}
    return predict(import_timm().create_model("test_efficientnet", **options), one.inputs)


def by_torchvision(one: Delivered) -> Tensor:
    theirs = import_torchvision().models.shufflenet_v2_x0_5(num_classes=4)
    theirs.load_state_dict(load_file(one.folder / "student.safetensors"))
    return predict(theirs, one.inputs)


def by_transformers_of_texts(one: Delivered) -> Tensor:
    transformers = import_transformers()
    tokens = transformers.AutoTokenizer.from_pretrained(one.folder)
    student = transformers.AutoModelForSequenceClassification.from_pretrained(one.folder)
    encoded = tokens(one.texts, truncation=True, padding=True, return_tensors="pt")
    with torch.no_grad():
        return student.eval()(**encoded).logits


def by_transformers_of_images(one: Delivered) -> Tensor:
    theirs = import_transformers().AutoModelForImageClassification.from_pretrained(one.folder)
    with torch.no_grad():
        return theirs.eval()(one.inputs).logits


def by_plain_torch(one: Delivered) -> Tensor:
    weights = load_file(one.folder / "student.safetensors")
    hidden = functional.linear(
        one.inputs.flatten(1), weights["hidden1.0.weight"], weights["hidden1.0.bias"]
    )
    return functional.linear(hidden.relu(), weights["head.weight"], weights["head.bias"])


OPENED: dict[str, Callable[[Delivered], Tensor]] = {
    "timm": by_timm,
    "torchvision": by_torchvision,
    "text": by_transformers_of_texts,
    "huggingface_config": by_transformers_of_images,
    "mlp": by_plain_torch,
}
"""How the library that a student is from opens it, by the student's model, or by the data."""


def score(logits: Tensor, labels: Tensor) -> float:
    """Return the accuracy, or for several labels the mean average precision."""
    if labels.ndim == 1:
        return (logits.argmax(1) == labels).double().mean().item()
    return float(average_precision_score(labels, logits))


def test_it_ends_in_a_verdict_that_the_files_bear_out(delivered: Delivered) -> None:
    verdict = delivered.job["verdict"]
    assert verdict["outcome"] in {"beats", "ties", "loses", "inconclusive"}
    assert verdict["student"]["score"]["mean"] > delivered.journey.more_than
    assert verdict == json.loads((delivered.folder / "verdict.json").read_bytes())
    again = score(by_onnx(delivered.folder / "student.onnx", delivered.inputs), delivered.labels)
    assert again == pytest.approx(verdict["student"]["score"]["mean"], abs=1e-3)


def test_all_files_are_what_the_server_lists(delivered: Delivered) -> None:
    listed = {name: digest for digest, name in map(str.split, delivered.sums.splitlines())}
    assert {"student.safetensors", "student.onnx", "config.json", "README.md"} <= set(listed)
    assert listed == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in delivered.folder.iterdir()
    }


def test_its_library_onnx_runtime_and_kdcore_say_the_same(delivered: Delivered) -> None:
    student = delivered.journey.spec["student"]["model"]["name"]
    opened = OPENED["text" if delivered.texts else student](delivered)
    expected = predict(load_student(delivered.folder), delivered.inputs)
    assert expected.std() > 0.1
    torch.testing.assert_close(opened, expected, atol=1e-4, rtol=1e-4)
    one = delivered.inputs[:1]
    if delivered.texts:
        one = one[one != PADDING][None]  # of another length
    for inputs, told in ((delivered.inputs, expected), (one, expected[:1])):
        by_runtime = by_onnx(delivered.folder / "student.onnx", inputs)
        torch.testing.assert_close(by_runtime, told, atol=1e-4, rtol=1e-4)


def test_what_its_card_says_to_type_works(delivered: Delivered, monkeypatch) -> None:
    import_timm()  # which finds its way beside a torch without CUDA, as plain `import timm` cannot
    monkeypatch.chdir(delivered.folder)
    expected = predict(load_student(delivered.folder), delivered.inputs)
    blocks = (delivered.folder / "README.md").read_text().split("```python\n")[1:]
    assert blocks
    for block in blocks:
        runs_onnx = "onnxruntime" in block
        inputs: Any = delivered.inputs.numpy() if runs_onnx else delivered.inputs
        known: dict[str, Any] = {"inputs": inputs, "texts": delivered.texts}
        with torch.no_grad():
            exec(block.partition("```")[0], known)  # noqa: S102  # what people would type
            told = known["logits"] if "logits" in known else known["student"](inputs)
        told = torch.as_tensor(getattr(told, "logits", told))
        torch.testing.assert_close(told, expected, atol=1e-4, rtol=1e-4)


def test_classes_and_unlabelled_samples_are_told(delivered: Delivered) -> None:
    config = json.loads((delivered.folder / "config.json").read_bytes())
    report = json.loads((delivered.folder / "report.json").read_bytes())
    path = delivered.journey.spec["data"]["path"]
    unlabelled = report["data_quality"]["parts"]["train"]["unlabelled"]
    hidden = ("digit_images.zip", "digit_heap.zip", "saved.zip", "train_shards.zip")
    assert unlabelled == (dict.fromkeys(hidden, 864) | {"unlabelled.npz": 1297}).get(path, 0)
    assert ("the teacher is the measure" in delivered.job["verdict"]["sentence"]) == (
        not delivered.journey.labelled
    )
    if delivered.texts:
        assert config["id2label"]["1"] == "delivery"
        assert all(one["text"] for one in report["quality"]["disagreements"])
    if path == "photos.zip":
        assert config["class_names"] == ["one", "three", "two", "zero"]
