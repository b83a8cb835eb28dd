"""A job's course at a glance: the student's score while it learned, and the baseline's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from api.pages import charts
from api.remembering import Drawings
from api.schemas import JobSummary
from jobs.repository import Repository

_WIDTH: Final = 88
_HEIGHT: Final = 22
_POINTS: Final = 40
_ROLES: Final = ("baseline", "student")


def sparklines(
    drawings: Drawings, repository: Repository, jobs: Sequence[JobSummary]
) -> dict[str, Markup | None]:
    """Return the course of each job that has a curve to show; a running one's, as its percent."""
    return {
        job.id: drawings.of(_state(job), lambda job=job: _drawn(repository, job.id))
        for job in jobs
        if job.attempt
    }


def _state(job: JobSummary) -> tuple[str | int, ...]:
    """Return what a course is drawn anew for: boards are looked at every two seconds."""
    percent = job.progress.percent if job.progress else None
    return ("course", job.id, job.attempt, job.status, int(percent or 0))


def _drawn(repository: Repository, job_id: str) -> Markup | None:
    stages = repository.metrics(job_id, keys=charts.SCORES, max_points=_POINTS).stages
    curves = [curve for metric in charts.SCORES for curve in charts.curves(stages, metric)]
    return spark([curve for curve in curves if curve.role in _ROLES])


def spark(curves: Sequence[charts.Curve]) -> Markup | None:
    """Draw curves without axes; None where there is no line yet."""
    lines = [curve for curve in curves if len(curve.xs) > 1]
    if not lines:
        return None
    last = max(curve.xs[-1] for curve in lines)
    low = min(min(curve.means) for curve in lines)
    spread = max(max(max(curve.means) for curve in lines) - low, 1e-9)
    across, high = _WIDTH - 4, _HEIGHT - 4
    drawn: list[str] = []
    for curve in lines:
        points = " ".join(
            f"{2 + across * x / (last or 1):.1f},{2 + high * (1 - (y - low) / spread):.1f}"
            for x, y in zip(curve.xs, curve.means, strict=True)
        )
        drawn.append(f'<polyline class="line {curve.role}" points="{points}"/>')
    told = "; ".join(
        f"{charts.ROLES[curve.role]} {curve.means[0]:.3g} to {curve.means[-1]:.3g}"
        for curve in lines
    )
    return Markup(  # noqa: S704  # numbers and words of ours
        f'<svg class="spark" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{told}">'
        f"{''.join(drawn)}</svg>"
    )
