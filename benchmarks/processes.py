"""What it costs that two processes share each step: CPU and wall seconds a step, against one.

    python benchmarks/processes.py [--repeats 5] [--json FILE]

ResNet-20 -> ResNet-8 and ResNet-32x4 -> ResNet-8x4 on CIFAR's shapes, 64 samples a step, on the CPU
over gloo, the teacher live in every step. Each run is a process of its own, once short and once
long, and the difference is what the steps take. CPU seconds are of all processes together: above
those of one they are what sharing costs. Wall seconds mean something where each process has a core.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from stand.telling import Table, asked, ratio, write

PAIRS: Final = {"small": ("resnet20", "resnet8", 20), "big": ("resnet32x4", "resnet8x4", 4)}
"""Teacher, student, and the steps of the short run; the long one has five times as many."""
SAMPLES: Final = 64


def recipe_of(pair: str, processes: int, steps: int) -> dict[str, Any]:
    """Return the recipe of a variant."""
    teacher, student, _ = PAIRS[pair]
    data = {"name": "synthetic", "shape": [3, 32, 32], "num_classes": 100}
    return {
        "teacher": {"model": teacher, "training": {"max_steps": 1}},
        "student": student,
        "data": {**data, "train_size": 512, "test_size": 64},
        "training": {"max_steps": steps, "per_device_train_batch_size": SAMPLES // processes},
        "baseline": False,
        "teacher_cache": "never",
        "export": ["safetensors"],
        "runtime": {"device": "cpu", "precision": "float32", "processes": processes},
    }


def seconds(recipe: dict[str, Any], folder: Path) -> tuple[float, float]:
    """Run a recipe; return the CPU seconds of all its processes, and the wall seconds."""
    file = folder / "recipe.json"
    file.write_text(json.dumps(recipe))
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "kdcore", str(file), out]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  # ours
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def a_step(pair: str, processes: int, folder: Path) -> tuple[float, float]:
    """Return the CPU and the wall milliseconds of a step."""
    short = PAIRS[pair][2]
    first = seconds(recipe_of(pair, processes, short), folder)
    second = seconds(recipe_of(pair, processes, 5 * short), folder)
    cpu, wall = (1000 * (b - a) / (4 * short) for a, b in zip(first, second, strict=True))
    return cpu, wall


def main() -> None:
    """Measure, print a table, and write the numbers where they are asked for."""
    parser = asked(__doc__, repeats=3)
    parser.add_argument("--pair", choices=PAIRS, action="append", help="both, if left out")
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    numbers = ("one: CPU, ms a step", "wall")
    table = Table("pair", "CPU of two / one", "wall of one / two", *numbers, numbers=numbers)
    with tempfile.TemporaryDirectory() as folder:
        for pair in arguments.pair or PAIRS:
            rows: list[dict[int, tuple[float, float]]] = []
            for _ in range(arguments.repeats):
                order = random.sample([1, 2], 2)
                rows.append({count: a_step(pair, count, Path(folder)) for count in order})
            cpu, wall = ({n: [row[n][which] for row in rows] for n in (1, 2)} for which in (0, 1))
            cells = (f"{statistics.median(one):.0f}" for one in (cpu[1], wall[1]))
            table.add(pair, ratio(cpu[2], cpu[1]), ratio(wall[1], wall[2]), *cells)
            results[pair] = {"cpu_ms": cpu, "wall_ms": wall}
    write(arguments.json, results)


if __name__ == "__main__":
    main()
