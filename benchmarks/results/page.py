"""The page, all of it made of what was measured."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.results.asked import REFERENCE, Task
from benchmarks.results.claims import claims, limits
from benchmarks.results.kept import Made, Result
from benchmarks.results.published import ALONE, TEACHER, Published, published
from benchmarks.results.rows import (
    Facts,
    Row,
    Scale,
    control_rows,
    method_rows,
    scale_of,
    teacher_row,
)
from kdcore.recipe import Recipe
from kdcore.verdict import Interval, Sample

_NONE = "-"
_PUBLISHED_AS = {TEACHER: TEACHER, "baseline": ALONE}


@dataclass(frozen=True, slots=True)
class Story:
    """What a page is made of."""

    command: str
    recipe_file: str
    recipe_text: str
    facts: Facts
    tasks: Sequence[Task]
    results: Sequence[Result]
    """One for each task, the reference first, which has numbers."""


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The rows of the page, and what they are weighed with."""

    recipe: Recipe
    scale: Scale
    teacher: Row
    controls: Sequence[Row]
    """The student alone first."""
    methods: Sequence[Row]
    failed: Sequence[Result]
    known: Mapping[str, Published]


def page(story: Story) -> str:
    """Return the page as Markdown."""
    sheet = _sheet(story)
    lines = [
        f"# Results: {_plain(sheet.recipe.name or story.recipe_file)}",
        "",
        "Made by one command, from what it measured; nobody has edited it.",
        "",
        *_about(story, sheet),
        "",
        "## Accuracy",
        "",
        *_explained(sheet, story.facts),
        "",
        *_table(sheet),
        "",
        *_sources(sheet),
        "## What these numbers say",
        "",
        *claims(sheet.controls, sheet.methods, sheet.scale),
        "",
        "## What they do not say",
        "",
        *limits(
            sheet.recipe,
            story.facts,
            [*sheet.controls, *sheet.methods],
            known=bool(sheet.known),
        ),
        "",
        f"## `{story.recipe_file}`",
        "",
        "```yaml",
        story.recipe_text.strip(),
        "```",
        "",
    ]
    return "\n".join(lines)


def _sheet(story: Story) -> _Sheet:
    recipe = story.tasks[0].recipe
    if recipe is None:
        raise ValueError("the reference is refused; there is nothing to tell")
    scale = scale_of(recipe, story.facts)
    return _Sheet(
        recipe=recipe,
        scale=scale,
        teacher=teacher_row(story.results[0]),
        controls=list(control_rows(story.results[0], recipe, scale)),
        methods=method_rows(story.results, recipe, scale),
        failed=[result for result in story.results if not result.finished],
        known=published(recipe.data.name, recipe.pair()),
    )


def _about(story: Story, sheet: _Sheet) -> Iterator[str]:
    facts, recipe, data = story.facts, sheet.recipe, sheet.recipe.data
    labels = f"{data.labelled:,} of them with a label for the student" if data.labelled else ""
    if labels and not data.unlabelled:
        labels = f"of which the student meets the {data.labelled:,} with a label alone"
    train = f"{facts.train:,} training samples" + (f" ({labels})" if labels else "")
    yield f"- Command: `{story.command}`"
    yield (
        f"- Data: `{data.name}`; {train}, {facts.validation:,} for validation, "
        f"{facts.test:,} for testing"
    )
    yield (
        f"- Teacher `{recipe.teacher.model.label()}`, {sheet.teacher.parameters:,} parameters; "
        f"student `{recipe.student.model.label()}`, {sheet.controls[0].parameters:,} parameters"
    )
    yield f"- Seeds of the student: {', '.join(map(str, recipe.seeds))}; there is one teacher"
    if options := [task for task in story.tasks if task.options]:
        words = ", ".join(f"{task.method} `{json.dumps(task.options)}`" for task in options)
        yield f"- Methods have their papers' defaults, but for: {words}"
    else:
        yield "- Methods have their papers' defaults"
    yield from _made(story.results)


