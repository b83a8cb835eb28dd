"""Which samples a step draws: pure functions of the step, with and without a curriculum."""

import math
from dataclasses import replace

import pytest
import torch
from recipes import tiny
from test_stage import prepared

from kdcore.curricula.easy_to_hard import EasyToHard
from kdcore.curriculum import Curriculum
from kdcore.lesson import Lesson, draw
from kdcore.plan import Stage


class Never(Curriculum):
    """A share that stays small to the end."""

    name: str = "never"

    def share(self, progress: float) -> float:  # noqa: ARG002  # whatever it is
        """Return a tenth."""
        return 0.1


def on(curriculum: Curriculum, **training: int) -> tuple[Stage, Lesson]:
    """Return a lesson whose easiest sample is the first of its pool."""
    stage, lesson, _ = prepared(tiny(training={"max_steps": 400, **training}))
    return stage, replace(lesson, curriculum=curriculum)


def place_of(lesson: Lesson) -> torch.Tensor:
    places = torch.empty(len(lesson.labels), dtype=torch.int64)
    places[lesson.pool] = torch.arange(len(lesson.pool))
    return places


def test_without_a_curriculum_a_pass_is_an_epoch():
    stage, lesson, _ = prepared(tiny())
    per_epoch = lesson.steps_per_epoch(stage)
    views = [draw(step, stage, lesson).view for step in range(3 * per_epoch)]
    assert views == [0] * per_epoch + [1] * per_epoch + [2] * per_epoch
    epoch = torch.cat([draw(step, stage, lesson).index for step in range(per_epoch)])
    assert len(set(epoch.tolist())) == per_epoch * 16


def test_a_step_draws_from_the_share_that_is_in_use_when_its_pass_begins():
    curriculum = EasyToHard(pacing="linear", start=0.1, full_at=0.5)
    stage, lesson = on(curriculum)
    places, everything = place_of(lesson), len(lesson.pool)
    begun = {}
    for step in range(stage.total_steps):
        batch = draw(step, stage, lesson)
        begun.setdefault(batch.view, step)
        allowed = math.ceil(curriculum.share(begun[batch.view] / stage.total_steps) * everything)
        assert int(places[batch.index].max()) < max(allowed, 16)
        assert len(batch.index) == 16
    last = [draw(step, stage, lesson).index for step in range(390, 400)]
    assert int(places[torch.cat(last)].max()) > 0.8 * everything


def test_within_a_pass_no_sample_comes_twice_and_the_next_pass_has_another_order():
    stage, lesson = on(EasyToHard(start=0.2, full_at=0.9))
    passes: dict[int, list[int]] = {}
    for step in range(stage.total_steps):
        batch = draw(step, stage, lesson)
        passes.setdefault(batch.view, []).extend(batch.index.tolist())
    assert list(passes) == sorted(passes)
    assert all(len(set(one)) == len(one) for one in passes.values())
    assert passes[0] != passes[1]


def test_a_step_is_drawn_alike_whatever_was_drawn_before():
    stage, lesson = on(EasyToHard())
    forward = [draw(step, stage, lesson).index for step in range(60)]
    for step in reversed(range(60)):
        assert torch.equal(draw(step, stage, lesson).index, forward[step])


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_a_curriculum_that_never_ends_and_odd_batches_still_fill_every_step(batch):
    stage, lesson = on(Never(), per_device_train_batch_size=batch)
    places, in_use = place_of(lesson), math.ceil(0.1 * len(lesson.pool))
    for step in (0, 1, 2, 399):
        index = draw(step, stage, lesson).index
        assert len(index) == min(batch, len(lesson.pool))
        assert int(places[index].max()) < max(in_use, min(batch, len(lesson.pool)))
