"""The site: all pages under one router."""

from __future__ import annotations

from fastapi import APIRouter

from api.pages import (
    board,
    compare,
    inputs,
    job,
    login,
    looks,
    methods,
    new,
    sweeps,
    tradeoff,
    verbs,
    workers,
)

router = APIRouter()
_PAGES = (board, verbs, job, new, sweeps, tradeoff, compare, inputs, looks, methods, workers, login)
for _page in _PAGES:
    router.include_router(_page.router)
