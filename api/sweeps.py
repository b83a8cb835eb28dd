"""Sweeps as they are told, and as they are planned out of what a client posts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, cast

from pydantic import JsonValue

from api.checks import Sent, affordable, checked
from api.dependencies import Visit
from api.problems import PayloadProblem
from api.references import resolve
from api.schemas import Body, FieldError
from jobs.familiar import read_familiar
from jobs.leaderboard import Row
from jobs.space import MOST_ON_RUNGS, Asha, PlaceError, Point, pointer_of, points
from jobs.spec import LOOKED_THROUGH, JobSpec
from jobs.sweep_spec import Budget, Objective, SweepSpec
from jobs.sweep_tables import Sweep as StoredSweep
from jobs.sweep_teacher import SharedTeacher
from jobs.sweeps import NewTrial

LABEL: Final = "sweep"
"""The label by which a sweep's jobs are found."""
_KEPT: Final = (
    "every trial trains its teacher as the spec says without the space, so that all share its kept "
    "answers; name /teacher/training in the space, or in the spec, to have it otherwise"
)
SweepStatus = Literal["running", "completed", "cancelled"]


class Counts(Body):
    """How many trials stand where."""

    pending: int
    """Not begun."""
    active: int
    """Their jobs wait or run."""
    succeeded: int
    failed: int
    cancelled: int
    refused: int
    """No job could be made of them any more."""
    held: int
    """Of asha: on rungs that they have not come to."""


class Sweep(Body):
    """Many trials of one spec."""

    id: str
    object: Literal["sweep"] = "sweep"
    project: str
    name: str | None
    status: SweepStatus
    ended_for: Literal["done", "budget", "cancelled"] | None
    """Why it goes on no more."""
    trials: Counts
    strategy: dict[str, JsonValue]
    objectives: list[Objective]
    """Empty where it is the student's score."""
    limits: list[str]
    max_parallel: int
    budget: dict[str, JsonValue]
    space: dict[str, JsonValue]
    spec: dict[str, JsonValue]
    created_at: datetime
    ended_at: datetime | None


class Place(Body):
    """A point, as far as it came."""

    rank: int | None
    """From 1; none where there is nothing to compare yet."""
    trial: int
    """Number of the point."""
    rung: int
    point: dict[str, JsonValue]
    state: Literal["pending", "started", "refused"]
    job: str | None
    status: str | None
    """Of the job."""
    outcome: str | None
    """Of its verdict."""
    values: dict[str, float | None]
    """By objective."""
    within_limits: bool | None
    on_front: bool
    """No other point within the limits is as good in all objectives and better in one."""
    reason: dict[str, JsonValue] | None
    """Why it told nothing: of the job's failure, or of the refusal."""


class Leaderboard(Body):
    """All points of a sweep, the best first."""

    object: Literal["leaderboard"] = "leaderboard"
    sweep: str
    status: SweepStatus
    data: list[Place]


class SweepPlan(Body):
    """What a sweep would try."""

    object: Literal["sweep_plan"] = "sweep_plan"
    points: list[dict[str, JsonValue]]
    rungs: list[int]
    """Values of asha's resource."""
    steps: int
    """Optimiser steps, if every point came to the last rung."""
    notes: list[str]
    """What trials have alike that is not written in the spec."""


class Resume(Sent):
    """What a sweep goes on with."""

    budget: Budget | None = None
    """In the place of its own: what is spent counts, so it has to be larger than that. Without
    `seconds` there is none any more."""


def sweep_of(row: StoredSweep, standing: Mapping[str, int]) -> Sweep:
    """Return a sweep as it is told."""
    body = row.body
    return Sweep.model_validate(
        {
            "id": row.id,
            "project": row.project,
            "name": row.name,
            "status": row.status,
            "ended_for": row.ended_for,
            "trials": {name: standing.get(name, 0) for name in Counts.model_fields},
            "created_at": row.created_at,
            "ended_at": row.ended_at,
            **{
                name: body[name]
                for name in (
                    *("strategy", "objectives", "limits", "max_parallel"),
                    *("budget", "space", "spec"),
                )
            },
        }
    )


