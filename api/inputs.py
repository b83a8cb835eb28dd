"""Files that clients bring, as clients see them: datasets, models, uploads in parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field

from api.checks import Sent
from api.schemas import Body
from jobs import tables
from jobs.artifacts import NAME
from jobs.formats import InputKind
from jobs.ids import DATASET_ID, MODEL_ID
from jobs.uploads import parts_of

INPUT_IDS: Final[dict[InputKind, re.Pattern[str]]] = {"dataset": DATASET_ID, "model": MODEL_ID}
InputName = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Input(Body):
    """A file that was uploaded: a dataset or a model."""

    id: str
    object: InputKind
    name: str
    size_bytes: int
    sha256: str
    media_type: str
    reference: str
    """What a spec writes where it takes a path: `dataset:ds_…` or `model:mdl_…`."""
    created_at: datetime
    created_by: str | None
    """Id of the key that it was uploaded with."""


class NewUpload(Sent):
    """What is going to be uploaded in parts."""

    kind: InputKind
    name: InputName
    """Its suffix says the format."""
    size_bytes: Annotated[int, Field(ge=1)]
    sha256: Sha256 | None = None
    """Of the whole file. With it, an upload that was begun before is gone on with."""


class Part(Body):
    """A part that has arrived whole."""

    number: int
    size_bytes: int
    sha256: str


class Upload(Body):
    """A file on its way in parts."""

    id: str
    object: Literal["upload"] = "upload"
    kind: InputKind
    name: str
    size_bytes: int
    sha256: str | None
    part_bytes: int
    """Size of every part but the last one, which has the rest."""
    parts: int
    """How many parts there are in all, numbered from 1."""
    received: list[Part]
    created_at: datetime
    expires_at: datetime
    """When it is given up, unless another part comes before."""
    input_id: str | None
    """The dataset or model that it became, once it was completed."""


def input_of(row: tables.Input) -> Input:
    """Return what is told of a dataset or a model."""
    return Input.model_validate(
        {
            **{name: getattr(row, name) for name in _SHARED},
            "object": row.kind,
            "reference": f"{row.kind}:{row.id}",
        }
    )


def upload_of(row: tables.Upload, parts: Sequence[tables.UploadPart]) -> Upload:
    """Return what is told of an upload."""
    return Upload.model_validate(
        {
            **{name: getattr(row, name) for name in Upload.model_fields if name not in _MADE},
            "parts": parts_of(row),
            "received": [
                Part(number=part.number, size_bytes=part.size_bytes, sha256=part.sha256)
                for part in parts
            ],
        }
    )


_SHARED = [name for name in Input.model_fields if name not in {"object", "reference"}]
_MADE = {"object", "parts", "received"}
