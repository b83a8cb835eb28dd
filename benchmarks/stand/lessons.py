"""A student's lesson of one teacher without the story around it: asked in every step, or kept.

The engine's own loop, precision and frozen copies; only what the loop does is timed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch

from kdcore.arithmetic import Measurements, answering, laid_out
from kdcore.corpus import Corpus
from kdcore.crew import Crew
from kdcore.curricula.everything import Everything
from kdcore.dataset import Augmentation
from kdcore.lesson import Lesson
from kdcore.network import build
from kdcore.plan import Stage, plan_stages, training_set
from kdcore.recipe import Recipe
from kdcore.stage import Bench, train
from kdcore.teacher_cache.about import SheetAbout
from kdcore.teacher_cache.answers import LOGITS, Kept, Live
from kdcore.teacher_cache.cache import Cache
from kdcore.teacher_cache.sheet import Sheet
from kdcore.teaching import teacher_taps

CPU: Final = torch.device("cpu")
MAPS_KEPT: Final = 2048
"""Samples whose kept maps stand in memory; a training on kept maps draws from these alone."""
_VECTOR: Final = 1


@dataclass(frozen=True, slots=True)
class Taught:
    """One student's training in the forms that are compared."""

    stage: Stage
    plain: Lesson
    """In float32, the teacher as it is, images as they are."""
    live: Lesson
    """The teacher is asked in every step, about fresh views."""
    kept: Lesson
    """What it says of the images as they are is looked up."""


def taught(recipe: Recipe, corpus: Corpus, measured: Path) -> Taught:
    """Return a student's training by an untrained teacher.

    The kept answers are drawn and not asked: a look-up takes as long, whatever it finds.
    """
    stage = next(stage for stage in plan_stages(recipe, corpus) if stage.role == "student")
    shape, classes = corpus.input_shape, corpus.num_classes
    batch = stage.training.per_device_train_batch_size
    measurements = Measurements(measured, recipe.runtime, CPU)
    teacher = laid_out(build(recipe.teacher.model, shape, classes, seed=1).eval())
    teacher.requires_grad_(requires_grad=False)
    numbers = measurements.precision(recipe.teacher.model, shape, classes, batch, "answer")
    labels, pool = training_set(stage, recipe, corpus, corpus.train.labels)
    how = recipe.data.augmentation
    plain = Lesson(
        corpus=corpus,
        labels=labels,
        pool=pool,
        teachers=(Live.of(teacher, shape),),
        temperature=recipe.temperature,
        weighting=recipe.weighting,
        augmentation=how.model_copy(update={"crop_padding": 0, "horizontal_flip": False}),
        curriculum=Everything(),
    )
    live = replace(
        plain,
        teachers=(Live.of(answering(teacher, numbers), shape),),
        augmentation=how.model_copy(update={"views": "fresh"}),
        precision=measurements.precision(stage.model, shape, classes, batch, "learn"),
    )
    return Taught(stage, plain, live, _kept(stage, live, how.model_copy(update={"views": 1})))


def _kept(stage: Stage, live: Lesson, how: Augmentation) -> Lesson:
    corpus, shapes = live.corpus, live.teachers[0].shapes
    (taps,) = teacher_taps(stage, live)
    maps = any(len(shapes[tap]) > _VECTOR for tap in taps)
    samples = min(MAPS_KEPT, len(live.labels)) if maps else len(live.labels)
    draw = torch.Generator().manual_seed(0)
    sheets = {
        tap: _sheet(tap, samples, shapes.get(tap, (corpus.num_classes,)), draw)
        for tap in (LOGITS, *taps)
    }
    return replace(
        live,
        pool=live.pool[:samples],
        teachers=(Kept([sheets], shapes),),
        augmentation=how,
    )


def _sheet(tap: str, samples: int, shape: tuple[int, ...], draw: torch.Generator) -> Sheet:
    about = SheetAbout(
        part="train",
        view=0,
        augmentation=None,
        tap=tap,
        precision="float32",
        dtype="float16",
        samples=samples,
        shape=list(shape),
    )
    rows = torch.empty(samples, *shape, dtype=torch.float16)
    for row in rows:  # one by one: in float32 they would take twice the memory
        row.copy_(torch.rand(*shape, generator=draw))
    nowhere = Cache(Path(), "made up")
    return Sheet(nowhere, about, [{"rows": rows}], samples, CPU, resident=True)


def steps_of(stage: Stage, lesson: Lesson, steps: int) -> float:
    """Return the CPU seconds of so many steps of the engine's loop, every event taken.

    The clock starts when the student is built, as it does for others.
    """
    with bench() as where:
        loop = train(replace(stage, total_steps=steps), lesson, where)
        next(loop)
        started = time.process_time()
        for _ in loop:
            pass
        return time.process_time() - started


@contextmanager
def bench() -> Generator[Bench]:
    """Give a place to work at that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield Bench(
            device=CPU,
            crew=Crew(1, CPU, 1, Path(folder) / "crew"),
            checkpoints=Path(folder) / "checkpoints",
            anchors=Path(folder) / "anchors",
            curves=Path(folder) / "curve.jsonl",
            digest="benchmark",
            report_every=0.5,
        )
