"""What whole jobs cost, the making of their teacher cache included, against the plain loop's.

    python benchmarks/cost.py [--pair small|big] [--repeats 3] [--samples N] [--json FILE]

A job reads the data and the teacher's weights, trains a student by KD, measures it and writes it.
The plain loop does that with the teacher asked in every step, in float32. Ours runs as it comes
(`teacher_cache: auto`, numbers as they were measured to be faster), and never keeping anything.
Every repeat begins with an empty shelf; what the machine was measured to be good at is known
before. Jobs of a sweep are runs with other seeds on one shelf. CPU seconds on one thread.

The first table is measured; of the plain loop one job is, since its jobs share nothing. `in steps
alone` leaves out what a job spends beside training and answers: data, tests, the network's latency,
files. The second is computed from parts that were measured: what an image costs to ask about, to
train on, to train on by the plain loop and to test on, and what a job spends beside all that; for
the 50,000 and 10,000 images of CIFAR. Ours tests the teacher as well, once for all jobs: the last
column counts it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Final

import torch
from stand.photographs import write_photographs
from stand.telling import Table, asked, ratio, spread, write
from stand.turns import Timed, cpu_seconds, take_turns
from stand.whole import BATCH, PAIRS, Parts, our_job, plain_job, recipe_of, total, write_teacher

from kdcore.arithmetic import laid_out
from kdcore.network import build, predict
from kdcore.recipe import Recipe
from kdcore.teacher_cache.shelf import Shelf

SAMPLES: Final = {"small": 512, "big": 256}
CIFAR: Final = 50_000
TESTED: Final = 10_000


COMPUTED: Final = [*product((1, 10, 240), (1, 8, 32), (1,)), (240, 1, 16), (240, 32, 16)]
"""Epochs, jobs, stored views."""


@dataclass(frozen=True, slots=True)
class Case:
    """How long a training is, and how many there are."""

    epochs: int
    views: int = 1
    jobs: int = 1

    @classmethod
    def read(cls, words: str) -> Case:
        """Return the case of three numbers with commas between."""
        return cls(*map(int, words.split(",")))


CASES: Final = (Case(1), Case(1, views=4), Case(10), Case(10, views=4), Case(1, jobs=8))
STARTS: Final = ("plain 1", "live 1", str(Case(1)))
TENS: Final = ("plain 10", "live 10", str(Case(10)))


class Place:
    """Where the jobs of a pair run; each turn is noted part by part."""

    def __init__(self, pair: str, folder: Path) -> None:
        """Write a teacher beside the data that is in `folder`, and measure the machine."""
        self._pair, self._inputs, self._work = pair, folder, folder / "work"
        self.parts: dict[str, list[Parts]] = {}
        self.who: dict[str, str] = {}
        write_teacher(pair, folder)
        first, again = (self.ours(Case(1), "never", "measuring") for _ in range(2))
        self.measuring = first - again

    def plain(self, epochs: int, name: str) -> float:
        """Return the CPU seconds of one job of the plain loop."""
        parts = plain_job(recipe_of(self._pair, epochs=epochs), self._inputs, self._empty() / "a")
        return self._noted(name, [parts])

    def ours(self, case: Case, use: str, name: str) -> float:
        """Return the CPU seconds of all jobs of a case."""
        shelf, done = Shelf(self._empty() / "shelf"), list[Parts]()
        measured = self._inputs / "measured"
        if measured.exists():
            shutil.copytree(measured, shelf.root / "measured")
        for seed in range(case.jobs):
            recipe = recipe_of(self._pair, epochs=case.epochs, views=case.views, seed=seed, use=use)
            parts, self.who[name] = our_job(recipe, self._inputs, self._work / str(seed), shelf)
            done.append(parts)
        if not measured.exists() and (shelf.root / "measured").exists():
            shutil.copytree(shelf.root / "measured", measured)
        return self._noted(name, done)

    def _noted(self, name: str, jobs: list[Parts]) -> float:
        phases = {phase for parts in jobs for phase in parts}
        parts = {phase: sum(one.get(phase, 0.0) for one in jobs) for phase in phases}
        self.parts.setdefault(name, []).append(parts)
        return total(parts)

    def _empty(self) -> Path:
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir()
        return self._work


def measure(pair: str, place: Place, cases: Sequence[Case], repeats: int) -> dict[str, Any]:
    """Measure every case, and print its row."""
    turns: dict[str, Timed] = {
        str(case): partial(place.ours, case, "auto", str(case)) for case in cases
    }
    for epochs in {case.epochs for case in cases}:
        plain, live = f"plain {epochs}", f"live {epochs}"
        turns[plain] = partial(place.plain, epochs, plain)
        turns[live] = partial(place.ours, Case(epochs), "never", live)
    seconds = take_turns(turns, repeats)
    columns = ("plain, CPU s", "ours, CPU s", "plain / ours", "live / ours", "in steps alone")
    table = Table("pair", "epochs", "views", "jobs", "answers", *columns)
    for case in cases:
        ours = seconds[str(case)]
        plain, live = (
            [case.jobs * one for one in seconds[f"{kind} {case.epochs}"]]
            for kind in ("plain", "live")
        )
        steps = [
            (case.jobs * theirs["training"]) / (mine["training"] + mine.get("caching_teacher", 0))
            for theirs, mine in zip(
                place.parts[f"plain {case.epochs}"], place.parts[str(case)], strict=True
            )
        ]
        table.add(
            *(pair, case.epochs, case.views, case.jobs, place.who[str(case)]),
            *(f"{median(plain):.1f}", f"{median(ours):.1f}"),
            *(ratio(plain, ours), ratio(live, ours), spread(steps)),
        )
    return {"seconds": seconds, "who": place.who}


@dataclass(frozen=True, slots=True)
class Prices:
    """CPU seconds, for one image where nothing else is said."""

    plain_step: float
    live_step: float
    step: float
    answer: float
    test_teacher: float
    test_student: float
    plain_job: float
    """Of a job, beside the training and the testing."""
    job: float

    @classmethod
    def of(cls, pair: str, parts: Mapping[str, list[Parts]], samples: int) -> Prices:
        """Take them from what nine epochs more, or three views more, cost: starts fall out."""
        names = [*STARTS, *TENS, str(Case(10, views=4))]
        *found, four = (_medians(parts[name]) for name in names)
        starts, tens = found[: len(STARTS)], found[len(STARTS) :]
        plain, live, ours = (
            (ten["training"] - one["training"]) / (9 * samples)
            for one, ten in zip(starts, tens, strict=True)
        )
        tests = [_test_seconds(name) for name in PAIRS[pair]]
        answers = four["caching_teacher"] - tens[-1]["caching_teacher"]
        return cls(
            plain_step=plain,
            live_step=live,
            step=ours,
            answer=answers / (3 * samples),
            test_teacher=tests[0],
            test_student=tests[1],
            plain_job=total(starts[0]) - samples * plain,
            job=total(starts[-1]) - samples * (ours + answers / (3 * samples)),
        )

    def plain(self, epochs: int, jobs: int) -> float:
        """Return what jobs of the plain loop cost."""
        one = self.plain_job + epochs * CIFAR * self.plain_step + TESTED * self.test_student
        return jobs * one

    def ours(self, epochs: int, jobs: int, views: int) -> float:
        """Return what our jobs cost that keep the teacher's answers."""
        one = self.job + epochs * CIFAR * self.step + TESTED * self.test_student
        return views * CIFAR * self.answer + jobs * one

    @property
    def teacher_tested(self) -> float:
        """What ours does beside the same: the teacher's own score."""
        return TESTED * self.test_teacher


