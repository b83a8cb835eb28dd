"""Every method, from a POST to a downloaded student that reads digits."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from recipes import OPTIONS, encoder, small_method
from running import running_house
from stillhouse import Client

from jobs.settings import Settings
from kdcore import load_student
from kdcore.catalog import METHODS, describe
from kdcore.network import predict

pytestmark = pytest.mark.slow

SPEC: dict[str, Any] = {
    "teacher": {
        "model": {"name": "plain_cnn", "stages": [[8], [12]], "hidden": []},
        "training": {"max_steps": 120},
    },
    "student": {"model": {"name": "plain_cnn", "stages": [[4], [6]], "hidden": []}},
    "data": {"name": "digits", "labelled": 100, "validation_size": 97},
    "training": {"max_steps": 150},
    "seeds": [0],
}
POSTED: dict[str, str | dict[str, Any]] = {
    name: small_method(name) if name in OPTIONS else name for name in METHODS
}
TEXTS: dict[str, Any] = {
    "teacher": {"model": encoder(2, 32)},
    "student": {"model": encoder(1, 16)},
    "data": {"name": "synthetic_text", "labelled": 200, "validation_size": 97, "signal": 0.6},
    "training": {"max_steps": 150, "optim": "adamw", "learning_rate": 3e-3},
    "seeds": [0],
}
"""For what compares tokens."""
POSTED["takd, the best of two"] = {"name": "takd", "candidates": OPTIONS["dgkd"]["assistants"]}


def reads_texts(label: str) -> bool:
    return label in METHODS and bool(describe("methods", METHODS[label])["needs_tokens"])


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Client, dict[str, str]]]:
    """Post a job for every method; give the client and the jobs' names."""
    folder = tmp_path_factory.mktemp("house")
    with running_house(Settings(data=folder / "data"), folder) as client:
        posted = {
            label: client.submit((TEXTS if reads_texts(label) else SPEC) | {"method": method})["id"]
            for label, method in POSTED.items()
        }
        yield client, posted


@pytest.mark.parametrize("label", POSTED)
def test_a_posted_method_becomes_a_downloaded_student(jobs, label, tmp_path: Path):
    client, posted = jobs
    ended = client.wait(posted[label], timeout_seconds=280)
    assert (ended["status"], ended["failure"]) == ("succeeded", None)
    assert ended["spec"]["method"] == POSTED[label]
    method = POSTED[label]
    assert ended["recipe"]["method"]["name"] == (
        method if isinstance(method, str) else method["name"]
    )
    client.download(posted[label], tmp_path)
    student = load_student(tmp_path)
    source = torch.Generator().manual_seed(1)
    inputs = torch.rand(5, 1, 8, 8, generator=source)
    if reads_texts(label):
        inputs = torch.randint(1, 64, (5, 16), generator=source)
    session = onnxruntime.InferenceSession(
        tmp_path / "student.onnx", providers=["CPUExecutionProvider"]
    )
    (logits,) = session.run(None, {"inputs": inputs.numpy()})
    torch.testing.assert_close(
        torch.from_numpy(logits), predict(student, inputs), atol=1e-4, rtol=0
    )
    accuracy = ended["verdict"]["student"]["score"]["mean"]
    assert accuracy > 0.3, "ten classes: chance is 0.1"
