"""Which trials of a sweep are the best, and which of them go on to the next rung."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jobs.states import TERMINAL, Status
from jobs.sweep_spec import Objective, SweepSpec
from kdcore.gate import Gate
from kdcore.verdict import Verdict, values_of


@dataclass(frozen=True)
class Tried:
    """A trial, and what became of its job."""

    number: int
    rung: int
    state: str
    point: Mapping[str, Any]
    reason: Mapping[str, Any] | None
    job_id: str | None
    status: str | None
    """Of its job; none where there is none, or it was deleted."""
    verdict: Mapping[str, Any] | None
    failure: Mapping[str, Any] | None

    @property
    def is_active(self) -> bool:
        """Whether its job waits or runs."""
        return self.status is not None and Status(self.status) not in TERMINAL

    @cached_property
    def read(self) -> Verdict | None:
        """Its job's verdict, if it came to one."""
        return Verdict.model_validate(self.verdict) if self.verdict else None

    @cached_property
    def values(self) -> Mapping[str, float | None]:
        """What was measured, by metric."""
        return values_of(self.read) if self.read else {}


@dataclass(frozen=True, slots=True)
class Row:
    """A point's place among all, by the furthest of its trials that told something."""

    rank: int | None
    """From 1; none where there is nothing to compare."""
    trial: Tried
    values: Mapping[str, float | None]
    """By objective."""
    within_limits: bool | None
    on_front: bool


def objectives_of(body: SweepSpec, tried: Sequence[Tried]) -> list[Objective]:
    """Return what decides: where nothing was said, the student's score."""
    if body.objectives:
        return list(body.objectives)
    metric = next((one.read.metric for one in tried if one.read), "accuracy")
    return [Objective(metric=f"student.{metric}", direction="maximize")]


def ranked(tried: Sequence[Tried], body: SweepSpec) -> list[Row]:
    """Return a row for each point: those within the limits first, then the front, then by rung."""
    objectives = objectives_of(body, tried)
    rows = [_row(one, body, objectives) for one in _furthest(tried)]
    able = [row for row in rows if all(value is not None for value in row.values.values())]
    front = _front(able, objectives)

    def key(row: Row) -> tuple[Any, ...]:
        return (
            not row.within_limits,
            -row.trial.rung,
            row.trial.number not in front,
            _keys(row, objectives),
            row.trial.number,
        )

    able.sort(key=key)
    others = [row for row in rows if row not in able]
    told = [
        Row(place, row.trial, row.values, row.within_limits, row.trial.number in front)
        for place, row in enumerate(able, start=1)
    ]
    return told + others


def promoted(tried: Sequence[Tried], body: SweepSpec, eta: int) -> Iterator[tuple[int, int]]:
    """Yield number and rung of the trials that may begin now, since the rung below says so.

    Algorithm 2 of Li et al., arXiv:1810.05934: of those that have ended on a rung, the best
    1 / eta, whether the others have ended or not.
    """
    objective = objectives_of(body, tried)[0]
    held = {(one.number, one.rung) for one in tried if one.state == "held"}
    for rung in range(max(one.rung for one in tried)):
        ended: list[tuple[float, int]] = []
        for one in tried:
            value = one.values.get(objective.metric) if one.rung == rung else None
            if value is not None:
                ended.append((objective.key(value), one.number))
        best = sorted(ended)[: len(ended) // eta]
        yield from ((number, rung + 1) for _, number in best if (number, rung + 1) in held)


def _furthest(tried: Sequence[Tried]) -> list[Tried]:
    """Return one trial of each point: the last that was measured, or else the last that began."""
    by_number: dict[int, Tried] = {}
    for one in sorted(tried, key=lambda one: one.rung):
        before = by_number.get(one.number)
        if before is None or one.verdict or (one.state != "held" and not before.verdict):
            by_number[one.number] = one
    return list(by_number.values())


def _row(one: Tried, body: SweepSpec, objectives: Sequence[Objective]) -> Row:
    values = {each.metric: one.values.get(each.metric) for each in objectives}
    limits = [Gate.parse(line) for line in body.limits]
    within = all(gate.passes(one.values.get(gate.metric)) for gate in limits)
    return Row(None, one, values, within if one.read else None, on_front=False)


def _keys(row: Row, objectives: Sequence[Objective]) -> tuple[float, ...]:
    return tuple(each.key(row.values[each.metric] or 0.0) for each in objectives)


def _front(rows: Sequence[Row], objectives: Sequence[Objective]) -> set[int]:
    """Return the numbers of those that no other beats in all objectives; limits are kept first."""
    within = [row for row in rows if row.within_limits]
    keys = {row.trial.number: _keys(row, objectives) for row in within}
    return {
        number
        for number, ours in keys.items()
        if not any(
            theirs != ours and all(a <= b for a, b in zip(theirs, ours, strict=True))
            for theirs in keys.values()
        )
    }
