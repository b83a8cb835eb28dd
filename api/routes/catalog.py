"""What can be asked for: methods, the axes that they stand on, architectures, data sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.answers import problems, send, unless_known
from api.entries import CatalogueEntry, catalogue
from api.problems import Problem
from api.schemas import ListBody

router = APIRouter(prefix="/v1", tags=["catalogue"])

PATHS: Final = {
    "methods": ("methods", "method", "What papers published: combinations on the axes."),
    "objectives": ("objectives", "objective", "Which knowledge is compared."),
    "temperatures": ("temperatures", "temperature", "How logits are softened."),
    "weightings": ("weightings", "weighting", "How much each sample counts."),
    "paths": ("paths", "path", "Who teaches whom."),
    "curricula": ("curricula", "curriculum", "In which order samples are met."),
    "architectures": ("models", "architecture", "Networks that can teach and learn."),
    "tasks": ("tasks", "task", "What networks are asked: classes, labels, numbers."),
    "data": ("datasets", "data", "Data that can be named in a spec."),
}
"""Path in the API -> axis of the catalogue, the word for one entry, what it is."""


def _lister(axis: str) -> Callable[[Request], Response]:
    def list_entries(request: Request) -> Response:
        body = ListBody[CatalogueEntry](data=list(catalogue(axis).values()))
        return unless_known(send(body), request.headers)

    return list_entries


def _getter(axis: str, word: str) -> Callable[[Request, str], Response]:
    def get_entry(request: Request, name: str) -> Response:
        entry = catalogue(axis).get(name)
        if entry is None:
            raise Problem(
                404,
                f"{word}_not_found",
                f"found the {word} {name[:80]!r}; expected one of {', '.join(catalogue(axis))}",
            )
        return unless_known(send(entry), request.headers)

    return get_entry


for _path, (_axis, _word, _what) in PATHS.items():
    router.add_api_route(
        f"/{_path}",
        _lister(_axis),
        operation_id=f"list_{_path}",
        summary=f"List {_path}",
        description=_what,
        response_model=ListBody[CatalogueEntry],
    )
    router.add_api_route(
        f"/{_path}/{{name}}",
        _getter(_axis, _word),
        operation_id=f"get_{_word}",
        summary=f"Get one {_word}",
        description=f"{_what} Formula, paper, needs, defaults and JSON Schema of one.",
        response_model=CatalogueEntry,
        responses=problems(404),
    )
