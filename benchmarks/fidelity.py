"""Whether kept answers and bfloat16 cost accuracy: paired over seeds, on real data.

    python benchmarks/fidelity.py [--seeds 8] [--steps 400] [--json FILE]

scikit-learn's digits, shifted by up to one pixel; ResNet-20 teaches ResNet-8 by KD. One teacher,
and for each seed the same student with the same first weights and order: taught by a live float32
teacher, by kept float16 answers, and by kept float16 answers while it multiplies in bfloat16, all
three on the same four stored views; and by a live float32 teacher on fresh views. Differences are
to the first, seed by seed, with the 95 % Student-t interval of their mean.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, Final

from kdcore import Recipe, distill
from kdcore.events import StageFinished
from kdcore.teacher_cache.shelf import Shelf
from kdcore.verdict import Sample, paired_interval

TEST_SIZE: Final = 500
SHIFT: Final = {"crop_padding": 1}
VARIANTS: Final[dict[str, dict[str, Any]]] = {
    "live float32": {"teacher_cache": "never", "precision": "float32", "views": 4},
    "kept float16": {"teacher_cache": "always", "precision": "float32", "views": 4},
    "kept float16, bfloat16 student": {
        "teacher_cache": "always",
        "precision": "bfloat16",
        "views": 4,
    },
    "live float32, fresh views": {
        "teacher_cache": "never",
        "precision": "float32",
        "views": "fresh",
    },
}


def recipe_of(variant: str, seeds: int, steps: int, teacher: Path | None) -> Recipe:
    """Return the recipe of a variant; the teacher is trained where no file is given."""
    asked = VARIANTS[variant]
    network: dict[str, Any] = {"model": "resnet20", "training": {"max_steps": 600}}
    if teacher:
        network = {"model": "resnet20", "weights": teacher.name}
    return Recipe.model_validate(
        {
            "teacher": network,
            "student": "resnet8",
            "data": {"name": "digits", "augmentation": {**SHIFT, "views": asked["views"]}},
            "method": "kd",
            "training": {"max_steps": steps, "learning_rate": 0.05, "max_grad_norm": 5},
            "seeds": list(range(seeds)),
            "baseline": False,
            "export": ["safetensors"],
            "teacher_cache": asked["teacher_cache"],
            "runtime": {"precision": asked["precision"]},
        }
    )


def accuracies(recipe: Recipe, folder: Path, inputs: Path, shelf: Shelf) -> list[float]:
    """Return the test accuracy of each seed's student."""
    return [
        event.scores["accuracy"]
        for event in distill(recipe, folder, inputs=inputs, shelf=shelf)
        if isinstance(event, StageFinished) and event.role == "student"
    ]


def main() -> None:
    """Measure, print a table, and write the numbers where they are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {}
    print("| answers of the teacher | accuracy | difference to the first, points |")
    print("| --- | ---: | --- |")
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        shelf = Shelf(folder / "shelf")
        first = recipe_of("live float32", 1, 1, None)
        accuracies(first, folder / "teacher", folder, shelf)
        teacher = folder / "teacher.safetensors"
        teacher.write_bytes((folder / "teacher/stages/teacher.safetensors").read_bytes())
        for place, variant in enumerate(VARIANTS):
            recipe = recipe_of(variant, arguments.seeds, arguments.steps, teacher)
            found[variant] = accuracies(recipe, folder / str(place), folder, shelf)
            print(_row(variant, found), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


def _row(variant: str, found: dict[str, list[float]]) -> str:
    sample, reference = Sample.of(found[variant]), next(iter(found.values()))
    spread = 100 * (sample.std or 0)
    cells = [variant, f"{100 * sample.mean:.2f} ± {spread:.2f}", "-"]
    if len(found) > 1:
        pairs = zip(found[variant], reference, strict=True)
        interval = paired_interval([mine - first for mine, first in pairs], 0.95, 1 / TEST_SIZE)
        if interval:
            ends = f"[{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"
            cells[2] = f"{100 * interval.mean:+.2f} {ends}"
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
