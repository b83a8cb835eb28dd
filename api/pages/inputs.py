"""Datasets and models that were brought along, and how to bring more."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from api.dependencies import Ledger
from api.inputs import INPUT_IDS, input_of
from api.looking import read_as
from api.pages.rendering import page
from api.pagination import decode, encode
from jobs.formats import KINDS, TAKEN, InputKind

router = APIRouter(include_in_schema=False)

_LISTED: Final = 50
_WHAT: Final[dict[InputKind, str]] = {
    "dataset": "Data that jobs learn from: a zip of images, arrays, a table, texts and their"
    " tokenizer.",
    "model": "Networks that teach, or that students begin from: weights, ONNX files, a folder as a"
    " zip.",
}


def _add_page(kind: InputKind) -> None:
    def inputs_page(visit: Ledger, after: str | None = None) -> Response:
        before = decode(f"{kind}s", after, INPUT_IDS[kind]) if after else None
        with visit.reading() as repository:
            rows = repository.inputs(kind, limit=_LISTED + 1, before=before)
            found = [input_of(row) for row in rows[:_LISTED]]
        return page(
            "inputs.html",
            visit,
            kind=kind,
            looked_at={one.id for one in found if kind == "model" or read_as(one.name)},
            what=_WHAT[kind],
            found=found,
            suffixes=[f".{suffix}" for suffix in TAKEN[kind]],
            most_bytes=visit.settings.upload_bytes,
            older=encode(f"{kind}s", found[-1].id) if len(rows) > _LISTED else None,
        )

    router.add_api_route(f"/{kind}s", inputs_page, methods=["GET"])


for _kind in KINDS:
    _add_page(_kind)
