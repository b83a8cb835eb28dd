"""API keys: made, listed, revoked; and who one is with the key that one has."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.responses import Response

from api.answers import NO_STORE, problems, send
from api.checks import Sent, body_schema, checked
from api.dependencies import AdminLedger, Ledger, SentBody
from api.schemas import Body, ListBody
from jobs import tables
from jobs.keys import Scope
from jobs.spec import ProjectName

router = APIRouter(prefix="/v1", tags=["access"])

ScopeName = Literal["read", "write", "admin"]
KeyId = Annotated[str, Path(pattern="^[0-9a-f]{12}$", examples=["4f1c0a9b3d27"])]


class NewKeyBody(Sent):
    """What a new key is to be."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """Whose it is, or what for."""
    scope: ScopeName = "write"
    """`read` looks, `write` submits and changes jobs, `admin` makes keys; each includes those
    before it."""
    project: ProjectName | None = None
    """Its project; without it the one that the request is about."""
    house: bool = False
    """Opens every project; only a key of the house can make such a one."""
    expires_in_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    """Valid for so many days; for ever without."""


class Key(Body):
    """An API key, without what opens doors."""

    id: str
    object: Literal["key"] = "key"
    name: str
    scope: ScopeName
    project: str | None
    """None is a key of the house, which opens every project."""
    created_at: datetime
    created_by: str | None
    """Id of the key that made it."""
    expires_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""
    revoked_at: datetime | None


class CreatedKey(Key):
    """An API key at the only moment at which it is told."""

    key: str
    """Send it as `Authorization: Bearer …`. It is kept nowhere: whoever loses it makes another."""


class Me(Body):
    """Who asks, as the door sees them."""

    project: str
    """The project that requests are about."""
    scope: ScopeName
    house: bool
    """Whether every project is open, by the header Stillhouse-Project."""
    key_id: str | None
    """None where nobody is asked for a key."""


@router.get("/me", operation_id="get_me", response_model=Me, responses=problems(404))
def get_me(visit: Ledger) -> Response:
    """Say who one is: the project, the scope and the key's id."""
    caller = visit.caller
    body = Me(
        project=caller.project,
        scope=caller.scope.value,
        house=caller.is_house,
        key_id=caller.author.key_id,
    )
    return send(body, headers=NO_STORE)


@router.post(
    "/keys",
    operation_id="create_key",
    status_code=201,
    response_model=CreatedKey,
    openapi_extra={"requestBody": body_schema(NewKeyBody)},
    responses=problems(404, 413, 415, 422),
)
def create_key(visit: AdminLedger, body: SentBody) -> Response:
    """Make a key; its text is in this answer and nowhere else."""
    wanted = checked(NewKeyBody, body.document())
    caller = visit.caller
    project = None if wanted.house else wanted.project or caller.project
    if project != caller.project:
        caller.require_house()
    with visit.changing() as repository:
        row, made = repository.add_key(
            wanted.name,
            Scope(wanted.scope),
            project=project,
            days=wanted.expires_in_days,
            created_by=caller.author.key_id,
        )
        told = {"name": wanted.name, "scope": wanted.scope}
        repository.note(caller.author, "key.create", row.id, project=project, details=told)
    visit.house.locks.forget(row.id)
    created = CreatedKey.model_validate({**_key(row).model_dump(), "key": made.text})
    return send(created, 201, headers=NO_STORE)


@router.get(
    "/keys", operation_id="list_keys", response_model=ListBody[Key], responses=problems(404)
)
def list_keys(visit: AdminLedger) -> Response:
    """Return the keys of the project, or with a key of the house all of them, the newest first."""
    with visit.overseeing() as repository:
        rows = repository.api_keys()
    return send(ListBody[Key](data=[_key(row) for row in rows]), headers=NO_STORE)


@router.delete(
    "/keys/{key_id}",
    operation_id="revoke_key",
    response_model=Key,
    responses=problems(404, 422),
)
def revoke_key(visit: AdminLedger, key_id: KeyId) -> Response:
    """Have a key open nothing any more, within a second; again changes nothing."""
    with visit.changing() as repository:
        row = repository.revoke(key_id)
        repository.note(visit.caller.author, "key.revoke", key_id, project=row.project)
    visit.house.locks.forget(key_id)
    return send(_key(row), headers=NO_STORE)


def _key(row: tables.ApiKey) -> Key:
    return Key.model_validate(row, from_attributes=True)
