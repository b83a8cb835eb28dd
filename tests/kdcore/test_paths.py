"""Who teaches whom: chains, dense guidance, the teacher's own route, the best assistant."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from recipes import IMAGES, small_method, small_path, suited, tiny
from safetensors.torch import load_file
from test_stage import bench_in, prepared, trained

from kdcore import Recipe, distill
from kdcore.assign import nearest_midpoint
from kdcore.catalog import METHODS, describe
from kdcore.events import (
    Event,
    RunStarted,
    StageFinished,
    StageProgress,
    StageStarted,
    TeacherChosen,
    Warned,
)
from kdcore.lesson import draw
from kdcore.models.mlp import MLP
from kdcore.models.resnet import ResNet
from kdcore.network import build
from kdcore.optim import build_optimizer
from kdcore.path import TEACHER, Link
from kdcore.paths.dgkd import DGKD
from kdcore.paths.rco import RCO
from kdcore.paths.takd import TAKD
from kdcore.plan import Stage
from kdcore.stage import anchor_file, train
from kdcore.teaching import Teaching
from kdcore.training import Training
from kdcore.weights import load_weights

FAR = ResNet(depth=110)
LARGE, SMALL = MLP(hidden=[24]), MLP(hidden=[4])
CHAIN = [{"name": "mlp", "hidden": [16]}, {"name": "mlp", "hidden": [12]}]


def who(links: list[Link]) -> dict[str, tuple[str, ...]]:
    return {link.name: link.taught_by for link in links}


def planned(recipe: Recipe, tmp_path: Path) -> dict[str, list[str]]:
    with closing(distill(recipe, tmp_path)) as events:
        started = next(event for event in events if isinstance(event, RunStarted))
    return {stage.name: stage.teachers for stage in started.stages}


def test_takd_is_a_chain_and_without_assistants_it_is_direct():
    links = TAKD.model_validate({"assistants": CHAIN}).links(LARGE, SMALL)
    assert who(links) == {
        "assistant-1": ("teacher",),
        "assistant-2": ("assistant-1",),
        "student": ("assistant-2",),
    }
    assert who(TAKD(assistants=[]).links(LARGE, SMALL)) == {"student": ("teacher",)}


def test_in_dgkd_every_larger_network_teaches_and_only_the_students_teachers_are_dropped():
    links = DGKD.model_validate({"assistants": CHAIN, "keep": 0.5}).links(LARGE, SMALL)
    assert who(links) == {
        "assistant-1": ("teacher",),
        "assistant-2": ("teacher", "assistant-1"),
        "student": ("teacher", "assistant-1", "assistant-2"),
    }
    assert [link.keep for link in links] == [1.0, 1.0, 0.5]


def dense(**changes: object) -> tuple[Stage, Teaching, torch.nn.Sequential]:
    """Return a student's stage with three copies of one teacher."""
    path = {"name": "dgkd", "assistants": CHAIN, **changes}
    stage, lesson, _ = prepared(tiny(path=path))
    lesson = replace(lesson, teachers=lesson.teachers * 3)
    student = build(stage.model, lesson.corpus.input_shape, 4, seed=0)
    return stage, Teaching(stage, lesson, student), student


def test_g7_dgkd_is_the_sum_of_takds_link_loss_over_its_teachers():
    """With equal teachers: the labels too count once for each."""
    stage, teaching, student = dense(keep=1.0)
    batch = draw(0, stage, teaching.lesson)
    total, _ = teaching.loss(student, batch, step=0, epoch=0)
    plain, lesson, _ = prepared(tiny())
    link, _ = Teaching(plain, lesson, student).loss(student, batch, step=0, epoch=0)
    assert total.item() == pytest.approx(3 * link.item(), rel=1e-6)


@pytest.mark.parametrize(("labels", "times"), [("once", 1), ("each_teacher", 3), ("each_heard", 3)])
def test_how_often_labels_count_is_chosen(labels, times):
    stage, teaching, student = dense(keep=1.0, labels=labels)
    total, terms = teaching.loss(student, draw(0, stage, teaching.lesson), step=0, epoch=0)
    hard, soft = stage.objectives[0].weight * terms[0], stage.objectives[1].weight * terms[1]
    assert total.item() == pytest.approx((times * hard + soft).item(), rel=1e-6)


def test_teachers_are_dropped_by_a_fair_coin_that_never_drops_all():
    _, teaching, _ = dense(keep=0.5)
    heard = [tuple(teaching._heard(step, 0.0)) for step in range(4000)]
    assert all(heard)
    assert len(set(heard)) == 7
    # Of the 8 ways of three coins the empty one is drawn again: 4/7 hear any given teacher.
    for place in range(3):
        share = sum(place in one for one in heard) / len(heard)
        assert share == pytest.approx(4 / 7, abs=0.03)
    assert heard == [tuple(teaching._heard(step, 0.0)) for step in range(4000)]


