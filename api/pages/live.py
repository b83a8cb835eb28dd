"""What an open page of a job is told: the parts that have changed, and what was measured since."""

from __future__ import annotations

from typing import Final

from api import views
from api.dependencies import Visit
from api.pages.job_parts import LIVE, parts_of, told_of
from api.plots import StageMetrics
from api.schemas import Body
from api.screens import Drawing
from jobs.metrics import STEP, Curves
from jobs.repository import Repository

_NEWS_POINTS: Final = 200
"""Of each stage and each drawing; more cannot be told apart in a second."""


class News(Body):
    """Points of curves, for whoever has those before them."""

    attempt: int
    """Another one than before has told, or will tell, some steps again: read them all."""
    after: dict[str, int]
    """The steps up to which everything is known already, by stage."""
    stages: dict[str, StageMetrics]


class Drawer:
    """Draws one job again and again, and knows what it has told already."""

    def __init__(self, visit: Visit, job_id: str) -> None:
        """Draw the job as `visit` sees it, which is as everybody does who may see it."""
        self._visit = visit
        self._job_id = job_id
        self._attempt: int | None = None
        self._reached: dict[str, int] = {}

    def __call__(self) -> Drawing:
        """Draw it as it is now.

        Raises:
            JobNotFound: it has been deleted.
        """
        with self._visit.reading() as repository:
            told = told_of(self._visit.house, repository, self._job_id, names=LIVE)
            is_same = told.job.attempt == self._attempt
            news = self._news(repository, told.job.attempt)
        place = News(attempt=told.job.attempt, after=self._reached, stages={})
        return Drawing(
            parts={name: str(part) for name, part in parts_of(self._visit, told, LIVE).items()},
            news="" if is_same and not news.stages else news.model_dump_json(),
            place=place.model_dump_json(),
        )

    def _news(self, repository: Repository, attempt: int) -> News:
        """Read what was measured since the last drawing; of a new attempt, only how far it is."""
        is_new = attempt != self._attempt
        before = {} if is_new else self._reached
        if is_new:
            curves = repository.metrics(self._job_id, keys=["loss"], max_points=2)
        else:
            curves = repository.metrics(self._job_id, max_points=_NEWS_POINTS, after=before)
        self._attempt, self._reached = attempt, before | _last_steps(curves)
        stages = {} if is_new else views.stage_metrics(curves)
        return News(attempt=attempt, after=before, stages=stages)


def _last_steps(curves: Curves) -> dict[str, int]:
    return {
        stage: max(int(step) for step in series.columns[STEP] if step is not None)
        for stage, series in curves.stages.items()
    }
