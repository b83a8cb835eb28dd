"""What a task is: what a network's outputs mean, and how they are held against labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import JsonValue

from kdcore.entry import Entry
from kdcore.objective import Objective
from kdcore.quality import Quality

if TYPE_CHECKING:
    from torch import Tensor

    from kdcore.dataset import Samples, Source


@dataclass(frozen=True, slots=True)
class Said:
    """What networks said of the test part."""

    samples: Samples
    teacher: Tensor
    """Outputs `(N, C)`, as all of them."""
    students: Mapping[int, Tensor]
    """By seed."""
    baselines: Mapping[int, Tensor]
    """By seed; empty where there is none."""
    seed: int
    """The delivered student's; details are those of this one."""
    names: Sequence[str] = ()
    """By output; those without one are called by their number."""
    units: Sequence[float] = ()
    """How much of what the user counts in is 1 in each output; 1 where nothing is said."""

    @property
    def networks(self) -> dict[str, Tensor]:
        """Outputs by role; of students and baselines, this seed's."""
        networks = {"teacher": self.teacher, "student": self.students[self.seed]}
        if self.seed in self.baselines:
            networks["baseline"] = self.baselines[self.seed]
        return networks

    @property
    def called(self) -> list[str]:
        """A name for every output."""
        return [*self.names, *map(str, range(len(self.names), self.teacher.shape[1]))]


class Task(Entry):
    """One kind of question that teacher and student answer."""

    metric: ClassVar[str]
    """The score that the verdict compares, as it is called in gates: larger is better, 1 is
    perfect."""
    title: ClassVar[str]
    """The same in words."""
    gives: ClassVar[str]
    """What a network's outputs are, in words."""
    words: ClassVar[Mapping[str, str]] = {}
    """What stands in the place of `cross_entropy` and `kd` where a method writes them."""

    has_hard_answers: ClassVar[bool] = True
    """Whether a label says less than an output does."""
    learns_labels: ClassVar[bool] = True
    """False where the teacher's outputs are all that is to be learned."""
    reads_as: ClassVar[str | None] = None
    """Name of the task whose labels data is read with; its own where not given."""

    @property
    def labelled_like(self) -> str:
        """Name of the task whose labels data is read with."""
        return self.reads_as or self.name

    def alone(self) -> Objective:
        """Return what a network learns by that nobody teaches."""
        raise NotImplementedError

    def hard(self, outputs: Tensor) -> Tensor:
        """Return outputs `(N, C)` as labels, where these are harder: see `has_hard_answers`."""
        raise NotImplementedError

    def outputs(self, told: int) -> int:
        """Return C, the numbers that a network gives of a sample; `told` is what the data has."""
        return told

    def check(self, source: Source) -> None:
        """Check the labels of all parts.

        Raises:
            DataError: they are none for this task, or there is nothing to learn from them.
        """
        raise NotImplementedError

    def score(
        self, outputs: Tensor, labels: Tensor, teacher_outputs: Tensor | None = None
    ) -> dict[str, float]:
        """Return the metric, the `loss`, and the `agreement` with a teacher's outputs `(N, C)`."""
        raise NotImplementedError

    def examine(self, said: Said) -> Quality:
        """Look closely at what networks said of the test part."""
        raise NotImplementedError

    def in_own_words(self, axes: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return what a method writes, its objectives replaced by this task's."""
        written = axes.get("objectives")
        if not isinstance(written, list):
            return dict(axes)
        return {**axes, "objectives": _each_once([self._in_own_word(one) for one in written])}

    def _in_own_word(self, objective: JsonValue) -> JsonValue:
        if isinstance(objective, dict):
            return {**objective, "name": self._in_own_word(objective.get("name"))}
        return self.words.get(objective, objective) if isinstance(objective, str) else objective


def _each_once(objectives: list[JsonValue]) -> list[JsonValue]:
    """Return objectives with those added up that one word has made of two."""
    single: list[JsonValue] = []
    for one in objectives:
        like = next((place for place, other in enumerate(single) if _alike(one, other)), None)
        if like is None:
            single.append(one)
        else:
            weight = round(_weight(single[like]) + _weight(one), 12)
            single[like] = {**_options(one), "weight": weight}
    return single


def _alike(one: JsonValue, other: JsonValue) -> bool:
    return {**_options(one), "weight": None} == {**_options(other), "weight": None}


def _weight(objective: JsonValue) -> float:
    weight = _options(objective).get("weight", 1.0)
    return float(weight) if isinstance(weight, int | float) else 1.0


def _options(objective: JsonValue) -> dict[str, JsonValue]:
    return objective if isinstance(objective, dict) else {"name": objective}
