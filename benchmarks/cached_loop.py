"""A student of kept answers against the student alone, a live teacher, and a plain PyTorch loop.

    python benchmarks/cached_loop.py [--pair small|big] [--repeats 7] [--json FILE]

small is ResNet-20 -> ResNet-8, big is ResNet-32x4 -> ResNet-8x4, on CIFAR's shapes in batches of
64. All variants take the same steps on the same batches: the plain loop of `plain_loop.py`; the
engine's loop with a teacher that is asked in every step; with kept answers, for KD and for DKD; and
the floor, the engine's loop on the labels alone. The engine records every term and writes
checkpoints in all of them, in the numbers that it measured to be faster here. Variants are shuffled
in each repeat; ratios are of CPU seconds, repeat by repeat, since wall time on a shared machine
says little. The time that it takes to write the answers is told beside them.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from plain_loop import ours, plain
from stand.telling import Table, asked, ratio, write
from stand.turns import cpu_seconds, take_turns
from torch import nn

from kdcore.assign import assign
from kdcore.consult import consult
from kdcore.events import AnswersReady
from kdcore.lesson import Lesson
from kdcore.network import build
from kdcore.objectives.cross_entropy import CrossEntropy
from kdcore.path import TEACHER
from kdcore.plan import Stage
from kdcore.recipe import Recipe
from kdcore.run import Run, prepare_run
from kdcore.teacher_cache.shelf import Shelf

PAIRS: Final = {"small": ("resnet20", "resnet8", 24), "big": ("resnet32x4", "resnet8x4", 6)}
"""Teacher, student, and the steps of a repeat."""
SAMPLES: Final = 1024


def recipe_of(pair: str, method: str, steps: int, **changes: Any) -> Recipe:
    """Return the recipe of a variant."""
    teacher, student, _ = PAIRS[pair]
    data = {"name": "synthetic", "shape": [3, 32, 32], "num_classes": 100}
    return Recipe.model_validate(
        {
            "teacher": teacher,
            "student": student,
            "data": {**data, "train_size": SAMPLES, "test_size": 64},
            "method": method,
            "training": {"max_steps": steps, "per_device_train_batch_size": 64},
            "baseline": False,
            **changes,
        }
    )


def prepared(recipe: Recipe, folder: Path, shelf: Shelf) -> tuple[Stage, Lesson, Run]:
    """Return the student's stage with an untrained teacher that is asked in every step."""
    run = prepare_run(recipe, folder, Path(), 0.5, shelf=shelf)
    stage = next(stage for stage in run.plan if stage.role == "student")
    shape, classes = run.corpus.input_shape, run.corpus.num_classes
    run.keep(TEACHER, recipe.teacher.model, build(recipe.teacher.model, shape, classes, seed=1))
    return stage, assign(stage, run, (TEACHER,)), run


def with_kept_answers(stage: Stage, lesson: Lesson, run: Run) -> tuple[Lesson, AnswersReady]:
    """Return the lesson with the teacher's answers written down, and what the engine told."""
    from contextlib import ExitStack

    story = consult(stage, lesson, run, (TEACHER,), ExitStack())
    told: list[AnswersReady] = []
    while True:
        try:
            if isinstance(event := next(story), AnswersReady):
                told.append(event)
        except StopIteration as end:
            kept: Lesson = end.value
            return kept, told[0]


def variants(pair: str, steps: int, folder: Path) -> tuple[dict[str, Any], AnswersReady, str]:
    """Return what is run under each name, what the writing told, and the student's numbers."""
    shelf = Shelf(folder / "shelf")
    always = {"use": "always"}
    plain_recipe = recipe_of(pair, "kd", steps, runtime={"precision": "float32"})
    stage, lesson, _ = prepared(plain_recipe, folder / "plain", shelf)
    found: dict[str, tuple[Callable[[Stage, Lesson], nn.Module], Stage, Lesson]] = {
        "plain loop": (plain, stage, lesson)
    }
    kd, live, run = prepared(
        recipe_of(pair, "kd", steps, teacher_cache=always), folder / "a", shelf
    )
    found["KD, live teacher"] = (ours, kd, live)
    kept, told = with_kept_answers(kd, live, run)
    found["KD, kept answers"] = (ours, kd, kept)
    dkd_recipe = recipe_of(pair, "dkd", steps, teacher_cache=always)
    dkd, asked, other = prepared(dkd_recipe, folder / "b", shelf)
    found["DKD, kept answers"] = (ours, dkd, with_kept_answers(dkd, asked, other)[0])
    link = replace(kd.link, taught_by=())
    alone = replace(kd, objectives=(CrossEntropy(),), link=link)
    found["student alone"] = (ours, alone, replace(live, teachers=()))
    return found, told, live.precision


def main() -> None:
    """Measure, print a table, and write the numbers where they are asked for."""
    parser = asked(__doc__, repeats=7)
    parser.add_argument("--pair", choices=list(PAIRS), action="append")
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {"torch": torch.__version__}
    columns = ("images / CPU s", "x plain loop", "x student alone")
    table = Table("pair", "variant", *columns, numbers=columns[:1])
    for pair in arguments.pair or list(PAIRS):
        steps = arguments.steps or PAIRS[pair][2]
        with tempfile.TemporaryDirectory() as folder:
            found, told, precision = variants(pair, steps, Path(folder))
            turns = {
                name: partial(cpu_seconds, partial(run, stage, lesson))
                for name, (run, stage, lesson) in found.items()
            }
            take_turns(turns, 1)  # warms up
            seconds = take_turns(turns, arguments.repeats)
        for name, mine in seconds.items():
            speed = 64 * steps / statistics.median(mine)
            ratios = [ratio(seconds[other], mine) for other in ("plain loop", "student alone")]
            table.add(pair, name, f"{speed:.0f}", *ratios)
        written = f"writing {told.samples:,} answers ({told.bytes:,} bytes)"
        table.add(pair, written, f"{told.samples / told.seconds:.0f} per s", precision, "")
        results[pair] = {"cpu_seconds": seconds, "answers": told.model_dump(mode="json")}
    write(arguments.json, results)


if __name__ == "__main__":
    main()
