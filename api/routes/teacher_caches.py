"""What teachers said, kept for all jobs: listed, pinned, removed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from api.answers import problems, send, unless_known
from api.caches import TeacherCache, TeacherCacheList
from api.checks import body_schema, checked
from api.dependencies import HouseLedger, SentBody
from api.problems import Problem
from kdcore.teacher_cache.about import Listed
from kdcore.teacher_cache.shelf import Shelf

router = APIRouter(prefix="/v1/teacher-caches", tags=["teacher caches"])

_KEY = r"^[0-9a-f]{32}$"
Key = Annotated[str, Path(pattern=_KEY, examples=["1b8e10c36fd1cae76d7ef59337cd0a6d"])]


class Pin(BaseModel):
    """Whether a cache stays, whatever the budget."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    pinned: bool
    """A pinned cache neither makes room for others nor can it be removed."""


def _shelf(visit: HouseLedger) -> Shelf:
    settings = visit.settings
    return Shelf(settings.teacher_caches, settings.teacher_cache_bytes)


Caches = Annotated[Shelf, Depends(_shelf)]


@router.get(
    "", operation_id="list_teacher_caches", response_model=TeacherCacheList, responses=problems()
)
def list_teacher_caches(request: Request, shelf: Caches) -> Response:
    """Return every cache, the last used first, and how much room there is."""
    caches = [_told(listed) for listed in shelf.listed()]
    body = TeacherCacheList(
        data=caches,
        bytes=sum(cache.bytes for cache in caches),
        budget_bytes=shelf.budget_bytes,
    )
    return unless_known(send(body), request.headers)


@router.get(
    "/{key}",
    operation_id="get_teacher_cache",
    response_model=TeacherCache,
    responses=problems(404, 422),
)
def get_teacher_cache(request: Request, shelf: Caches, key: Key) -> Response:
    """Return one cache: whose answers, about which data, in which views."""
    return unless_known(send(_told(_found(shelf, key))), request.headers)


@router.patch(
    "/{key}",
    operation_id="pin_teacher_cache",
    response_model=TeacherCache,
    openapi_extra={"requestBody": body_schema(Pin, required=True)},
    responses=problems(404, 415, 422),
)
def pin_teacher_cache(shelf: Caches, key: Key, body: SentBody) -> Response:
    """Keep a cache whatever the budget, or no longer."""
    wanted = checked(Pin, body.document())
    _found(shelf, key)
    shelf.cache(key).pin(pinned=wanted.pinned)
    return send(_told(_found(shelf, key)))


@router.delete(
    "/{key}",
    operation_id="remove_teacher_cache",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "It is gone."}} | problems(404, 409, 422),
)
def remove_teacher_cache(shelf: Caches, key: Key) -> Response:
    """Remove a cache; jobs that need it write it anew. One that a job reads is not removed."""
    _found(shelf, key)
    shelf.remove(key)
    return Response(status_code=204)


def _found(shelf: Shelf, key: str) -> Listed:
    listed = shelf.cache(key).listed()
    if listed is None:
        raise Problem(
            404,
            "teacher_cache_not_found",
            f"there is no teacher cache {key}",
            hint="GET /v1/teacher-caches lists them",
        )
    return listed


def _told(listed: Listed) -> TeacherCache:
    about = listed.about.model_dump(exclude={"model", "format"})
    return TeacherCache.model_validate({**listed.model_dump(exclude={"about"}), **about})
