"""`python -m kdcore recipe.yaml out/`: run a recipe without the service.

`python -m kdcore layers recipe.yaml` tells the layers of its networks, as objectives name them.
`python -m kdcore data recipe.yaml` tells what its data is like, and what is wrong with it.
`python -m kdcore preflight recipe.yaml` takes one step of each training, and tells what fails.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError

from kdcore.errors import KdcoreError
from kdcore.events import (
    AnswersProgress,
    Event,
    StageFinished,
    StageProgress,
    TeacherChosen,
    VerdictReached,
    Warned,
)
from kdcore.looked import Looked
from kdcore.recipe import Recipe
from kdcore.teacher_cache.shelf import Shelf
from kdcore.validation import explain
from kdcore.yaml_text import read_yaml

if TYPE_CHECKING:
    from kdcore.ranks import Ranks

INTERRUPTED: Final = 130
R = TypeVar("R", bound=BaseModel)


def main() -> int:
    """Run a recipe; return 0 where it ended, 2 where it is not valid, 1 where it failed."""
    if sys.argv[1:2] == ["layers"]:
        return _layers(sys.argv[2:])
    if sys.argv[1:2] == ["data"]:
        return _data(sys.argv[2:])
    if sys.argv[1:2] == ["preflight"]:
        return _preflight(sys.argv[2:])
    parser = argparse.ArgumentParser(
        prog="python -m kdcore",
        description="Distil a student. Interrupt it, call it again, and it goes on where it was.",
    )
    parser.add_argument("recipe", type=Path, help="a recipe in YAML or JSON, or a spec.lock")
    parser.add_argument("out", type=Path, help="working folder; the files come into out/artifacts")
    parser.add_argument(
        "--inputs", type=Path, help="folder of the files that the recipe names (its own folder)"
    )
    parser.add_argument(
        "--cache", type=Path, help="folder of the teacher caches (out/teacher-caches)"
    )
    parser.add_argument(
        "--differences",
        choices=["refuse", "warn"],
        help="what to do where versions or data are not those of a spec.lock (as the lock says)",
    )
    parser.add_argument("--json", action="store_true", help="print every event as a JSON line")
    arguments = parser.parse_args()
    recipe = _read(arguments.recipe, Recipe)
    if recipe is None:
        return 2
    if recipe.lock and arguments.differences:
        lock = recipe.lock.model_copy(update={"differences": arguments.differences})
        recipe = recipe.model_copy(update={"lock": lock})
    from kdcore.crew import launched

    ranks = launched()
    return _follow(recipe, ranks) if ranks and ranks.rank else _distil(recipe, arguments)


def _layers(words: list[str]) -> int:
    """Tell the layers of a recipe's networks."""
    parser = argparse.ArgumentParser(
        prog="python -m kdcore layers",
        description="Tell the layers of teacher and student: path, shape of what it gives for one "
        "sample, parameters. Objectives take those marked * (maps) and + (embedding).",
    )
    parser.add_argument("recipe", type=Path, help="a recipe in YAML or JSON")
    parser.add_argument(
        "--inputs", type=Path, help="folder of the files that the recipe names (its own folder)"
    )
    arguments = parser.parse_args(words)
    recipe = _read(arguments.recipe, Recipe)
    if recipe is None:
        return 2
    from kdcore.listing import listing

    try:
        for line in listing(recipe, arguments.inputs or arguments.recipe.parent):
            print(line)  # noqa: T201  # a command line talks
    except KdcoreError as error:
        _complain(f"{error.code}: {error} ({error.hint})")
        return 1
    return 0


def _data(words: list[str]) -> int:
    """Tell what a recipe's data is like."""
    parser = argparse.ArgumentParser(
        prog="python -m kdcore data",
        description="Tell what the data of a recipe is like: counts, classes, copies across parts, "
        "columns, sizes, and what cannot be used, by name. Ends with 1 where there is such.",
    )
    parser.add_argument(
        "recipe", type=Path, help="a recipe in YAML or JSON; its data alone is read"
    )
    parser.add_argument(
        "--inputs", type=Path, help="folder of the files that it names (its own folder)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the report as JSON")
    form.add_argument("--html", type=Path, metavar="FILE", help="write the report as one page")
    arguments = parser.parse_args(words)
    looked = _read(arguments.recipe, Looked)
    if looked is None:
        return 2
    from kdcore.describing import describe
    from kdcore.reporting.data_text import as_text
    from kdcore.reporting.page import as_data_page

    try:
        report = describe(
            looked.data, arguments.inputs or arguments.recipe.parent, task=looked.task.labelled_like
        )
        if arguments.html:
            arguments.html.write_text(as_data_page(report), encoding="utf-8")
    except KdcoreError as error:
        _complain(f"{error.code}: {error} ({error.hint})")
        return 1
    except OSError as error:
        _complain(f"cannot write {arguments.html}: {error}")
        return 1
    print(report.model_dump_json(indent=1) if arguments.json else as_text(report))  # noqa: T201  # as above
    return 1 if report.faults.count else 0