def compute(pair: str, prices: Prices) -> None:
    """Print what the prices come to."""
    columns = ("plain, CPU h", "ours, CPU h", "plain / ours", "the teacher tested as well")
    table = Table("pair", "epochs", "jobs", "views", *columns)
    for epochs, jobs, views in COMPUTED:
        plain, ours = prices.plain(epochs, jobs), prices.ours(epochs, jobs, views)
        hours = f"{plain / 3600:,.1f}", f"{ours / 3600:,.1f}"
        tested = plain / (ours + prices.teacher_tested)
        table.add(pair, epochs, jobs, views, *hours, f"{plain / ours:.2f}", f"{tested:.2f}")


def _medians(turns: list[Parts]) -> Mapping[str, float]:
    return {phase: median([one[phase] for one in turns]) for phase in turns[0]}


def _test_seconds(name: str) -> float:
    """Return what a float32 answer of a network costs, as it is tested."""
    model = Recipe.model_validate({"teacher": name, "student": name, "data": "cifar100"})
    network = laid_out(build(model.student.model, (3, 32, 32), 100, seed=0))
    images = torch.zeros(BATCH, 3, 32, 32)
    predict(network, images)
    return median([cpu_seconds(lambda: predict(network, images)) for _ in range(3)]) / BATCH


def main() -> None:
    """Measure, print the tables, and write the numbers where they are asked for."""
    parser = asked(__doc__, repeats=3)
    parser.add_argument("--pair", choices=list(PAIRS), action="append")
    parser.add_argument("--samples", type=int, help="training images, a multiple of 64")
    parser.add_argument("--case", type=Case.read, action="append", metavar="EPOCHS,VIEWS,JOBS")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {"torch": torch.__version__}
    for pair in arguments.pair or list(PAIRS):
        samples = arguments.samples or SAMPLES[pair]
        with tempfile.TemporaryDirectory() as where:
            write_photographs(Path(where), samples)
            place = Place(pair, Path(where))
            found = measure(pair, place, arguments.case or CASES, arguments.repeats)
        results[pair] = {"samples": samples, **found, "parts": place.parts}
        print(f"\n{pair}, {samples} images; measuring the machine, once: {place.measuring:.1f} s\n")
        if {*STARTS, *TENS, str(Case(10, views=4))} <= set(place.parts):
            prices = Prices.of(pair, place.parts, samples)
            compute(pair, prices)
            results[pair]["prices"] = asdict(prices)
    write(arguments.json, results)


if __name__ == "__main__":
    main()