def place_of(row: Row) -> Place:
    """Return a row of a leaderboard as it is told."""
    one = row.trial
    return Place.model_validate(
        {
            "rank": row.rank,
            "trial": one.number,
            "rung": one.rung,
            "point": one.point,
            "state": "pending" if one.state == "held" else one.state,
            "job": one.job_id,
            "status": one.status,
            "outcome": one.read.outcome if one.read else None,
            "values": row.values,
            "within_limits": row.within_limits,
            "on_front": row.on_front,
            "reason": one.reason or one.failure,
        }
    )


def planned(visit: Visit, sweep_id: str, body: SweepSpec) -> list[NewTrial]:
    """Return all trials of a sweep, each of them a spec that would be taken.

    Raises:
        PayloadProblem: one would not be; the pointers lead into the body, the words name the point.
    """
    if LABEL in cast("dict[str, Any]", body.spec.get("labels") or {}):
        raise _fault("/spec/labels/sweep", "label_taken", "found the label sweep, which is set")
    try:
        found = points(body.space, body.strategy)
    except PlaceError as error:
        raise _fault(_in_space(error.pointer), "space", str(error)) from None
    rungs = list(_rungs(body))
    if (trials := len(found) * len(rungs)) > MOST_ON_RUNGS:
        message = (
            f"found {len(found)} points on {len(rungs)} rungs; expected at most {MOST_ON_RUNGS:,}"
        )
        raise _fault("/strategy", "too_many_trials", f"{message} together, and not {trials:,}")
    teacher = SharedTeacher(body)
    return [
        _trial(visit, sweep_id, body, number, rung, point | more, teacher)
        for number, point in enumerate(found)
        for rung, more in enumerate(rungs)
    ]


def plan_of(body: SweepSpec, trials: Sequence[NewTrial]) -> SweepPlan:
    """Return what would be tried."""
    asha = body.strategy if isinstance(body.strategy, Asha) else None
    own = [one for one in trials if one.rung == 0]
    resource = pointer_of(asha.resource) if asha else ""
    teacher = SharedTeacher(body)
    return SweepPlan(
        points=[{k: v for k, v in one.point.items() if k != resource} for one in own],
        rungs=asha.rungs() if asha else [],
        steps=sum(JobSpec.model_validate(one.sent).extent.steps for one in trials),
        notes=[_KEPT] if any(teacher.training(one.point) for one in trials) else [],
    )


def _rungs(body: SweepSpec) -> Iterator[Point]:
    """Yield what each rung says of the resource."""
    if not isinstance(body.strategy, Asha):
        yield {}
        return
    for value in body.strategy.rungs():
        yield {pointer_of(body.strategy.resource): value}


def _trial(  # noqa: PLR0913, PLR0917  # all that makes one
    visit: Visit,
    sweep_id: str,
    body: SweepSpec,
    number: int,
    rung: int,
    point: Point,
    teacher: SharedTeacher,
) -> NewTrial:
    try:
        sent = teacher.at(point)
        labels = cast("Mapping[str, JsonValue]", sent.get("labels") or {})
        sent["labels"] = {**labels, LABEL: sweep_id}
        if body.name:
            sent["name"] = f"{body.name} {number}" + (f" rung {rung}" if rung else "")
        known = read_familiar(sent)
        spec = known.spec if known else checked(JobSpec, sent, LOOKED_THROUGH)
        affordable(spec, visit.settings)
        named = resolve(visit, spec)
    except PlaceError as error:
        raise _fault(_in_space(error.pointer), "space", str(error)) from None
    except PayloadProblem as problem:
        where = json.dumps(point)[:200]
        raise PayloadProblem(
            [
                one.model_copy(
                    update={
                        "pointer": f"/spec{one.pointer}",
                        "message": f"at the point {where}: {one.message}",
                    }
                )
                for one in problem.errors
            ],
            code=problem.code,
        ) from None
    recipe = json.loads(named.recipe) if named.recipe else spec.recipe().model_dump(mode="json")
    needs = {"inputs": list(named.inputs), "files": [list(one) for one in named.files]}
    return NewTrial(number, rung, point, sent, recipe, needs)


def _in_space(pointer: str) -> str:
    return "/space" + (f"/{pointer.replace('~', '~0').replace('/', '~1')}" if pointer else "")


def _fault(pointer: str, code: str, message: str) -> PayloadProblem:
    return PayloadProblem([FieldError(pointer=pointer, code=code, message=message)], code=code)
