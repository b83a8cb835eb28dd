"""Networks that begin with a file of weights, as they are or with a new head."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from recipes import IMAGES, tiny
from resumed import results
from safetensors.torch import load_file, save_file

from kdcore.corpus import load_corpus
from kdcore.errors import CheckpointError, WeightsError
from kdcore.events import RunStarted, StageProgress
from kdcore.models import MODELS
from kdcore.models.timm_models import Timm
from kdcore.network import build, weights_bytes
from kdcore.plan import plan_stages
from kdcore.preflight import look
from kdcore.recipe import Recipe
from kdcore.sides import located
from kdcore.starting import begin
from kdcore.story import distill

CPU = torch.device("cpu")
SHAPE, CLASSES, OTHERS = (1, 8, 8), 4, 7
FILE = "mine.safetensors"
KINDS: dict[str, dict[str, Any]] = {
    "ours": IMAGES["student"]["model"],
    "timm": {"name": "timm", "architecture": "test_resnet"},
    "torchvision": {"name": "torchvision", "architecture": "mobilenet_v3_small"},
}
HEADS = {"ours": "head", "timm": "fc", "torchvision": "classifier.3"}
MINE = {"weights": FILE, "new_head": True}
VECTORS = {"name": "embedding", "dimensions": 4}
SLOW = {**IMAGES["training"], "max_steps": 2, "learning_rate": 1e-12, "weight_decay": 0.0}
"""Steps after which a network is still what it began as."""


def checkpoint(folder: Path, model: dict[str, Any], classes: int = OTHERS) -> dict[str, Any]:
    """Put weights of a network for so many classes into a folder."""
    folder.mkdir(exist_ok=True)
    network = build(MODELS[model["name"]].model_validate(model), SHAPE, classes, seed=9)
    (folder / FILE).write_bytes(weights_bytes(network))
    return network.state_dict()


def recipe(model: dict[str, Any], **changes: Any) -> Recipe:
    student = {"model": model, **MINE}
    return tiny(**{**IMAGES, "student": student, "training": SLOW, **changes})


def run(what: Recipe, folder: Path, inputs: Path) -> list[str]:
    """Run a recipe; return its stages."""
    events = list(distill(what, folder, inputs=inputs))
    return [stage.name for one in events if isinstance(one, RunStarted) for stage in one.stages]


def parameters(model: dict[str, Any]) -> set[str]:
    """Return what is trained of a network: statistics of batches change without learning."""
    network = build(MODELS[model["name"]].model_validate(model), SHAPE, CLASSES, seed=0)
    return {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_body_is_the_files_at_the_first_step_and_the_head_is_new(kind: str, tmp_path: Path):
    theirs = checkpoint(tmp_path, KINDS[kind])
    what = located(recipe(KINDS[kind], teacher={"model": KINDS[kind], **MINE}), tmp_path)
    plan = plan_stages(what, load_corpus(what.data, tmp_path, CPU))
    assert [stage.name for stage in plan] == ["teacher", "baseline-0", "student-0"]
    heads: list[torch.Tensor] = []
    for stage in plan:
        network = begin(stage.model, SHAPE, CLASSES, stage.seed, stage.start)
        state = network.state_dict()
        head = {name for name in state if name.startswith(f"{HEADS[kind]}.")}
        assert {name for name in state if not torch.equal(state[name], theirs[name])} == head
        assert state[f"{HEADS[kind]}.weight"].shape[0] == CLASSES
        heads.append(state[f"{HEADS[kind]}.weight"])
        other = begin(stage.model, SHAPE, CLASSES, 5, stage.start).state_dict()
        assert not torch.equal(other[f"{HEADS[kind]}.weight"], heads[-1])
    assert torch.equal(heads[1], heads[2]), "the baseline begins as the student does"


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_from_the_file(kind: str, tmp_path: Path):
    theirs = checkpoint(tmp_path / "inputs", KINDS[kind])
    what = recipe(KINDS[kind], teacher={"model": KINDS[kind], **MINE}, baseline=True)
    assert run(what, tmp_path / "work", tmp_path / "inputs")[0] == "teacher"
    delivered = tmp_path / "work/artifacts"
    stages = (tmp_path / "work/stages/baseline-0.safetensors", delivered / "teacher.safetensors")
    for file in (*stages, delivered / "student.safetensors"):
        state = load_file(file)
        for name in parameters(KINDS[kind]):
            if not name.startswith(HEADS[kind]):
                torch.testing.assert_close(state[name], theirs[name])
        assert state[f"{HEADS[kind]}.weight"].shape[0] == CLASSES
    lock = json.loads((delivered / "spec.lock").read_bytes())
    assert len(lock["lock"]["digests"][FILE]) == 64
    assert lock["student"]["weights"] == FILE


def test_a_student_may_keep_the_head_of_its_file(tmp_path: Path):
    theirs = checkpoint(tmp_path / "inputs", KINDS["ours"], CLASSES)
    what = recipe(KINDS["ours"], student={"model": KINDS["ours"], "weights": FILE})
    run(what, tmp_path / "work", tmp_path / "inputs")
    state = load_file(tmp_path / "work/artifacts/student.safetensors")
    torch.testing.assert_close(state["head.weight"], theirs["head.weight"])


def test_weights_and_a_training_are_a_teacher_that_learns_on(tmp_path: Path):
    theirs = checkpoint(tmp_path / "inputs", IMAGES["teacher"]["model"], CLASSES)
    teacher = {**IMAGES["teacher"], "weights": FILE, "training": SLOW}
    what = recipe(KINDS["ours"], teacher=teacher, student=IMAGES["student"])
    assert run(what, tmp_path / "work", tmp_path / "inputs")[0] == "teacher"
    state = load_file(tmp_path / "work/artifacts/teacher.safetensors")
    torch.testing.assert_close(state["head.weight"], theirs["head.weight"])


def test_a_resumed_run_ends_with_the_same_bits_and_another_file_is_another_run(tmp_path: Path):
    inputs = tmp_path / "inputs"
    checkpoint(inputs, KINDS["ours"])
    what = recipe(KINDS["ours"], training=IMAGES["training"])
    run(what, tmp_path / "whole", inputs)
    story = distill(what, tmp_path / "stopped", inputs=inputs, report_every=0)
    for event in story:
        if isinstance(event, StageProgress) and event.role == "student" and event.step == 6:
            break
    story.close()
    run(what, tmp_path / "stopped", inputs)
    assert results(tmp_path / "stopped") == results(tmp_path / "whole")
    checkpoint(inputs, KINDS["ours"], OTHERS + 1)
    with pytest.raises(CheckpointError, match="another recipe"):
        run(what, tmp_path / "whole", inputs)


def test_what_a_file_has_of_a_head_does_not_matter_where_it_is_new(tmp_path: Path):
    theirs = checkpoint(tmp_path, KINDS["timm"])
    body = {name: one for name, one in theirs.items() if not name.startswith("fc.")}
    for head in ({}, {"fc.0.weight": torch.zeros(3)}, {"fc.weight": torch.full((2, 2), torch.nan)}):
        save_file({**body, **head}, tmp_path / FILE)
        assert look(recipe(KINDS["timm"]), tmp_path).compatible


def test_all_classifiers_of_a_timm_network_are_its_head():
    model = Timm(architecture="deit_tiny_distilled_patch16_224")
    with torch.device("meta"):
        assert model.heads(model.build((3, 224, 224), 5)) == ("head", "head_dist")


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"student": {"new_head": True}}, "/student/new_head", "no student.weights"),
        ({"teacher": {"new_head": True}}, "/teacher/new_head", "no teacher.weights"),
        ({"student": MINE, "method": "simkd"}, "/student/weights", "another network"),
        ({"student": {"weights": "../mine"}}, "/student/weights", "inside the inputs folder"),
        (
            {"teacher": MINE, "task": {"name": "embedding", "dimensions": 4}},
            "/teacher",
            "yet to be trained",
        ),
    ],
)
def test_what_cannot_begin_so_is_refused_with_a_pointer(
    changes: dict[str, Any], pointer: str, words: str
):
    sides = {
        whose: {"model": KINDS["ours"], **changes.get(whose, {})}
        for whose in ("teacher", "student")
    }
    with pytest.raises(ValidationError) as told:
        tiny(**{**IMAGES, **changes, **sides})
    (error,) = told.value.errors()
    where = error.get("ctx", {}).get("pointer") or "".join(f"/{part}" for part in error["loc"])
    assert where == pointer
    assert words in error["msg"]


def test_a_file_that_does_not_fit_is_told_before_anything_is_trained(tmp_path: Path):
    checkpoint(tmp_path, KINDS["ours"])
    for whose in ("student", "teacher"):
        plain = {"student": IMAGES["student"]}
        what = recipe(KINDS["ours"], **{**plain, whose: {"model": KINDS["ours"], "weights": FILE}})
        (problem,) = look(what, tmp_path).problems
        assert (problem.pointer, problem.code) == (f"/{whose}/weights", "weights_mismatch")
        assert "new_head: true" in problem.hint
        assert {one.name: (one.found, one.expected) for one in problem.tensors} == {
            "head.weight": ([OTHERS, 16], [CLASSES, 16]),
            "head.bias": ([OTHERS], [CLASSES]),
        }
        with pytest.raises(WeightsError, match=r"head\.weight has shape") as told:
            run(what, tmp_path / f"{whose}-work", tmp_path)
        assert told.value.pointer == f"/{whose}/weights"
        assert not (tmp_path / f"{whose}-work/stages").exists()
    (tmp_path / FILE).unlink()
    (problem,) = look(recipe(KINDS["ours"]), tmp_path).problems
    assert (problem.pointer, problem.message) == (
        "/student/weights",
        f"{FILE}: no such file in the inputs folder",
    )


def test_all_tensors_that_do_not_fit_are_told_and_few_of_them_in_the_sentence(tmp_path: Path):
    many = {f"layer{place}": torch.zeros(2, 1) for place in range(1_100)}
    save_file(many, tmp_path / FILE)
    what = recipe(KINDS["ours"], student={"model": KINDS["ours"], "weights": FILE})
    (problem,) = look(what, tmp_path).problems
    assert len(problem.message) < 500
    assert len(problem.tensors) == 1_000
    told = {one.name: one for one in problem.tensors}
    assert (told["head.weight"].found, told["head.weight"].expected) == (None, [CLASSES, 16])
    assert (told["layer7"].found, told["layer7"].expected) == ([2, 1], None)
