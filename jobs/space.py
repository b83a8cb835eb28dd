"""What a sweep tries: fields of a spec, the values that each may take, and how these are chosen."""

from __future__ import annotations

import copy
import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self, cast

from pydantic import Discriminator, Field, JsonValue, Tag, model_validator
from pydantic_core import PydanticCustomError

from kdcore.entry import Record

MOST_TRIALS: Final = 500
MOST_ON_RUNGS: Final = 2 * MOST_TRIALS
"""Points times rungs: each is a spec that is checked when the sweep is posted."""
_MOST_DRAWS: Final = 20
"""Draws for each point of its own that is wanted."""

Point = dict[str, JsonValue]
"""A value for each pointer of the space."""


class Range(Record):
    """Numbers between two ends, for strategies that draw."""

    min: float
    """The least."""
    max: float
    """The largest."""
    log: bool = False
    """Draw the exponent: as many between 0.001 and 0.01 as between 0.01 and 0.1."""
    integer: bool = False
    """Whole numbers, both ends among them."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min >= self.max or (self.log and self.min <= 0):
            raise PydanticCustomError(
                "range",
                "found {low} to {high}; expected min below max, and both above 0 with log",
                {"low": self.min, "high": self.max},
            )
        return self

    def draw(self, chance: random.Random) -> float:
        """Return one of them."""
        low, high = (math.log(one) if self.log else one for one in (self.min, self.max))
        drawn = chance.uniform(low, high)
        value = min(max(math.exp(drawn) if self.log else drawn, self.min), self.max)
        return round(value) if self.integer else float(f"{value:.6g}")


def _kind(value: object) -> str:
    return "list" if isinstance(value, list) else "range"


Values = Annotated[
    Annotated[list[JsonValue], Field(min_length=1, max_length=100), Tag("list")]
    | Annotated[Range, Tag("range")],
    Discriminator(_kind),
]
Path = Annotated[str, Field(min_length=1, max_length=200)]
Space = Annotated[dict[Path, Values], Field(min_length=1, max_length=16)]
"""By JSON pointer (`/training/learning_rate`) or the same with dots."""


class Grid(Record):
    """Every combination of the values."""

    name: Literal["grid"] = "grid"


class Random(Record):
    """Combinations that are drawn, none of them twice. Bergstra, Bengio. JMLR 13, 2012."""

    name: Literal["random"] = "random"
    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)] = 16
    """Combinations, or as many as there are."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """The same seed draws the same ones."""


class Asha(Record):
    """Many short trials, of which the best go on to longer ones.

    Li et al. A System for Massively Parallel Hyperparameter Tuning. 2018. arXiv:1810.05934.
    """

    name: Literal["asha"] = "asha"
    trials: Annotated[int, Field(ge=2, le=MOST_TRIALS)] = 27
    """Combinations that begin, or as many as there are."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """The same seed draws the same ones."""
    eta: Annotated[int, Field(ge=2, le=10)] = 3
    """One in so many goes on, to so many times as much."""
    resource: Path = "/training/max_steps"
    """The field that says how long a trial takes."""
    least: Annotated[int, Field(ge=1)]
    """Its value on the first rung."""
    most: Annotated[int, Field(ge=1)]
    """Its value on the last one."""

    @model_validator(mode="after")
    def _has_rungs(self) -> Self:
        if self.least * self.eta > self.most:
            raise PydanticCustomError(
                "rungs",
                "found least {least} and most {most}, with nothing between; expected most to be at "
                "least {eta} times as much",
                {"least": self.least, "most": self.most, "eta": self.eta},
            )
        return self

    def rungs(self) -> list[int]:
        """Return the values of the resource, the least first."""
        values = [self.least]
        while values[-1] * self.eta <= self.most:
            values.append(values[-1] * self.eta)
        return values


Strategy = Grid | Random | Asha


class PlaceError(ValueError):
    """A value has no place in a spec; `pointer` says where it was to be."""

    def __init__(self, pointer: str, message: str) -> None:
        """Keep the place."""
        super().__init__(message)
        self.pointer = pointer


def pointer_of(path: str) -> str:
    """Return a path as a JSON pointer."""
    return path if path.startswith("/") else "/" + path.replace(".", "/")


def points(space: Mapping[str, list[JsonValue] | Range], strategy: Strategy) -> list[Point]:
    """Return the points that a strategy begins with.

    Raises:
        PlaceError: a grid has a range, or more points than a sweep may have.
    """
    axes = {pointer_of(path): values for path, values in space.items()}
    if isinstance(strategy, Grid):
        return list(_grid(axes))
    chance, found = random.Random(strategy.seed), dict[str, Point]()  # noqa: S311  # no secret
    for _ in range(_MOST_DRAWS * strategy.trials):
        point = {
            pointer: values.draw(chance) if isinstance(values, Range) else chance.choice(values)
            for pointer, values in axes.items()
        }
        found.setdefault(json.dumps(point, sort_keys=True), point)
        if len(found) == strategy.trials:
            break
    return list(found.values())


def _grid(axes: Mapping[str, list[JsonValue] | Range]) -> Iterator[Point]:
    lists: list[list[JsonValue]] = []
    for pointer, values in axes.items():
        if isinstance(values, Range):
            raise PlaceError(pointer, "found a range, and a grid; expected a list of values")
        lists.append(values)
    if (count := math.prod(map(len, lists))) > MOST_TRIALS:
        raise PlaceError(
            "", f"found a grid of {count:,} points; expected at most {MOST_TRIALS}, or random"
        )
    for values in itertools.product(*lists):
        yield dict(zip(axes, values, strict=True))


def at(spec: Mapping[str, JsonValue], point: Point) -> dict[str, Any]:
    """Return a spec at a point; objects on the way that it has not are made.

    Raises:
        PlaceError: what is on the way is no object or list, or the list has no such place.
    """
    document = copy.deepcopy(dict(spec))
    for pointer, value in point.items():
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        here: Any = document
        for part in way:
            here = _step(here, part, pointer)
        if isinstance(here, list):
            here[_place(cast("list[Any]", here), last, pointer)] = value
        elif isinstance(here, dict):
            here[last] = value
        else:
            raise _no_place(here, last, pointer)
    return document


def _step(here: Any, part: str, pointer: str) -> Any:
    if isinstance(here, dict):
        return cast("dict[str, Any]", here).setdefault(part, {})
    if isinstance(here, list):
        row = cast("list[Any]", here)
        return row[_place(row, part, pointer)]
    raise _no_place(here, part, pointer)


def _place(row: list[Any], part: str, pointer: str) -> int:
    if not part.isdecimal() or int(part) >= len(row):
        raise PlaceError(pointer, f"found {part[:40]!r} in a list of {len(row)}; expected a place")
    return int(part)


def _no_place(here: object, part: str, pointer: str) -> PlaceError:
    return PlaceError(
        pointer,
        f"found {str(here)[:60]!r} where {part[:40]!r} is to be set; expected the spec to have an "
        "object there, written out",
    )
