"""The loop against a plain PyTorch loop, and what its batches are made of."""

import os
from pathlib import Path

import pytest
import torch
from recipes import tiny
from torch import nn

from kdcore.augment import augmented
from kdcore.corpus import Corpus, load_corpus
from kdcore.crew import Crew
from kdcore.events import StageProgress
from kdcore.lesson import Lesson, draw
from kdcore.network import build, predict
from kdcore.optim import learning_rate
from kdcore.plan import Stage, plan_stages, training_set
from kdcore.recipe import Recipe
from kdcore.runtime import derive_seed
from kdcore.stage import Bench, train
from kdcore.teacher_cache.answers import Live
from kdcore.tensors import HIDDEN
from kdcore.training import Training

CPU = torch.device("cpu")


def prepared(recipe: Recipe, role: str = "student") -> tuple[Stage, Lesson, Corpus]:
    """Return one stage of a recipe, taught by an untrained teacher."""
    corpus = load_corpus(recipe.data, Path(), CPU)
    stage = next(stage for stage in plan_stages(recipe, corpus) if stage.role == role)
    teacher = build(recipe.teacher.model, corpus.input_shape, corpus.num_classes, seed=9).eval()
    teacher.requires_grad_(requires_grad=False)
    labels, pool = training_set(stage, recipe, corpus, corpus.train.labels)
    lesson = Lesson(
        corpus=corpus,
        labels=labels,
        pool=pool,
        teachers=(Live.of(teacher, corpus.input_shape),) if stage.link.taught_by else (),
        temperature=recipe.temperature,
        weighting=recipe.weighting,
        augmentation=recipe.data.augmentation,
        curriculum=recipe.curriculum,
    )
    return stage, lesson, corpus


def bench_in(folder: Path, report_every: float = 0) -> Bench:
    return Bench(
        device=CPU,
        crew=Crew(1, CPU, 1, folder / "crew"),
        checkpoints=folder / "checkpoints",
        anchors=folder / "anchors",
        curves=folder / "curve.jsonl",
        digest="digest",
        report_every=report_every,
    )


def trained(stage: Stage, lesson: Lesson, folder: Path) -> nn.Sequential:
    loop = train(
        stage,
        lesson,
        bench_in(folder, report_every=60),
    )
    while True:
        try:
            next(loop)
        except StopIteration as end:
            return end.value.network


def plain_loop(stage: Stage, lesson: Lesson, alpha: float, temperature: float) -> nn.Sequential:
    """Hinton's loop as anybody would write it."""
    corpus = lesson.corpus
    seed = derive_seed("initial weights", stage.seed)
    student = build(stage.model, corpus.input_shape, corpus.num_classes, seed).train()
    training = stage.training
    optimizer = torch.optim.SGD(
        student.parameters(),
        lr=training.learning_rate,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        nesterov=True,
    )
    for step in range(stage.total_steps):
        batch = draw(step, stage, lesson)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(
                training,
                step,
                total_steps=stage.total_steps,
                steps_per_epoch=lesson.steps_per_epoch(stage),
            )
        logits = student(batch.inputs)
        loss = (1 - alpha) * nn.functional.cross_entropy(logits, batch.labels, ignore_index=HIDDEN)
        for teacher in (one.network for one in lesson.teachers):
            with torch.no_grad():
                answers = teacher(batch.inputs)
            loss = loss + alpha * temperature**2 * nn.functional.kl_div(
                torch.log_softmax(logits / temperature, 1),
                torch.softmax(answers / temperature, 1),
                reduction="batchmean",
            )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return student


@pytest.mark.parametrize("role", ["student", "baseline"])
def test_the_loop_does_what_a_plain_loop_does(role, tmp_path):
    recipe = tiny(method={"name": "kd", "alpha": 0.7, "temperature": 3.0}, data={"labelled": None})
    stage, lesson, _ = prepared(recipe, role)
    ours = trained(stage, lesson, tmp_path).state_dict()
    theirs = plain_loop(stage, lesson, 0.7 if role == "student" else 0.0, 3.0).state_dict()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, atol=1e-6, rtol=1e-5)


def test_progress_tells_the_most_memory_so_far(tmp_path):
    stage, lesson, _ = prepared(tiny())
    events = list(train(stage, lesson, bench_in(tmp_path)))
    told = [event.memory_bytes for event in events if isinstance(event, StageProgress)]
    assert told == sorted(told)
    rss = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    assert 0.5 * rss < told[-1] < 10 * rss


