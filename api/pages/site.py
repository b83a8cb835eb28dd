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
    webhooks,
    workers,
)

router = APIRouter()
for _page in (
    board,
    verbs,
    job,
    new,
    sweeps,
    tradeoff,
    compare,
    inputs,
    looks,
    methods,
    workers,
    webhooks,
    login,
):
    router.include_router(_page.router)
