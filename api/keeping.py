"""What both ways to upload have in common: limits beforehand, and the row at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.answers import send
from api.dependencies import Visit
from api.inputs import input_of
from api.receiving import receive
from jobs import tables
from jobs.formats import InputKind, format_of
from jobs.ids import new_id
from jobs.input_errors import ContentRefused, TooLarge, UploadNotFound
from jobs.inputs import Brought
from jobs.inspection import look_through
from jobs.receiving import Announced, Place, Received, Reception

PREFIXES: Final[dict[InputKind, str]] = {"dataset": "ds", "model": "mdl"}
"""What ids of each kind begin with."""


def require_fitting(visit: Visit, size_bytes: int | None) -> None:
    """Refuse a file that is too large, as far as its size is known beforehand.

    Raises:
        TooLarge: it is.
    """
    most = visit.settings.upload_bytes
    if size_bytes is not None and size_bytes > most:
        raise TooLarge(
            f"found {size_bytes:,} bytes; expected at most {most:,}",
            hint="have STILLHOUSE_UPLOAD_BYTES raised, or bring less",
        )
    if visit.settings.stored_bytes is not None:
        with visit.reading() as repository:
            repository.require_storage(size_bytes or 0, visit.settings.stored_bytes)


async def bring(
    visit: Visit, kind: InputKind, name: str, body: AsyncIterator[bytes], announced: Announced
) -> tuple[tables.Input, bool]:
    """Take in a file that comes in one go; return its row, and whether its content is new.

    Raises what `receive` and `take` raise, and:

    Raises:
        FormatRefused: files of this kind are not taken in the format that the name tells.
    """
    claimed = format_of(kind, name)
    await run_in_threadpool(require_fitting, visit, announced.size_bytes)
    input_id = new_id(PREFIXES[kind])
    begin = partial(
        Reception,
        visit.store,
        Place(input_id, name),
        most_bytes=visit.settings.upload_bytes,
        announced=announced,
        claimed=claimed,
    )
    received = await receive(body, begin, claimed.media_type)
    return await run_in_threadpool(take, visit, kind, name, input_id, received)


def take(  # noqa: PLR0913, PLR0917 - all that the row will say
    visit: Visit,
    kind: InputKind,
    name: str,
    input_id: str,
    received: Received,
    upload: tables.Upload | None = None,
) -> tuple[tables.Input, bool]:
    """Look through what lies in the store, and note it; with it an upload in parts is complete.

    Should the noting fail, a collector finds the file. It is not removed here: the answer to a
    commit may be lost, and the row be there.

    Raises:
        ContentRefused: its format is not kept to the end; the file is removed.
        TooLarge: the project may not keep so much; the file is removed.
        UploadNotFound: the upload was given up meanwhile; the file is removed.
    """
    caller = visit.caller
    claimed = format_of(kind, name)
    brought = Brought(input_id, kind, name, claimed.media_type, received, caller.author.key_id)
    try:
        look_through(visit.store, received, kind, claimed, name)
        if upload is None:
            require_fitting(visit, received.size_bytes)
    except (ContentRefused, TooLarge):
        visit.store.delete(received.location)
        raise
    try:
        with visit.changing() as repository:
            if upload is None:
                row, is_new = repository.keep_input(caller.project, brought)
            else:
                row, is_new = repository.finish_upload(upload, brought)
            details = {"name": name, "size_bytes": received.size_bytes, "new": is_new}
            action = f"{kind}.upload"
            repository.note(caller.author, action, row.id, project=caller.project, details=details)
    except UploadNotFound:
        visit.store.delete(received.location)
        raise
    return row, is_new


def told(row: tables.Input, *, is_new: bool) -> Response:
    """Return the answer that tells a dataset or a model to whoever has brought it."""
    return send(input_of(row), 201 if is_new else 200, headers=place_of(row))


def place_of(row: tables.Input) -> dict[str, str]:
    """Return the header that says where a dataset or a model is."""
    return {"Location": f"/v1/{row.kind}s/{row.id}"}
