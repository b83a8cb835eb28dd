"""Our loop against the field's reference codes: same networks, data and mathematics, in one run.

    python benchmarks/toolkits.py --mdistiller CHECKOUT --repdistiller CHECKOUT
        --torchdistill CHECKOUT [--pair small|big] [--method kd ...] [--repeats 5] [--json FILE]

small is ResNet-20 -> ResNet-8, big is ResNet-32x4 -> ResNet-8x4, in batches of 64 out of 50,000
images of CIFAR's shape, cropped and mirrored. A toolkit takes its own step over its own loader and
transforms, and begins with the same teacher; a checkout that is not named is left out. They need
torchvision and pillow, mdistiller yacs as well; nothing is installed for them. torchdistill finds
all answers in its cache of files, the others ask in every step. Ours records every term, checks for
divergence and tells of progress. `live` asks the teacher in every step about fresh views. `kept`
looks up what it said of a stored view; kept maps are those of 2,048 samples, in memory. The plain
loop is that of `plain_loop.py`, on images that nobody changes. Only steps are timed, in CPU seconds
on one thread; everybody's first one is not.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import torch
from peers.mdistiller import Mdistiller
from peers.peer import BATCH, Peer, Steps, Task
from peers.repdistiller import RepDistiller
from peers.torchdistill import Torchdistill
from plain_loop import plain
from stand.lessons import CPU, Taught, steps_of, taught
from stand.photographs import Photographs, write_photographs
from stand.telling import Table, asked, ratio, spread, write
from stand.turns import cpu_seconds, take_turns
from torch import Tensor, nn

from kdcore.corpus import Corpus, load_corpus
from kdcore.network import build
from kdcore.recipe import Recipe
from kdcore.teacher_cache.answers import Live

PAIRS: Final = {"small": ("resnet20", "resnet8"), "big": ("resnet32x4", "resnet8x4")}
METHODS: Final = ("kd", "dkd", "crd", "reviewkd", "nst")
STEPS: Final = {"small": 16, "big": 3}
FEWER: Final = {("small", "nst"): 4, ("big", "nst"): 1}
"""Steps of a repeat where some toolkit takes seconds for each."""


def recipe_of(pair: str, method: str) -> Recipe:
    """Return our recipe of a student."""
    teacher, student = PAIRS[pair]
    return Recipe.model_validate(
        {
            "teacher": teacher,
            "student": student,
            "data": "cifar100",
            "method": method,
            "training": {"max_steps": 100_000, "per_device_train_batch_size": BATCH},
            "baseline": False,
        }
    )


def task_of(pair: str, method: str, data: Photographs, lessons: Taught) -> Task:
    """Return what a toolkit is asked for."""
    recipe, corpus = recipe_of(pair, method), lessons.plain.corpus
    models = dict(zip(PAIRS[pair], (recipe.teacher.model, recipe.student.model), strict=True))

    def network(name: str) -> nn.Module:
        return build(models[name], corpus.input_shape, corpus.num_classes, seed=1)

    teacher = lessons.plain.teachers[0]
    assert isinstance(teacher, Live)  # noqa: S101  # it is asked in every step
    named = teacher.network.state_dict().items()
    sample = corpus.train.inputs[:BATCH]
    with torch.no_grad():
        logits = cast("Tensor", teacher.network(sample))
    weights = [one for name, one in named if "num_batches" not in name]
    return Task(method, *PAIRS[pair], data, weights, sample, logits, network)


@dataclass(frozen=True, slots=True)
class Field:
    """Where all of them meet."""

    peers: list[Peer]
    data: Photographs
    corpus: Corpus
    measured: Path
    """Folder of what the engine measured of this machine."""


def variants(pair: str, method: str, field: Field) -> dict[str, Callable[[int], float]]:
    """Return who takes steps at a method, each after a first one that warms up."""
    lessons = taught(recipe_of(pair, method), field.corpus, field.measured)
    task = task_of(pair, method, field.data, lessons)
    found = {
        peer.name: partial(_theirs, peer.start(task))
        for peer in field.peers
        if method in peer.methods
    }
    if method == "kd":
        found["plain loop"] = partial(_plain, lessons)
    found["ours, live"] = partial(steps_of, lessons.stage, lessons.live)
    found["ours, kept"] = partial(steps_of, lessons.stage, lessons.kept)
    for steps in found.values():
        steps(1)
    return found


def main() -> None:
    """Measure, print a table, and write the numbers where they are asked for."""
    parser = asked(__doc__, repeats=5)
    parser.add_argument("--mdistiller", type=Mdistiller, metavar="CHECKOUT")
    parser.add_argument("--repdistiller", type=RepDistiller, metavar="CHECKOUT")
    parser.add_argument("--torchdistill", type=Torchdistill, metavar="CHECKOUT")
    parser.add_argument("--pair", choices=list(PAIRS), action="append")
    parser.add_argument("--method", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument("--samples", type=int, default=50_000, help="a multiple of 100")
    parser.add_argument("--steps", type=int, help="of each repeat")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    peers = _named(arguments)
    results: dict[str, Any] = {"torch": torch.__version__, "samples": arguments.samples}
    table = Table("pair", "method", "who", "images / CPU s", "ours, live", "ours, kept")
    with tempfile.TemporaryDirectory() as where:
        data = write_photographs(Path(where), arguments.samples)
        corpus = load_corpus(recipe_of("small", "kd").data, Path(where), CPU)
        field = Field(peers, data, corpus, Path(where))
        for pair in arguments.pair or list(PAIRS):
            for method in arguments.method:
                steps = arguments.steps or FEWER.get((pair, method), STEPS[pair])
                found = variants(pair, method, field)
                turns = {name: partial(take, steps) for name, take in found.items()}
                seconds = take_turns(turns, arguments.repeats)
                results[f"{pair} {method}"] = {"steps": steps, "cpu_seconds": seconds}
                _tell(table, pair, method, steps, seconds)
    write(arguments.json, results)


def _named(arguments: argparse.Namespace) -> list[Peer]:
    named: list[Peer] = []
    for kind in (Mdistiller, RepDistiller, Torchdistill):
        if checkout := getattr(arguments, kind.name.lower()):
            named.append(checkout)
        else:
            print(f"{kind.name} is left out; --{kind.name.lower()} CHECKOUT takes it in")
    return named


def _theirs(take: Steps, steps: int) -> float:
    return cpu_seconds(partial(take, steps))


def _plain(lessons: Taught, steps: int) -> float:
    work = replace(lessons.stage, total_steps=steps), lessons.plain
    return cpu_seconds(partial(plain, *work))


def _tell(
    table: Table, pair: str, method: str, steps: int, seconds: dict[str, list[float]]
) -> None:
    for name, theirs in seconds.items():
        speed = [BATCH * steps / one for one in theirs]
        ratios = [ratio(theirs, seconds[f"ours, {how}"]) for how in ("live", "kept")]
        if name.startswith("ours"):
            ratios = ["", ""]
        table.add(pair, method, name, spread(speed, 0), *ratios)


if __name__ == "__main__":
    main()
