"""Sweeps: what is tried, and the leaderboard of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Path
from starlette.responses import RedirectResponse, Response

from api.bodies import Body
from api.dependencies import Ledger
from api.pages import scatter
from api.pages.rendering import page
from api.pagination import decode, encode
from api.routes.sweeps import cancel_sweep, found, resume_sweep
from api.sweeps import Place, place_of, sweep_of
from jobs.ids import SWEEP_ID

router = APIRouter(include_in_schema=False)

_LISTED: Final = 50
_PAIR: Final = 2
_Id = Annotated[str, Path()]


@router.get("/sweeps")
def sweeps_page(visit: Ledger, after: str | None = None) -> Response:
    """Show the sweeps, the newest first."""
    before = decode("sweeps", after, SWEEP_ID) if after else None
    with visit.reading() as repository:
        rows = repository.sweeps(limit=_LISTED + 1, before=before)
        standing = repository.standing([row.id for row in rows])
        sweeps = [sweep_of(row, standing[row.id]) for row in rows[:_LISTED]]
    older = encode("sweeps", sweeps[-1].id) if len(rows) > _LISTED else None
    return page("sweeps.html", visit, sweeps=sweeps, older=older)


@router.get("/sweeps/{sweep_id}")
def sweep_page(visit: Ledger, sweep_id: _Id) -> Response:
    """Show one sweep: its points, the best first, and where two objectives pull apart."""
    with visit.reading() as repository:
        row = found(repository, sweep_id)
        sweep = sweep_of(row, repository.standing([row.id])[row.id])
        places = [place_of(one) for one in repository.leaderboard(sweep_id)]
    varied = sorted({pointer for one in places for pointer in one.point})
    metrics = list(dict.fromkeys(name for one in places for name in one.values))
    return page(
        "sweep.html",
        visit,
        sweep=sweep,
        places=places,
        varied=varied,
        metrics=metrics,
        figure=_front(places, metrics) if len(metrics) >= _PAIR else None,
    )


@router.post("/sweeps/{sweep_id}/cancel")
def cancel(visit: Ledger, sweep_id: _Id) -> Response:
    """Cancel from the page's button, and show the sweep again."""
    cancel_sweep(visit, sweep_id, Body(b"", ""))
    return RedirectResponse(f"/sweeps/{sweep_id}", 303)


@router.post("/sweeps/{sweep_id}/resume")
def resume(visit: Ledger, sweep_id: _Id) -> Response:
    """Go on with a cancelled sweep from the page's button, and show it again."""
    bells = resume_sweep(visit, sweep_id, Body(b"", "")).background
    return RedirectResponse(f"/sweeps/{sweep_id}", 303, background=bells)


def _front(places: Sequence[Place], metrics: Sequence[str]) -> str | None:
    """Draw the first objective against the second one."""
    up, across = metrics[:_PAIR]
    dots = [
        scatter.Dot(
            x=x,
            y=y,
            kind="best" if one.on_front else "other",
            title=f"point {one.trial}",
            href=f"/jobs/{one.job}",
        )
        for one in places
        if one.job and (x := one.values.get(across)) is not None
        if (y := one.values.get(up)) is not None
    ]
    return scatter.draw(dots, x=across, y=up)
