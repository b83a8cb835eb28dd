"""The arithmetic of the page: from kept results to rows that can be compared.

All differences are taken seed by seed: a student and the controls of its seed begin with the same
weights, meet the same labels and take as many steps.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from benchmarks.results.asked import Task
from benchmarks.results.kept import Result
from kdcore.catalog import METHODS
from kdcore.files import write_file
from kdcore.path import TEACHER
from kdcore.recipe import Recipe
from kdcore.verdict import Interval, Sample, Verdict, decide, paired_interval

CONTROL_TITLES = {
    "baseline": "student alone",
    "hard_labels": "student alone, labelled by the teacher's best classes",
}
_TAUGHT = frozenset({"student", "assistant", "tutor"})


class Facts(BaseModel):
    """Sizes of the data."""

    train: int
    validation: int
    test: int


def read_facts(task: Task, file: Path, inputs: Path) -> Facts:
    """Return the sizes of a recipe's data, from a file where they are known already.

    Raises:
        KdcoreError: the data cannot be read.
    """
    if file.exists():
        return Facts.model_validate_json(file.read_bytes())
    if task.recipe is None:
        raise ValueError("a recipe that is refused has no data")
    import torch

    from kdcore.corpus import load_corpus

    corpus = load_corpus(task.recipe.data, inputs, torch.device("cpu"))
    facts = Facts(
        train=len(corpus.train.labels),
        validation=len(corpus.validation.labels) if corpus.validation else 0,
        test=len(corpus.test.labels),
    )
    write_file(file, facts.model_dump_json().encode())
    return facts


@dataclass(frozen=True, slots=True)
class Row:
    """One network, measured."""

    name: str
    title: str
    last: Sample
    """Test accuracy after the last step, by seed."""
    selected: Sample | None
    """Test accuracy of the weights that did best on the validation samples, by seed."""
    parameters: int
    seconds: float | None
    """Median over the seeds, of all that was trained for one student but teacher and controls."""
    differences: dict[str, Interval | None]
    """Mean difference to `baseline`, `hard_labels` or another row, at the recipe's confidence."""
    teacher_again: float | None = None
    """Accuracy of the teacher that was trained once more, where it was, and differs."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What differences are weighed with."""

    confidence: float
    tie_margin: float
    resolution: float
    """Accuracy of one test sample."""

    def between(self, one: Sequence[float], other: Sequence[float]) -> Interval | None:
        """Return the interval of the mean difference; None for a single seed."""
        differences = [mine - theirs for mine, theirs in zip(one, other, strict=True)]
        return paired_interval(differences, self.confidence, self.resolution)

    def word(self, interval: Interval | None) -> str:
        """Return `beats`, `ties`, `loses` or `inconclusive`."""
        return decide(interval, self.tie_margin)

    def stricter(self, comparisons: int) -> Scale:
        """Return the scale that so many comparisons need together, after Bonferroni."""
        confidence = 1 - (1 - self.confidence) / max(comparisons, 1)
        return Scale(confidence, self.tie_margin, self.resolution)


def scale_of(recipe: Recipe, facts: Facts) -> Scale:
    """Return the scale of a recipe."""
    evaluation = recipe.evaluation
    return Scale(evaluation.confidence, evaluation.tie_margin, 1 / facts.test)


def teacher_row(reference: Result) -> Row:
    """Return the network that teaches."""
    verdict = _verdict(reference)
    stage = reference.stages.get(TEACHER)
    selected = (stage.scores if stage else {}).get("selected_accuracy")
    return Row(
        name=TEACHER,
        title="teacher",
        last=verdict.teacher.score,
        selected=None if selected is None else Sample.of([selected]),
        parameters=verdict.teacher.parameters,
        seconds=stage.seconds if stage else None,
        differences={},
    )


def control_rows(reference: Result, recipe: Recipe, scale: Scale) -> Iterator[Row]:
    """Return the student alone, and the other controls that the recipe asks for."""
    verdict = _verdict(reference)
    if verdict.baseline is None:
        raise ValueError("the reference has no baseline")
    alone = verdict.baseline
    for role, measured in {"baseline": alone, **verdict.controls}.items():
        against = scale.between(measured.score.values, alone.score.values)
        yield Row(
            name=role,
            title=CONTROL_TITLES[role],
            last=measured.score,
            selected=_selected(reference, role, recipe.seeds),
            parameters=measured.parameters,
            seconds=_seconds(reference, {role}, recipe.seeds),
            differences={} if role == "baseline" else {"baseline": against},
        )


def method_rows(results: Sequence[Result], recipe: Recipe, scale: Scale) -> list[Row]:
    """Return the methods that have numbers, the best mean first."""
    reference = results[0]
    verdict = _verdict(reference)
    others = {"hard_labels": verdict.controls.get("hard_labels"), reference.method: verdict.student}
    rows: list[Row] = []
    for result in results:
        if not result.finished:
            continue
        own = _verdict(result)
        student = own.student
        differences = {"baseline": own.uplift} | {
            name: scale.between(student.score.values, measured.score.values)
            for name, measured in others.items()
            if measured is not None and name != result.method
        }
        taught = own.teacher.score.mean
        rows.append(
            Row(
                name=result.method,
                title=METHODS[result.method].title,
                last=student.score,
                selected=_selected(result, "student", recipe.seeds),
                parameters=student.parameters,
                seconds=_seconds(result, _TAUGHT, recipe.seeds),
                differences=differences,
                teacher_again=taught if taught != verdict.teacher.score.mean else None,
            )
        )
    return sorted(rows, key=lambda row: -row.last.mean)


def _verdict(result: Result) -> Verdict:
    if result.verdict is None:
        raise ValueError(f"{result.method} has no verdict")
    return result.verdict


def _selected(result: Result, role: str, seeds: Sequence[int]) -> Sample | None:
    values = [
        stage.scores["selected_accuracy"]
        for seed in seeds
        for stage in result.stages.values()
        if (stage.role, stage.seed) == (role, seed) and "selected_accuracy" in stage.scores
    ]
    return Sample.of(values) if len(values) == len(seeds) else None


def _seconds(
    result: Result, roles: frozenset[str] | set[str], seeds: Sequence[int]
) -> float | None:
    """Return the median over the seeds that are known in full."""
    sums: list[float] = []
    for seed in seeds:
        parts = [
            stage.seconds
            for stage in result.stages.values()
            if stage.role in roles and stage.seed == seed
        ]
        known = [part for part in parts if part is not None]
        if known and len(known) == len(parts):
            sums.append(sum(known))
    return statistics.median(sums) if sums else None
