"""A teacher in a program of torch.export: what it says, and that nobody reads one unasked."""

import copy
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from recipes import IMAGES, TEXTS, encoder, tiny
from safetensors.torch import load_file
from torch import nn

from kdcore.errors import RecipeError
from kdcore.models.exported import Exported
from kdcore.models.huggingface import HuggingFaceConfig
from kdcore.models.plain_cnn import PlainCNN
from kdcore.network import build, predict, shapes_of, weights_bytes
from kdcore.portable import exported_bytes
from kdcore.program_network import TRUSTED
from kdcore.story import distill
from kdcore.tokens import Ids

SHAPE, CLASSES = (1, 8, 8), 4
TEACHER = {"model": {"name": "exported", "path": "teacher.pt2"}}


def network() -> nn.Module:
    return build(PlainCNN(stages=[[4], [6]], hidden=[]), SHAPE, CLASSES, seed=0).eval()


def trust(folder: Path) -> None:
    """Write what `sha256sum teacher.pt2` writes, as the error says."""
    digest = hashlib.sha256((folder / "teacher.pt2").read_bytes()).hexdigest()
    (folder / TRUSTED).write_text(f"# ours\n{digest}  teacher.pt2\n")


def written(folder: Path, content: bytes | None = None) -> Path:
    content = content or exported_bytes(network(), torch.rand(2, *SHAPE))
    (folder / "teacher.pt2").write_bytes(content)
    trust(folder)
    return folder


def read(folder: Path, shape: tuple[int, ...] = SHAPE, classes: int = CLASSES) -> Any:
    return build(Exported(path="teacher.pt2").located(folder), shape, classes, seed=0)


def test_it_says_what_was_exported_also_as_a_copy(tmp_path):
    inputs, expected = torch.rand(5, *SHAPE), network()
    found = read(written(tmp_path))
    torch.testing.assert_close(predict(found, inputs), predict(expected, inputs))
    assert found.numbers == sum(one.numel() for one in expected.parameters())
    assert shapes_of(found, SHAPE) == {"logits": (CLASSES,)}
    for again in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):  # noqa: S301  # ours
        assert torch.equal(predict(again, inputs), predict(found, inputs))


@pytest.mark.parametrize("listed", [None, "", "0" * 64 + "  teacher.pt2\n", b"\xff\xfe"])
def test_a_program_that_nobody_vouched_for_is_not_read(tmp_path, monkeypatch, listed):
    written(tmp_path)
    (tmp_path / TRUSTED).unlink()
    if listed is not None:
        content = listed if isinstance(listed, bytes) else listed.encode()
        (tmp_path / TRUSTED).write_bytes(content)
    monkeypatch.setattr("torch.export.load", lambda *_: pytest.fail("it was read"))
    digest = hashlib.sha256((tmp_path / "teacher.pt2").read_bytes()).hexdigest()
    with pytest.raises(RecipeError, match=digest) as caught:
        read(tmp_path)
    assert "sha256sum teacher.pt2 >> trusted.sha256" in str(caught.value.hint)


def test_it_teaches_as_the_network_that_it_was_made_of(tmp_path):
    written(tmp_path)
    (tmp_path / "teacher.safetensors").write_bytes(weights_bytes(network()))
    plain = {"name": "plain_cnn", "stages": [[4], [6]], "hidden": []}
    named = {"model": plain, "weights": "teacher.safetensors"}
    rest = {**IMAGES, "baseline": False, "export": ["safetensors"], "seeds": [0]}
    found = []
    for place, teacher in enumerate((TEACHER, named)):
        list(distill(tiny(**{**rest, "teacher": teacher}), tmp_path / str(place), inputs=tmp_path))
        folder = tmp_path / str(place) / "artifacts"
        verdict = json.loads((folder / "verdict.json").read_text())
        found.append((verdict["teacher"], load_file(folder / "student.safetensors")))
    (first, ours), (other, theirs) = found
    assert (first["score"], first["parameters"]) == (other["score"], other["parameters"])
    for name, one in ours.items():
        torch.testing.assert_close(one, theirs[name], rtol=1e-3, atol=1e-4)


def test_it_reads_texts(tmp_path):
    ids = Ids(10, vocabulary=30, pad=0)
    model = HuggingFaceConfig.model_validate({"config": encoder(2, 16)["config"]})
    teacher = build(model, ids, CLASSES, seed=0).eval()
    texts = torch.randint(1, 30, (4, 10))
    written(tmp_path, exported_bytes(teacher, texts))
    torch.testing.assert_close(
        predict(read(tmp_path, ids), texts), predict(teacher, texts), rtol=1e-4, atol=1e-4
    )
    recipe = tiny(**{**TEXTS, "teacher": TEACHER, "method": "kd", "baseline": False})
    list(distill(recipe, tmp_path / "out", inputs=tmp_path))


@pytest.mark.parametrize(
    ("shape", "classes", "says"),
    [
        (SHAPE, 7, "found logits for 4 classes, and data of 7"),
        ((3, 8, 8), CLASSES, "torch.export cannot read it, or run it"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(tmp_path, shape, classes, says):
    with pytest.raises(RecipeError, match=says):
        read(written(tmp_path), shape, classes)


def test_what_is_no_program_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="no such file"):
        read(tmp_path)
    with pytest.raises(RecipeError, match=r"torch\.export cannot read it"):
        read(written(tmp_path, b"PK\x03\x04 and nothing more"))


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"student": TEACHER}, "/student/model"),
        ({"teacher": {**TEACHER, "training": {"max_steps": 3}}}, "/teacher/training"),
        ({"teacher": {**TEACHER, "weights": "w.safetensors"}}, "/teacher/weights"),
    ],
)
def test_it_teaches_alone(changes, pointer):
    with pytest.raises(ValidationError) as caught:
        tiny(**{**IMAGES, "teacher": TEACHER, **changes})
    assert pointer in str(caught.value.errors()[0].get("ctx", {}).get("pointer"))