def test_g6_the_loss_of_a_step_is_that_of_the_teachers_that_are_heard():
    """With one teacher left it is plain KD, since labels count as often as teachers are heard."""
    stage, teaching, student = dense(keep=0.5, labels="each_heard")
    counts = set()
    for step in range(12):
        batch = draw(step, stage, teaching.lesson)
        heard = len(teaching._heard(step, 0.0))
        total, _ = teaching.loss(student, batch, step=step, epoch=0)
        plain, lesson, _ = prepared(tiny())
        link, _ = Teaching(plain, lesson, student).loss(student, batch, step=step, epoch=0)
        assert total.item() == pytest.approx(heard * link.item(), rel=1e-6)
        counts.add(heard)
    assert len(counts) > 1


def test_rco_follows_the_teachers_own_route_in_equal_shares():
    (link,) = RCO(points=3).links(LARGE, SMALL)
    assert link.taught_by == ("teacher@1", "teacher@2", "teacher")
    stage, lesson, _ = prepared(tiny(path={"name": "rco", "points": 3}))
    lesson = replace(lesson, teachers=lesson.teachers * 3)
    student = build(stage.model, lesson.corpus.input_shape, 4, seed=0)
    teaching = Teaching(stage, lesson, student)
    heard = [teaching._heard(step, step / 40) for step in range(40)]
    assert heard == [[0]] * 14 + [[1]] * 13 + [[2]] * 13


def test_an_anchor_is_the_network_as_it_was_after_that_step(tmp_path):
    stage, lesson, _ = prepared(tiny(path={"name": "rco", "points": 4}), role="teacher")
    assert stage.anchors == (10, 20, 30)
    trained(stage, lesson, tmp_path)
    with closing(train(stage, lesson, bench_in(tmp_path / "cut"))) as loop:
        next(event for event in loop if isinstance(event, StageProgress) and event.step == 20)
    expected = torch.load(tmp_path / "cut/checkpoints/step-000000020/state.pt", weights_only=True)[
        "network"
    ]
    network = build(stage.model, lesson.corpus.input_shape, 4, seed=3)
    load_weights(network, anchor_file(tmp_path / "anchors", 20), "anchor")
    assert all(torch.equal(network.state_dict()[name], expected[name]) for name in expected)


def test_the_route_of_a_finished_teacher_is_read_again_and_made_again_if_it_is_lost(tmp_path):
    recipe = tiny(path={"name": "rco", "points": 2})
    first = list(distill(recipe, tmp_path))
    student = (tmp_path / "stages/student-0.safetensors").read_bytes()
    (tmp_path / "stages/student-0.json").unlink()
    again = list(distill(recipe, tmp_path))
    reused = {event.stage: event.reused for event in again if isinstance(event, StageFinished)}
    assert reused == {"teacher": True, "baseline-0": True, "student-0": False}
    assert (tmp_path / "stages/student-0.safetensors").read_bytes() == student
    for file in (tmp_path / "anchors").iterdir():
        file.unlink()
    (tmp_path / "stages/student-0.json").unlink()
    lost = list(distill(recipe, tmp_path))
    started = [event.stage for event in lost if isinstance(event, StageStarted)]
    assert started == ["teacher", "student-0"]
    assert (tmp_path / "stages/student-0.safetensors").read_bytes() == student
    assert first[-1].type == "run.finished"


def test_the_assistant_nearest_the_midpoint_is_chosen_on_validation_samples(tmp_path):
    candidates = [{"model": one, "name": name} for one, name in zip(CHAIN, "ab", strict=True)]
    recipe = tiny(method={"name": "takd", "assistants": "auto", "candidates": candidates})
    events = list(distill(recipe, tmp_path))
    scores = {event.stage: event.scores for event in events if isinstance(event, StageFinished)}
    (chosen,) = (event for event in events if isinstance(event, TeacherChosen))
    validated = {name: score["validation_accuracy"] for name, score in scores.items()}
    assert chosen.target == (validated["teacher"] + validated["baseline-0"]) / 2
    assert chosen.scores == {name: validated[name] for name in ("assistant-a-0", "assistant-b-0")}
    distance = {name: abs(one - chosen.target) for name, one in chosen.scores.items()}
    assert distance[chosen.teacher] == min(distance.values())
    assert (tmp_path / "artifacts/assistant-2.safetensors").exists()