def test_student_and_baseline_start_alike_and_take_equally_many_steps():
    student, _, corpus = prepared(tiny())
    baseline, _, _ = prepared(tiny(), "baseline")
    assert (student.total_steps, student.model) == (baseline.total_steps, baseline.model)
    assert corpus.validation is not None


def test_all_but_the_kept_labels_are_hidden_evenly_over_the_classes():
    _, _, corpus = prepared(tiny())
    seen = corpus.student_labels(32, seed=1)
    kept = seen != HIDDEN
    assert int(kept.sum()) == 32
    assert torch.equal(seen[kept], corpus.train.labels[kept])
    assert torch.bincount(seen[kept]).tolist() == [8, 8, 8, 8]
    assert torch.equal(corpus.student_labels(32, seed=1), seen)
    assert not torch.equal(corpus.student_labels(32, seed=2), seen)
    assert torch.equal(corpus.student_labels(None, seed=1), corpus.train.labels)


@pytest.mark.parametrize(
    ("role", "unlabelled", "labels", "samples"),
    [
        ("teacher", True, 480, 480),
        ("baseline", True, 32, 32),
        ("student", True, 32, 480),
        ("student", False, 32, 32),
    ],
)
def test_each_role_sees_its_own_labels_and_samples(role, unlabelled, labels, samples):
    stage, lesson, _ = prepared(tiny(data={"unlabelled": unlabelled}), role)
    assert len(lesson.pool) == samples
    assert int((lesson.labels[lesson.pool] != HIDDEN).sum()) == labels
    batch = draw(0, stage, lesson)
    assert torch.equal(batch.labels, lesson.labels[batch.index])


def test_an_epoch_shows_every_sample_once_and_another_epoch_in_another_order():
    stage, lesson, _ = prepared(tiny())
    first = [draw(step, stage, lesson) for step in range(30)]
    assert {batch.view for batch in first} == {0}
    shown = torch.cat([batch.index for batch in first])
    assert sorted(shown.tolist()) == lesson.pool.tolist()
    batch = draw(30, stage, lesson)
    assert batch.view == 1
    assert not torch.equal(batch.index, first[0].index)


def test_the_view_of_a_sample_changes_with_the_epoch_alone():
    images = {"shape": [1, 6, 6], "augmentation": {"crop_padding": 2}, "validation_size": 0}
    stage, lesson, corpus = prepared(tiny(data=images))
    how = lesson.augmentation
    views = [
        augmented(corpus.train.inputs, torch.arange(512), how=how, seed=stage.seed, view=epoch)
        for epoch in (0, 1)
    ]
    for step in range(64):
        batch = draw(step, stage, lesson)
        assert torch.equal(batch.inputs, views[step // 32][batch.index])
    same = (views[0] == views[1]).flatten(1).all(1)
    assert float(same.float().mean()) < 1 / 4  # one shift in 25 is met again


def test_a_warm_up_counts_epochs_from_one(tmp_path):
    one_epoch = {"max_steps": 30, "lr_scheduler_type": "constant"}
    warmed = tiny(objectives=[{"name": "kd", "warmup_epochs": 4}], training=one_epoch)
    quarter = tiny(objectives=[{"name": "kd", "weight": 0.25}], training=one_epoch)
    networks = [
        trained(*prepared(recipe)[:2], tmp_path / str(n))
        for n, recipe in enumerate((warmed, quarter))
    ]
    for ours, theirs in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_predictions_are_made_in_evaluation_mode_and_leave_the_mode_as_it_was():
    network = nn.Sequential(nn.BatchNorm1d(3)).train()
    inputs = torch.randn(8, 3)
    assert torch.equal(predict(network, inputs), predict(network, inputs, batch_size=3))
    assert network.training


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1.0, 1.0, 0.853553, 0.5, 0.146447]),
    ],
)
def test_the_course_of_the_learning_rate(schedule, expected):
    training = Training(lr_scheduler_type=schedule, learning_rate=1.0, warmup_steps=2)
    rates = [learning_rate(training, step, total_steps=6, steps_per_epoch=2) for step in range(6)]
    assert rates == pytest.approx(expected, abs=1e-6)