def _made(results: Sequence[Result]) -> Iterator[str]:
    """Tell what the numbers were made with, and which were made with something else."""
    made = {result.method: result.made for result in results if result.made}
    first = made[results[0].method]
    versions = ", ".join(f"{name} {version}" for name, version in first.versions.items())
    yield (
        f"- Computed on {first.device}; CPUs of the machine: {first.cpus}, methods at a time: "
        f"{first.jobs}, threads of each: {first.threads}; {versions}"
    )
    days = sorted({result.day for result in results if result.day})
    yield f"- Engine: sha256 of its files {first.source[:12]}; finished {' to '.join(_ends(days))}"
    others = [name for name, one in made.items() if _conditions(one) != _conditions(first)]
    if others:
        yield (
            f"- **Mixed**: {', '.join(others)} ran with another state of the engine, other "
            "versions or another device than the reference; delete the working folder to run "
            "all of them alike"
        )


def _conditions(made: Made) -> tuple[object, ...]:
    return made.source, sorted(made.versions.items()), made.device, made.threads


def _ends(days: Sequence[str]) -> Sequence[str]:
    return days if len(days) <= 1 else (days[0], days[-1])


def _explained(sheet: _Sheet, facts: Facts) -> Iterator[str]:
    scale = sheet.scale
    yield (
        "Test accuracy in percent: mean ± standard deviation over the seeds, after the last step, "
        "and of the weights that did best on the validation samples. Differences in points, of the "
        "last step, taken seed by seed: a student and the controls of its seed begin with the same "
        f"weights and take as many steps. In brackets the {100 * scale.confidence:g} % Student-t "
        "interval of the mean: above 0 it *beats*, below 0 it *loses*, within "
        f"±{100 * scale.tie_margin:g} it *ties*, all else is *inconclusive*; a spread below one "
        f"test sample ({100 * scale.resolution:.2g} points) counts as one. Seconds are the median "
        "over the seeds, assistants and whatever else a method trains for its student included, "
        "teacher and controls not."
    )
    if sheet.recipe.training.load_best_model_at_end:
        yield "The recipe keeps the best weights at the end, so both columns are of these."
    if not facts.validation:
        yield "There are no validation samples, so no weights are selected."


def _table(sheet: _Sheet) -> Iterator[str]:
    known = sheet.known
    heads = ["", "last step", "selected", "minus student alone", "", "minus plain KD", ""]
    heads += ["s / seed", *(["published"] if known else [])]
    yield _line(heads)
    yield _line(["---", "---:", "---:", "---:", "---", "---:", "---", "---:", "---:"][: len(heads)])
    plain = sheet.controls[0].parameters
    for row in [sheet.teacher, *sheet.controls, *sheet.methods]:
        name = f"`{row.name}` {row.title}" if row in sheet.methods else row.title
        if row in sheet.methods and row.parameters != plain:
            name += f" ({row.parameters:,} parameters)"
        cells = [name, _accuracy(row.last), _accuracy(row.selected)]
        for other in ("baseline", REFERENCE):
            compared = other in row.differences
            interval = row.differences.get(other)
            cells += [_difference(interval), sheet.scale.word(interval) if compared else ""]
        cells.append(_NONE if row.seconds is None else f"{row.seconds:.1f}")
        number = known.get(_PUBLISHED_AS.get(row.name, row.name))
        yield _line([*cells, *([_number(number)] if known else [])])
    for result in sheet.failed:
        words = result.failure.words if result.failure else "it did not come to an end"
        empty = [""] * (len(heads) - 2)
        yield _line([f"`{result.method}`", f"failed: {_plain(words)}", *empty])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _accuracy(sample: Sample | None) -> str:
    if sample is None:
        return _NONE
    spread = "" if sample.std is None else f" ± {100 * sample.std:.2f}"
    return f"{100 * sample.mean:.2f}{spread}"


def _difference(interval: Interval | None) -> str:
    if interval is None:
        return _NONE
    return f"{100 * interval.mean:+.2f} [{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"


def _number(number: Published | None) -> str:
    return _NONE if number is None else f"{number.percent:.2f} ({number.rule})"


def _sources(sheet: _Sheet) -> Iterator[str]:
    """Name the sources of the published numbers on the page."""
    rows = [sheet.teacher, *sheet.controls, *sheet.methods]
    names = [_PUBLISHED_AS.get(row.name, row.name) for row in rows]
    shown = {sheet.known[name].source for name in names if name in sheet.known}
    if not shown:
        return
    yield "Published numbers are of:"
    yield ""
    for source in sorted(shown):
        yield f"- {source}"
    yield ""


def _plain(text: str) -> str:
    """Return one line without what Markdown would read as its own."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))
