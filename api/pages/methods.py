"""The catalogue, readable: methods, and the axes that they stand on."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from api.dependencies import Ledger
from api.entries import CatalogueEntry, catalogue
from api.pages.rendering import page
from api.problems import Problem
from api.routes.catalog import PATHS
from kdcore.examples import example_of
from kdcore.options import NEEDS, options

router = APIRouter(include_in_schema=False)

_AXES: Final = {axis: what for axis, _, what in PATHS.values()}
_NEEDS: Final = {**NEEDS, "needs_tokens": "transformers, such as text encoders"}


@router.get("/methods")
def methods_page(visit: Ledger) -> Response:
    """Show every entry of every axis."""
    axes = [(axis, what, list(catalogue(axis).values())) for axis, what in _AXES.items()]
    return page("methods.html", visit, axes=axes)


@router.get("/methods/{axis}/{name}")
def entry_page(visit: Ledger, axis: str, name: str) -> Response:
    """Show one entry: formula, options, needs, source."""
    entry = catalogue(axis).get(name) if axis in _AXES else None
    if entry is None:
        raise Problem(
            404,
            "entry_not_found",
            f"found {name[:80]!r} of {axis[:80]!r}; expected an entry of the catalogue",
            hint="the page of all methods lists them",
        )
    return page(
        "entry.html",
        visit,
        axis=axis,
        entry=entry,
        options=options(entry.json_schema),
        needs=_needs(entry),
        example=example_of(name) if axis == "methods" else None,
    )


def _needs(entry: CatalogueEntry) -> list[str]:
    told = [words for need, words in _NEEDS.items() if getattr(entry, need)]
    if (entry.smallest_batch or 1) > 1:
        told.append(f"a batch of {entry.smallest_batch} samples or more")
    return told
