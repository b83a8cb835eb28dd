"""Our loop against a plain PyTorch KD loop: same networks, data, order and mathematics, in one run.

    python benchmarks/plain_loop.py [--pair mlp|resnet] [--repeats 9] [--steps N] [--json FILE]

The plain loop does what a user's script does: forward both networks, cross-entropy + T^2 KL,
backward, step. Ours does the same and also records every step's loss terms, learning rate and
progress, checks for divergence, and writes checkpoints. The two take turns in an order that is
drawn; the ratio is taken repeat by repeat, of CPU seconds, since wall time on a shared machine says
little.
"""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from stand.lessons import CPU, bench
from stand.telling import Table, asked, spread, write
from stand.turns import cpu_seconds, take_turns
from torch import Tensor, nn

from kdcore.corpus import Corpus, load_corpus
from kdcore.lesson import Lesson
from kdcore.network import build
from kdcore.optim import learning_rate
from kdcore.plan import Stage, plan_stages, training_set
from kdcore.recipe import Recipe
from kdcore.runtime import derive_seed
from kdcore.stage import Trained, train
from kdcore.teacher_cache.answers import Live

BATCH, TEMPERATURE, ALPHA = 64, 4.0, 0.9
PAIRS: dict[str, dict[str, Any]] = {
    "mlp": {
        "teacher": {"name": "plain_cnn", "stages": [[32], [64]], "hidden": [144]},
        "student": {"name": "mlp", "hidden": [32]},
        "data": {"name": "digits"},
        "steps": 1500,
    },
    "resnet": {
        "teacher": {"name": "resnet", "depth": 20},
        "student": {"name": "resnet", "depth": 8},
        "data": {
            "name": "synthetic",
            "shape": [3, 32, 32],
            "num_classes": 100,
            "train_size": 2048,
            "test_size": 64,
        },
        "steps": 30,
    },
}


def prepare(pair: str, steps: int) -> tuple[Stage, Lesson]:
    """Return the student's stage of a recipe without anything between it and the loop."""
    chosen = PAIRS[pair]
    recipe = Recipe.model_validate(
        {
            "teacher": {"model": chosen["teacher"]},
            "student": {"model": chosen["student"]},
            "data": chosen["data"],
            "method": {"name": "kd", "alpha": ALPHA, "temperature": TEMPERATURE},
            "training": {"max_steps": steps, "per_device_train_batch_size": BATCH},
            "baseline": False,
        }
    )
    corpus = load_corpus(recipe.data, Path(), CPU)
    stage = next(stage for stage in plan_stages(recipe, corpus) if stage.role == "student")
    teacher = build(recipe.teacher.model, corpus.input_shape, corpus.num_classes, seed=1).eval()
    teacher.requires_grad_(requires_grad=False)
    labels, pool = training_set(stage, recipe, corpus, corpus.train.labels)
    return stage, Lesson(
        corpus=corpus,
        labels=labels,
        pool=pool,
        teachers=(Live.of(teacher, corpus.input_shape),),
        temperature=recipe.temperature,
        weighting=recipe.weighting,
        augmentation=recipe.data.augmentation,
        curriculum=recipe.curriculum,
    )


def plain(stage: Stage, lesson: Lesson) -> nn.Module:
    """Train as a plain script would, on the same batches in the same order."""
    corpus: Corpus = lesson.corpus
    (teacher,) = (one.network for one in lesson.teachers if isinstance(one, Live))
    student = build(
        stage.model,
        corpus.input_shape,
        corpus.num_classes,
        derive_seed("initial weights", stage.seed),
    ).train()
    settings = stage.training
    optimizer = torch.optim.SGD(
        student.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=True,
        fused=True,
    )
    inputs, labels = corpus.train.inputs, corpus.train.labels
    per_epoch = len(labels) // BATCH
    order = torch.empty(0, dtype=torch.int64)
    for step in range(stage.total_steps):
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            draw = torch.Generator().manual_seed(derive_seed("order", stage.seed, epoch))
            order = torch.randperm(len(labels), generator=draw)
        index = order[place * BATCH : (place + 1) * BATCH]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(
                settings, step, total_steps=stage.total_steps, steps_per_epoch=per_epoch
            )
        x, y = inputs[index], labels[index]
        logits = cast("Tensor", student(x))
        with torch.no_grad():
            answers = cast("Tensor", teacher(x))
        soft = nn.functional.kl_div(
            torch.log_softmax(logits / TEMPERATURE, 1),
            torch.softmax(answers / TEMPERATURE, 1),
            reduction="batchmean",
        )
        hard = nn.functional.cross_entropy(logits, y)
        loss = (1 - ALPHA) * hard + ALPHA * TEMPERATURE**2 * soft
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # pyright: ignore[reportUnknownMemberType]
        optimizer.step()
    return student.eval()


def ours(stage: Stage, lesson: Lesson) -> nn.Module:
    """Train with the engine's loop, every event taken."""
    with bench() as where:
        loop = train(stage, lesson, where)
        while True:
            try:
                next(loop)
            except StopIteration as end:
                return cast("Trained", end.value).network


def main() -> None:
    """Measure, print a table, and write the numbers where they are asked for."""
    parser = asked(__doc__, repeats=9)
    parser.add_argument("--pair", choices=list(PAIRS), action="append")
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {"torch": torch.__version__}
    numbers = ("steps", "plain, CPU s", "ours, CPU s")
    table = Table("pair", *numbers, "ours / plain", numbers=numbers)
    for pair in arguments.pair or list(PAIRS):
        work = prepare(pair, arguments.steps or PAIRS[pair]["steps"])
        same = [
            torch.allclose(a, b, atol=1e-4, rtol=1e-3)
            for a, b in zip(plain(*work).parameters(), ours(*work).parameters(), strict=True)
        ]
        if not all(same):
            raise SystemExit(f"{pair}: the two loops do not compute the same")
        loops = {"plain": plain, "ours": ours}
        turns = {name: partial(cpu_seconds, partial(loop, *work)) for name, loop in loops.items()}
        took = take_turns(turns, arguments.repeats)
        ratios = [our / their for our, their in zip(took["ours"], took["plain"], strict=True)]
        medians = [f"{statistics.median(took[name]):.2f}" for name in loops]
        table.add(pair, work[0].total_steps, *medians, spread(ratios, 3))
        results[pair] = {"cpu_seconds": took, "ratios": ratios}
    write(arguments.json, results)


if __name__ == "__main__":
    main()
