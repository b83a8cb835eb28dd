"""What a client posts to have many specs tried, and compared."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, Field, JsonValue, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from jobs.space import Asha, Grid, Random, Space, pointer_of
from kdcore.entry import Record
from kdcore.gate import METRICS, SMALLER_IS_BETTER, Gate

Direction = Literal["maximize", "minimize"]


class Objective(Record):
    """What trials are compared by."""

    metric: str
    """As gates call it."""
    direction: Direction
    """Where better lies."""

    def key(self, value: float) -> float:
        """Return a value as a number that is better the smaller it is."""
        return -value if self.direction == "maximize" else value


def _objective(value: object) -> object:
    """Let a metric stand for the whole, in its usual direction."""
    fields: dict[str, Any] = {"metric": value}
    if isinstance(value, dict):
        fields = dict(cast("dict[str, Any]", value))
    metric = fields.get("metric")
    if metric not in METRICS:
        raise PydanticCustomError(
            "metric",
            "found the metric {metric}; expected one of {known}",
            {"metric": repr(metric)[:80], "known": ", ".join(METRICS)},
        )
    small = metric in SMALLER_IS_BETTER
    return {"direction": "minimize" if small else "maximize", **fields}


def _strategy(value: object) -> object:
    """Let a name stand for the whole."""
    return {"name": value} if isinstance(value, str) else value


def _limit(line: str) -> str:
    Gate.parse(line)
    return line


class Budget(Record):
    """When no more trials are begun."""

    seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """Time that the attempts of all trials have run, together."""


Name = (
    Annotated[str, StringConstraints(min_length=1, max_length=150, pattern=r"^[^\x00-\x1f]+$")]
    | None
)
Objectives = Annotated[list[Annotated[Objective, BeforeValidator(_objective)]], Field(max_length=4)]
Limits = Annotated[list[Annotated[str, BeforeValidator(_limit)]], Field(max_length=8)]
Parallel = Annotated[int, Field(ge=1, le=256)]


class SweepSpec(Record):
    """A spec, and what is to be tried in it."""

    name: Name = None
    """Trials are called after it."""
    spec: dict[str, JsonValue]
    """As for POST /v1/jobs."""
    space: Space
    """What differs between the trials: lists of values by JSON pointer into the spec, or ranges."""
    strategy: Annotated[
        Annotated[Grid | Random | Asha, Field(discriminator="name")], BeforeValidator(_strategy)
    ] = Grid()
    """`grid` tries everything; random and asha draw."""
    objectives: Objectives = []
    """What decides, in this order; of several, the Pareto front comes first. The student's score
    where nothing is said."""
    limits: Limits = []
    """Lines as gates have them, such as `latency_ms <= 1`: what exceeds one is ranked last."""
    max_parallel: Parallel = 4
    """Trials that wait or run at a time."""
    budget: Budget = Budget()
    """When no more are begun."""

    @model_validator(mode="after")
    def _resource_is_free(self) -> Self:
        asha = self.strategy
        if isinstance(asha, Asha) and pointer_of(asha.resource) in map(pointer_of, self.space):
            raise PydanticCustomError(
                "resource",
                "found {resource} in the space and as the resource of asha; expected one of them",
                {"resource": asha.resource, "pointer": "/space"},
            )
        return self
