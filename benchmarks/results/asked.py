"""What is asked for: a recipe file, and from it one recipe for every method.

The file is a recipe like any other, with one more key that only this command reads:

    options:                              # what a method cannot do without, or not well, here
      takd: {assistants: [resnet32]}

A `method` with options in the file is read as options of that method. The axes must be left open,
since it is the methods that write them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from pydantic import ValidationError

from kdcore.catalog import METHODS, describe
from kdcore.errors import RecipeError
from kdcore.recipe import Recipe
from kdcore.validation import explain
from kdcore.yaml_text import read_yaml

REFERENCE: Final = "kd"
"""Run first and always: all others share its teacher and controls, and are compared with it."""

_AXES: Final = ("objectives", "temperature", "weighting", "path", "curriculum")
_SHARED: Final = {"teacher", "student", "data", "training", "baseline", "seeds", "runtime"}
_DIGITS_OF_DIGEST: Final = 12


@dataclass(frozen=True, slots=True)
class Task:
    """One method on the recipe."""

    method: str
    options: dict[str, Any]
    document: dict[str, Any]
    recipe: Recipe | None
    """None where it is refused."""
    refusal: str = ""

    def folder(self, work: Path) -> Path:
        """Return where it is run: a place of its own for each recipe, so none meets another's."""
        if self.recipe is None:
            raise ValueError(f"{self.method} is refused and has no folder")
        return work / f"{self.method}-{self.recipe.digest()[:_DIGITS_OF_DIGEST]}"

    def as_json(self) -> bytes:
        """Return the recipe as it is handed to the engine."""
        return json.dumps(self.document, indent=1).encode()

    def shares_with(self, other: Task) -> bool:
        """Return whether both train the same teacher and the same controls."""
        mine, theirs = (
            task.recipe and task.recipe.model_dump(mode="json", include=_SHARED)
            for task in (self, other)
        )
        return mine is not None and mine == theirs


def read_tasks(file: Path, methods: Sequence[str], seeds: Sequence[int]) -> list[Task]:
    """Read a recipe file; return a task for each method, the reference first.

    Without `methods` all are asked for; those that compare tokens only of networks of other
    libraries, since none of ours has any. `seeds`, where there are any, stand in for the file's.

    Raises:
        RecipeError: the file cannot be read, or is no recipe that leaves the method open.
    """
    document = _read(file)
    options = _options(document)
    document |= {
        "baseline": _baseline(document.get("baseline")),
        "export": ["safetensors"],
        **({"seeds": list(seeds)} if seeds else {}),
    }
    document.pop("gates", None)
    reference = _task(REFERENCE, options.get(REFERENCE, {}), document)
    if reference.recipe is None:
        raise RecipeError(reference.refusal)
    networks = reference.recipe.teacher.model, reference.recipe.student.model
    foreign = all(one.foreign for one in networks)
    suited = (name for name in METHODS if foreign or not compares_tokens(name))
    others = dict.fromkeys(methods or suited)
    others.pop(REFERENCE, None)
    return [reference, *(_task(name, options.get(name, {}), document) for name in others)]


def compares_tokens(method: str) -> bool:
    """Return whether a method is for transformers alone."""
    return bool(describe("methods", METHODS[method])["needs_tokens"])


def _read(file: Path) -> dict[str, Any]:
    try:
        document = read_yaml(file.read_bytes())
    except OSError as error:
        raise RecipeError(f"cannot read {file}: {error}") from None
    if not isinstance(document, dict):
        raise RecipeError(f"{file}: found {type(document).__name__}; expected a recipe")
    fields = cast("dict[str, Any]", document)
    if written := [axis for axis in _AXES if axis in fields]:
        raise RecipeError(
            f"{file}: found {', '.join(written)}; expected a recipe that leaves the axes to the "
            "methods",
            hint=f"take {', '.join(written)} out, or write options of a method under `options`",
        )
    return fields


def _options(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Take the methods' options out of a document."""
    options = _mapping(document.pop("options", None) or {}, "methods to their options")
    method = document.pop("method", None)
    if isinstance(method, dict):
        written = cast("dict[str, Any]", method)
        name = str(written.get("name"))
        options = {name: {key: written[key] for key in written if key != "name"}, **options}
    for name, fields in options.items():
        if name not in METHODS:
            raise RecipeError(
                f"options: found {name!r}, which is no method; expected one of {', '.join(METHODS)}"
            )
        _mapping(fields, f"fields of {name} to values")
    return options


def _mapping(written: object, what: str) -> dict[str, Any]:
    if not isinstance(written, dict):
        raise RecipeError(f"options: found {written!r}; expected a mapping from {what}")
    return cast("dict[str, Any]", written)


def _baseline(written: object) -> dict[str, Any]:
    """Return the controls that the recipe asks for, with the student alone among them."""
    fields = cast("dict[str, Any]", written) if isinstance(written, dict) else {}
    return {**fields, "enabled": True}


def _task(method: str, options: dict[str, Any], document: dict[str, Any]) -> Task:
    written = {**document, "method": {"name": method, **options}}
    written = cast("dict[str, Any]", json.loads(json.dumps(written)))
    try:
        return Task(method, options, written, Recipe.model_validate(written))
    except ValidationError as error:
        problems = explain(error, Recipe, written)
        words = "; ".join(f"{problem.pointer or '/'}: {problem.message}" for problem in problems)
        return Task(method, options, written, None, words)