def test_the_choice_is_by_accuracy_and_not_by_place():
    stage = prepared(tiny(path={"name": "takd", "assistants": CHAIN}))[0]
    link = replace(stage.link, taught_by=("assistant-1-0", "assistant-2-0", "assistant-3-0"))
    scores = {
        name: {"validation_accuracy": value}
        for name, value in {
            TEACHER: 0.9,
            "baseline-0": 0.5,
            "assistant-1-0": 0.85,
            "assistant-2-0": 0.72,
            "assistant-3-0": 0.66,
        }.items()
    }
    assert (
        nearest_midpoint(replace(stage, link=link), scores, "accuracy").teacher == "assistant-2-0"
    )


def test_auto_without_candidates_tries_sizes_of_the_students_own_architecture(tmp_path):
    recipe = tiny(
        teacher={"model": "resnet32"},
        student={"model": "resnet8"},
        data={"name": "synthetic", "shape": [3, 8, 8], "labelled": None},
        method="takd",
    )
    names = [leg.model.label() for leg in recipe.route()]
    assert names == ["resnet26", "resnet20", "resnet14", "resnet8"]
    far = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"model": FAR})})
    assert [leg.model.label() for leg in far.route()] == [
        "resnet44",
        "resnet32",
        "resnet20",
        "resnet8",
    ]


def test_every_assistant_has_a_stage_an_evaluation_and_a_file(tmp_path):
    chain = [{"model": one, "name": name} for one, name in zip(CHAIN, "ab", strict=True)]
    recipe = tiny(method={"name": "dgkd", "assistants": chain})
    events: list[Event] = list(distill(recipe, tmp_path))
    finished = [event.stage for event in events if isinstance(event, StageFinished)]
    assert finished == ["teacher", "baseline-0", "assistant-a-0", "assistant-b-0", "student-0"]
    assert {file.name for file in (tmp_path / "artifacts").glob("assistant*")} == {
        "assistant-1.safetensors",
        "assistant-2.safetensors",
    }


def test_an_assistant_larger_than_its_teacher_is_allowed_and_warned_of(tmp_path):
    wide = {"model": {"name": "mlp", "hidden": [64]}, "training": {"max_steps": 6}}
    events = list(distill(tiny(method={"name": "takd", "assistants": [wide]}), tmp_path))
    warnings = [event for event in events if isinstance(event, Warned)]
    assert [event.code for event in warnings][:1] == ["larger_than_its_teacher"]
    assert "assistant-1-0 has 1,348 parameters" in warnings[0].message
    steps = {event.stage: event.total_steps for event in events if isinstance(event, StageStarted)}
    assert (steps["assistant-1-0"], steps["student-0"]) == (6, 40)


def test_a_name_twice_in_a_chain_is_refused():
    chain = [{"model": "mlp", "name": "mid"}, {"model": "mlp", "name": "mid"}]
    with pytest.raises(ValidationError, match="found the name 'mid' twice"):
        tiny(method={"name": "takd", "assistants": chain})


PARTS = ("learns", "changes_student", "prepares_teacher")
LEARNING = [
    name
    for name, method in METHODS.items()
    if any(describe("methods", method)[key] for key in PARTS)
]


@pytest.mark.parametrize("path", ["takd", "dgkd", "rco"])
@pytest.mark.parametrize("name", LEARNING)
def test_a_method_with_parts_of_its_own_is_trained_along_any_path(name, path, tmp_path):
    """Of several teachers some are not heard in the first step, so their parts begin later."""
    networks = suited(name)
    written = {**small_path(path, networks), **({"keep": 0.5} if path == "dgkd" else {})}
    recipe = tiny(**networks, method=small_method(name), path=written, baseline=False)
    events = list(distill(recipe, tmp_path))
    assert events[-1].type == "run.finished"


def test_a_parameter_that_is_reached_later_moves_as_under_a_plain_optimiser():
    moved: list[torch.Tensor] = []
    for plain in (False, True):
        early, late = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
        training = Training(learning_rate=0.1)
        optimizer = (
            torch.optim.SGD([early, late], 0.1, 0.9, weight_decay=5e-4, nesterov=True)
            if plain
            else build_optimizer(training, [early, late], torch.device("cpu"))
        )
        for step in range(4):
            optimizer.zero_grad()
            (early.square() + (late.square() if step else 0)).sum().backward()
            optimizer.step()
        moved.append(torch.cat([early, late]).detach())
    torch.testing.assert_close(*moved)
    assert moved[0][0] < moved[0][3] < 1


def test_along_the_teachers_route_the_classifier_is_reused_as_it_is_at_the_end(tmp_path):
    path = {"name": "rco", "points": 3}
    list(distill(tiny(**IMAGES, method="simkd", path=path, baseline=False), tmp_path))
    student = load_file(tmp_path / "artifacts/student.safetensors")
    teacher = load_file(tmp_path / "artifacts/teacher.safetensors")
    torch.testing.assert_close(student["head.0.weight"], teacher["head.weight"], rtol=0, atol=0)
