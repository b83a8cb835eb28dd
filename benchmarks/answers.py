"""What kept answers cost: to make, on the disk, and to look up.

    python benchmarks/answers.py [--pair small|big] [--samples 50000] [--asked 512] [--repeats 7]
        [--json FILE]

Sheets as the engine writes them, digests included, of answers that are drawn: `written` is what
packing and writing take without asking a network. `asked` is the same with ResNet-20 or
ResNet-32x4 behind it, in the numbers that the engine chose here, and beside it the network alone.
A look-up is that of 64 random samples, with all of them in memory, and out of memory-mapped files
that the system has cached. CPU seconds and microseconds on one thread.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import torch
from stand.lessons import CPU
from stand.photographs import write_photographs
from stand.telling import Table, asked, spread, write
from stand.turns import cpu_seconds, take_turns
from stand.whole import PAIRS, recipe_of, write_teacher
from torch import Tensor

from kdcore.dataset import Augmentation
from kdcore.keeping import wanted
from kdcore.network import measured
from kdcore.path import TEACHER
from kdcore.run import prepare_run
from kdcore.teacher_cache.about import SheetAbout
from kdcore.teacher_cache.sheet import BATCH, open_sheet, size_of, write_sheets
from kdcore.teacher_cache.shelf import Cache

LOOKED_UP: Final = 64
_LOOKS: Final = 20


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of answers."""

    title: str
    shape: tuple[int, ...]
    top_k: int | None = None
    share: float = 1.0
    """Of the samples; maps are large."""

    def about(self, samples: int) -> SheetAbout:
        """Return the sheet."""
        return SheetAbout(
            part="train",
            view=0,
            augmentation=None,
            tap="logits" if self.top_k else "stage",
            precision="float32",
            dtype="float16",
            top_k=self.top_k,
            samples=int(self.share * samples) // BATCH * BATCH,
            shape=list(self.shape),
        )


KINDS: Final = (
    Kind("logits, 100 classes", (100,)),
    Kind("logits, 1000 classes", (1000,)),
    Kind("the 64 highest of 1000", (1000,), top_k=64),
    Kind("pooled features, 256", (256,)),
    Kind("a map of 256 x 8 x 8", (256, 8, 8), share=0.1),
)


def drawn(about: SheetAbout) -> Callable[[Tensor], dict[str, Tensor]]:
    """Return what gives the same numbers for every batch, at no cost."""
    numbers = torch.randn(BATCH, *about.shape, generator=torch.Generator().manual_seed(0))
    return lambda index: {about.tap: numbers[: len(index)]}


def write_once(root: Path, about: SheetAbout) -> float:
    """Return the CPU seconds of writing a sheet that is not there yet."""
    with tempfile.TemporaryDirectory(dir=root) as folder:
        cache = Cache(Path(folder), "0" * 32)
        return cpu_seconds(lambda: list(write_sheets(cache, [about], drawn(about))))


def look_ups(cache: Cache, about: SheetAbout, *, resident: bool) -> Callable[[], float]:
    """Return what measures the CPU seconds of one look-up."""
    sheet = open_sheet(cache, about, CPU, resident=resident)
    draw = torch.Generator().manual_seed(1)

    def look() -> float:
        places = [torch.randint(about.samples, (LOOKED_UP,), generator=draw) for _ in range(_LOOKS)]
        return cpu_seconds(lambda: [sheet[index] for index in places]) / _LOOKS

    look()
    return look


def measure_kinds(root: Path, samples: int, repeats: int) -> dict[str, Any]:
    """Measure writing and looking up, print a row for each kind."""
    found: dict[str, Any] = {}
    numbers = ("bytes a sample", "written, samples / CPU s", "in memory, us", "memory-mapped, us")
    table = Table("kept in float16", *numbers, numbers=numbers)
    for kind in KINDS:
        about, cache = kind.about(samples), Cache(root / "kept", f"{len(found):032x}")
        list(write_sheets(cache, [about], drawn(about)))
        seconds = take_turns(
            {
                "written": partial(write_once, root, about),
                "in memory": look_ups(cache, about, resident=True),
                "memory-mapped": look_ups(cache, about, resident=False),
            },
            repeats,
        )
        size = cache.size() / about.samples
        looks = [[1e6 * one for one in seconds[how]] for how in ("in memory", "memory-mapped")]
        speed = [about.samples / one for one in seconds["written"]]
        table.add(kind.title, f"{size:,.0f}", spread(speed, 0), *(spread(one, 0) for one in looks))
        found[kind.title] = {"bytes": size, "planned": size_of(about), "cpu_seconds": seconds}
    return found


def measure_asking(root: Path, pairs: Sequence[str], samples: int, repeats: int) -> dict[str, Any]:
    """Measure a real making of a cache against the network alone, print a row for each."""
    found: dict[str, Any] = {}
    numbers = ("asked and written, images / CPU s", "asked alone", "share of the writing")
    print()
    table = Table("teacher", "kept", *numbers, numbers=numbers)
    for pair in pairs:
        teacher, inputs = PAIRS[pair][0], root / pair
        write_photographs(inputs, samples)
        write_teacher(pair, inputs)
        run = prepare_run(recipe_of(pair, epochs=1), inputs / "work", inputs, 0.5)
        frozen, how = run.frozen(TEACHER), Augmentation()
        shapes = measured(frozen.model, run.corpus.input_shape, run.corpus.num_classes)
        precision = run.precision(frozen.model, LOOKED_UP, "answer")
        for title, taps in (("logits", set[str]()), ("logits and pooled features", {"pool"})):
            caching = run.recipe.teacher_cache
            (sheets,) = wanted(run.corpus, caching, taps, shapes, how, precision)
            ask = run.archive.asker(frozen, sheets, how)
            ask(torch.arange(BATCH))
            batches = [torch.arange(at, at + BATCH) for at in range(0, samples, BATCH)]

            def alone(ask: Any = ask, batches: list[Tensor] = batches) -> float:
                return cpu_seconds(lambda: [ask(index) for index in batches])

            def written(ask: Any = ask, sheets: list[SheetAbout] = sheets) -> float:
                with tempfile.TemporaryDirectory(dir=root) as folder:
                    cache = Cache(Path(folder), "0" * 32)
                    return cpu_seconds(lambda: list(write_sheets(cache, sheets, ask)))

            seconds = take_turns({"alone": alone, "written": written}, repeats)
            speeds = {name: [samples / one for one in took] for name, took in seconds.items()}
            turns = zip(seconds["alone"], seconds["written"], strict=True)
            share = median([100 * (1 - bare / whole) for bare, whole in turns])
            cells = spread(speeds["written"], 0), spread(speeds["alone"], 0), f"{share:.1f} %"
            table.add(f"{teacher}, {precision}", title, *cells)
            found[f"{teacher} {title}"] = {"precision": precision, "cpu_seconds": seconds}
    return found


def main() -> None:
    """Measure, print the tables, and write the numbers where they are asked for."""
    parser = asked(__doc__, repeats=7)
    parser.add_argument(
        "--pair", choices=list(PAIRS), action="append", help="whose teacher is asked"
    )
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--asked", type=int, default=512, help="images; a multiple of 256")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {"torch": torch.__version__}
    with tempfile.TemporaryDirectory() as where:
        root = Path(where)
        results["kinds"] = measure_kinds(root, arguments.samples, arguments.repeats)
        pairs = arguments.pair or list(PAIRS)
        results["asked"] = measure_asking(root, pairs, arguments.asked, min(arguments.repeats, 3))
    write(arguments.json, results)


if __name__ == "__main__":
    main()
