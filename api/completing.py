"""The end of an upload in parts: put together, looked through, and noted, or given up."""

from __future__ import annotations

from typing import cast

from starlette.responses import Response

from api.answers import send
from api.dependencies import Visit
from api.inputs import input_of
from api.keeping import PREFIXES, place_of, take, told
from jobs import tables
from jobs.assembly import PartDamaged, assemble
from jobs.formats import InputKind, format_of
from jobs.ids import new_id
from jobs.input_errors import ContentRefused, UploadIncomplete
from jobs.receiving import Announced, Place, Reception
from jobs.uploads import require_whole


def complete(visit: Visit, upload_id: str) -> Response:
    """Make a dataset or a model of an upload; what it became before is told again.

    Raises:
        UploadNotFound: there is none.
        UploadIncomplete: parts are missing or damaged, and are to be sent.
        ContentRefused: the whole is not what it should be; the upload is given up.
        TooLarge: it is more than a file may have.
        StoreFull: there is no room.
        StoreUnavailable: the store is away.
    """
    with visit.reading() as repository:
        upload, parts = repository.upload(upload_id), repository.parts(upload_id)
    if upload.input_id is not None:
        return _known(visit, upload)
    require_whole(upload, parts)
    with visit.changing() as repository:
        # While it is put together it is not left alone.
        repository.renew_upload(upload_id, visit.settings.upload_seconds)
    kind = cast("InputKind", upload.kind)
    claimed = format_of(kind, upload.name)
    input_id = new_id(PREFIXES[kind])
    reception = Reception(
        visit.store,
        Place(input_id, upload.name),
        most_bytes=visit.settings.upload_bytes,
        announced=Announced(upload.size_bytes, upload.sha256),
        claimed=claimed,
    )
    try:
        received = assemble(visit.store, reception, parts, claimed.media_type)
        row, is_new = take(visit, kind, upload.name, input_id, received, upload)
        return told(row, is_new=is_new)
    except PartDamaged as error:
        with visit.changing() as repository:
            upload = repository.upload(upload_id)
            if upload.input_id is None:
                repository.drop_part(upload_id, error.number)
        if upload.input_id is not None:
            # Somebody else completed it at the same time, and its parts went.
            return _known(visit, upload)
        raise UploadIncomplete(upload_id, [error.number], "has a damaged") from None
    except ContentRefused:
        with visit.changing() as repository:
            repository.drop_upload(upload_id)
        raise


def _known(visit: Visit, upload: tables.Upload) -> Response:
    with visit.reading() as repository:
        row = repository.input(upload.kind, str(upload.input_id))
        body = input_of(row)
    return send(body, headers=place_of(row))
