"""What comes with the axes: features, learned parts, several teachers."""

import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import torch
from recipes import tiny
from test_stage import bench_in, prepared, trained
from torch import Tensor, nn

from kdcore import distill
from kdcore.errors import RecipeError
from kdcore.events import Metrics, StageProgress
from kdcore.lesson import Lesson, draw
from kdcore.network import build
from kdcore.objective import Objective
from kdcore.objectives.kd import KD
from kdcore.plan import Stage
from kdcore.stage import train
from kdcore.stages import named
from kdcore.teaching import Teaching
from kdcore.tensors import Seen, Sizes, Taps


class Hint(Objective):
    """Match the teacher's hidden layer through a learned projection (FitNets, in miniature)."""

    name: Literal["hint"] = "hint"
    layer: str = "hidden1"

    softens: ClassVar[bool] = False

    def taps(self, sizes: Sizes) -> Taps:
        """Read the one layer of both."""
        return Taps(
            student=(named(self.layer, sizes.student, "student"),),
            teacher=(named(self.layer, sizes.teacher, "teacher"),),
        )

    def heads(self, sizes: Sizes) -> nn.Module:
        """Project the student's width to the teacher's."""
        return nn.Linear(sizes.student[self.layer][0], sizes.teacher[self.layer][0])

    def loss(self, seen: Seen, softened: object, heads: nn.Module | None) -> Tensor:  # noqa: ARG002
        """Return the squared distance."""
        assert heads is not None
        difference = heads(seen.student.features[self.layer]) - seen.teacher.features[self.layer]
        return difference.pow(2).mean(1)


def hinted(**changes: object) -> tuple[Stage, Lesson]:
    stage, lesson, _ = prepared(tiny(**changes))
    return replace(stage, objectives=(Hint(), KD())), lesson


def test_features_reach_an_objective_and_its_learned_part_is_trained(tmp_path):
    stage, lesson = hinted()
    student = build(stage.model, lesson.corpus.input_shape, 4, seed=0)
    teaching = Teaching(stage, lesson, student)
    total, terms = teaching.loss(student, draw(0, stage, lesson), step=0, epoch=0)
    total.backward()
    assert len(terms) == 2
    assert [name for name, _ in teaching.heads.named_children()] == ["objective-0-0"]
    assert all(part.grad is not None for part in teaching.heads.parameters())
    assert all(part.grad is None for part in lesson.teachers[0].network.parameters())


def test_a_run_with_learned_parts_that_was_stopped_ends_with_the_same_student(tmp_path):
    stage, lesson = hinted()
    whole = trained(stage, lesson, tmp_path / "whole").state_dict()
    with closing(train(stage, lesson, bench_in(tmp_path / "cut"))) as loop:
        next(event for event in loop if isinstance(event, StageProgress) and event.step == 17)
    cut = trained(stage, lesson, tmp_path / "cut").state_dict()
    assert all(torch.equal(cut[name], whole[name]) for name in whole)


def test_a_stage_that_a_network_does_not_have_is_refused_by_name():
    stage, lesson, _ = prepared(tiny())
    wrong = replace(stage, objectives=(Hint(layer="stage9"),))
    student = build(stage.model, lesson.corpus.input_shape, 4, seed=0)
    with pytest.raises(
        RecipeError,
        match="no stage 'stage9' in the student; expected one of flatten, hidden1, head",
    ):
        Teaching(wrong, lesson, student)


def test_what_several_teachers_say_is_added_up_and_labels_count_once():
    """Golden fact G7, for the terms that follow a teacher."""
    stage, lesson, _ = prepared(tiny())
    two = replace(stage, link=replace(stage.link, taught_by=stage.link.taught_by * 2))
    twice = replace(lesson, teachers=lesson.teachers * 2)
    student = build(stage.model, lesson.corpus.input_shape, 4, seed=0)
    batch = draw(0, stage, lesson)
    once = Teaching(stage, lesson, student).loss(student, batch, step=0, epoch=0)[1]
    both = Teaching(two, twice, student).loss(student, batch, step=0, epoch=0)[1]
    assert float(both[0]) == pytest.approx(float(once[0]))
    assert float(both[1]) == pytest.approx(2 * float(once[1]))


def test_teaching_leaves_the_teacher_as_it_was(tmp_path: Path):
    images = {"shape": [1, 6, 6], "labelled": 64}
    normed = {"model": {"name": "plain_cnn", "stages": [[4]], "hidden": []}}
    list(distill(tiny(teacher=normed, data=images), tmp_path))
    before = (tmp_path / "stages/teacher.safetensors").read_bytes()
    assert (tmp_path / "artifacts/teacher.safetensors").read_bytes() == before


@pytest.mark.parametrize("temperature", ["ctkd", 4.0])
def test_a_learned_temperature_has_a_curve_and_a_fixed_one_has_none(tmp_path, temperature):
    told: dict[str, list[float]] = {}
    for event in distill(tiny(temperature=temperature, method=None, objectives=["kd"]), tmp_path):
        if isinstance(event, Metrics) and "temperature" in event.columns:
            told.setdefault(event.stage, []).extend(event.columns["temperature"])
    if temperature == "ctkd":
        (first, *_, last), first_told = told["student-0"], 1 + 20 / (1 + math.exp(-1))
        assert (list(told), len(told["student-0"])) == (["student-0"], 40)
        assert first == pytest.approx(first_told)
        assert last != first
    else:
        assert told == {}