def _preflight(words: list[str]) -> int:
    """Try a recipe out, without training."""
    parser = argparse.ArgumentParser(
        prog="python -m kdcore preflight",
        description="Read the data, build the networks, take one step of each training on the CPU, "
        "and tell what fails. Ends with 1 where something does.",
    )
    parser.add_argument("recipe", type=Path, help="a recipe in YAML or JSON")
    parser.add_argument(
        "--inputs", type=Path, help="folder of the files that the recipe names (its own folder)"
    )
    parser.add_argument("--json", action="store_true", help="print all that was found as JSON")
    arguments = parser.parse_args(words)
    recipe = _read(arguments.recipe, Recipe)
    if recipe is None:
        return 2
    from kdcore.preflight import look

    told = look(recipe, arguments.inputs or arguments.recipe.parent)
    for problem in [] if arguments.json else told.problems:
        _complain(f"{problem.pointer or '/'}: {problem.code}: {problem.message} ({problem.hint})")
    for whose, one in {"teacher": told.teacher, "student": told.student}.items():
        if one and not arguments.json:
            flops = f"{one.flops:,}" if one.flops else "unknown"
            print(f"{whose}: {one.model}, {one.parameters:,} parameters, {flops} FLOPs a sample")  # noqa: T201  # a command line talks
    if arguments.json:
        print(told.model_dump_json(indent=1))  # noqa: T201  # as above
    elif told.compatible:
        print(f"compatible: {told.steps:,} steps, {told.peak_memory_bytes / 1e6:,.0f} MB here")  # noqa: T201  # as above
    return 0 if told.compatible else 1


def _read(file: Path, kind: type[R]) -> R | None:
    """Read a document; complain where it is none."""
    document: object = None
    try:
        document = read_yaml(file.read_bytes())
        return kind.model_validate(document)
    except ValidationError as error:
        for problem in explain(error, kind, document):
            _complain(f"{problem.pointer or '/'}: {problem.message} {problem.hint or ''}")
    except (OSError, KdcoreError) as error:
        _complain(str(error))
    return None


def _follow(recipe: Recipe, ranks: Ranks) -> int:
    """Be one of the processes that torchrun has started, and not the first."""
    from kdcore.follow import follow

    follow(ranks, recipe.runtime)
    return 0


def _distil(recipe: Recipe, arguments: argparse.Namespace) -> int:
    from kdcore.story import distill

    stop = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda _number, _frame: stop.set())
    story = distill(
        recipe,
        arguments.out,
        inputs=arguments.inputs or arguments.recipe.parent,
        shelf=Shelf(arguments.cache) if arguments.cache else None,
    )
    changed = False
    try:
        # Closing is what makes the loop save a checkpoint.
        with closing(cast("Generator[Event]", story)):
            for event in story:
                _tell(event, as_json=arguments.json)
                changed |= isinstance(event, Warned) and event.code == "replay_differs"
                if stop.is_set():
                    break
    except KdcoreError as error:
        _complain(f"{error.code}: {error} ({error.hint})")
        return 1
    except OSError as error:
        _complain(f"cannot work in {arguments.out}: {error}")
        return 1
    if recipe.lock and not changed and not stop.is_set() and not arguments.json:
        print("every network has the locked weights, bit for bit")  # noqa: T201  # as below
    if stop.is_set():
        _complain("stopped and saved; the same command goes on from here")
        return INTERRUPTED
    return 0


def _tell(event: Event, *, as_json: bool) -> None:
    if as_json:
        line = event.model_dump_json()
    else:
        match event:
            case StageProgress():
                line = (
                    f"{event.percent:5.1f} %  {event.stage}  step {event.step}/{event.total_steps}"
                )
            case StageFinished():
                line = f"         {event.stage}  {event.metric} {event.scores[event.metric]:.4f}"
            case AnswersProgress():
                line = (
                    f"         {event.teacher} answers {event.done:,} of {event.total:,}, "
                    f"{event.bytes / 1e6:.1f} MB, about {event.eta_seconds:.0f} s to go"
                )
            case TeacherChosen():
                line = f"         {event.teacher} teaches {event.stage}"
            case Warned():
                line = f"warning: {event.message}"
            case VerdictReached():
                line = f"{event.verdict.outcome}: {event.verdict.sentence}"
            case _:
                return
    print(line, flush=True)  # noqa: T201  # a command line talks


def _complain(message: str) -> None:
    print(message.rstrip(), file=sys.stderr)  # noqa: T201  # as above


if __name__ == "__main__":
    sys.exit(main())
