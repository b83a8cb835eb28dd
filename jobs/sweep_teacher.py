"""What a sweep over the student's training leaves as it is: the teacher that all trials share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import JsonValue, ValidationError

from jobs.space import PlaceError, Point, at, pointer_of
from jobs.spec import LOOKED_THROUGH, JobSpec
from jobs.sweep_spec import SweepSpec

_TRAINING: Final = "/training"


class SharedTeacher:
    """The training of a teacher that is trained, as the sweep's spec says without the space.

    A teacher that trained like each student would be another one in every trial, and none of its
    answers could be shared. What a rung of asha says holds for the teacher too.
    """

    def __init__(self, body: SweepSpec) -> None:
        """Look at the space."""
        axes = {pointer_of(path) for path in body.space}
        self._spec = body.spec
        self._changed = {one for one in axes if _is_in(one, _TRAINING)}
        if any(_is_in(one, "/teacher/training") for one in axes):
            self._changed.clear()  # the space says itself how it is trained
        self._known: dict[str, dict[str, JsonValue] | None] = {}

    def at(self, point: Point) -> dict[str, Any]:
        """Return the spec of a trial.

        Raises:
            PlaceError: a value of the point has no place in it.
        """
        sent = at(self._spec, point)
        training = self.training(point)
        if training is None:
            return sent
        teacher = sent["teacher"]
        written: dict[str, Any] = {"model": teacher}
        if isinstance(teacher, dict):
            written = cast("dict[str, Any]", teacher)
        return {**sent, "teacher": {**written, "training": training}}

    def training(self, point: Mapping[str, JsonValue]) -> dict[str, JsonValue] | None:
        """Return what the teacher keeps at a point; None where nothing would change it."""
        if not self._changed:
            return None
        rest = {pointer: value for pointer, value in point.items() if pointer not in self._changed}
        key = json.dumps(rest, sort_keys=True)
        if key not in self._known:
            self._known[key] = _training(self._spec, rest)
        return self._known[key]


def _training(base: Mapping[str, JsonValue], rest: Point) -> dict[str, JsonValue] | None:
    try:
        spec = JobSpec.model_validate(at(base, rest), context=LOOKED_THROUGH)
    except (ValidationError, PlaceError):
        return None  # whatever is wrong with it, the trial itself says
    if spec.teacher.given or spec.teacher.training is not None:
        return None
    return spec.training.model_dump(mode="json")


def _is_in(pointer: str, whole: str) -> bool:
    return pointer == whole or pointer.startswith(f"{whole}/")
