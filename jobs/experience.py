"""How long earlier jobs took that were like one that is asked about."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from sqlalchemy import select

from jobs.listing import Listing
from jobs.states import Status
from jobs.tables import Event, Job
from kdcore.recipe import Recipe

_COUNTS = frozenset({"labelled", "unlabelled", "validation_size"})
LOOK = 50
"""Newest jobs of the same pair that are looked at; `Listing` bounds the search for them."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that an optimiser step took, over earlier jobs."""

    jobs: int
    lowest: float
    median: float
    highest: float


class Experience(Listing):
    """What succeeded jobs tell about the next one."""

    def pace(self, recipe: Recipe) -> Pace | None:
        """Return how fast jobs were with the same networks, data and batches; None without any."""
        found = [*self._paces(recipe)]
        if not found:
            return None
        return Pace(len(found), min(found), median(found), max(found))

    def _paces(self, recipe: Recipe) -> Iterator[float]:
        page = self.list(
            status=[Status.SUCCEEDED],
            teacher=recipe.teacher.model.name,
            student=recipe.student.model.name,
            limit=LOOK,
        )
        ids = [job.id for job in page.items]
        likeness = _likeness(recipe.model_dump(mode="json"))
        recipes = self._session.execute(select(Job.id, Job.recipe).where(Job.id.in_(ids)))
        alike = [job_id for job_id, other in recipes if _likeness(other) == likeness]
        ended = select(Event.job_id, Event.data).where(
            Event.job_id.in_(alike), Event.type == "stage.finished"
        )
        spent: dict[str, tuple[float, int]] = {}
        for job_id, data in self._session.execute(ended):
            if not data.get("reused"):
                seconds, steps = spent.get(job_id, (0.0, 0))
                spent[job_id] = seconds + data["seconds"], steps + data["step"]
        yield from (seconds / steps for seconds, steps in spent.values() if steps)


def _likeness(recipe: dict[str, Any]) -> object:
    """Return what makes the steps of two jobs comparable."""
    method: dict[str, Any] = recipe["method"] or {}
    training = recipe["training"]
    # Images have the size that the recipe says, whichever file they are in; of other data the file
    # alone says what a sample is. How many samples there are does not make a step longer.
    data = {name: value for name, value in recipe["data"].items() if name not in _COUNTS}
    if data.get("image_size") is not None:
        data.pop("path", None)
    return (
        recipe["teacher"]["model"],
        recipe["student"]["model"],
        data,
        recipe.get("task"),
        method.get("name"),
        [objective["name"] for objective in recipe["objectives"]],
        training["per_device_train_batch_size"],
        recipe["runtime"],
    )
