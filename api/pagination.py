"""Opaque cursors: where a page ends, in a form that clients hand back and cannot take apart."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from api.problems import PayloadProblem
from api.schemas import FieldError

_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
_VERSION: Final = "1"


def encode(kind: str, position: str) -> str:
    """Return the cursor that stands for `position` in lists of this kind."""
    text = f"{_VERSION}:{kind}:{position}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(kind: str, cursor: str, shape: re.Pattern[str]) -> str:
    """Return the position in a cursor that `encode` made for lists of this kind.

    Raises:
        PayloadProblem: the cursor is not one of ours, or its position has not the given shape.
    """
    if _SHAPE.fullmatch(cursor):
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            version, found, position = (
                base64.urlsafe_b64decode(padded).decode("ascii").split(":", 2)
            )
        except (binascii.Error, UnicodeDecodeError, ValueError):
            pass
        else:
            if (version, found) == (_VERSION, kind) and shape.fullmatch(position):
                return position
    raise PayloadProblem(
        [
            FieldError(
                pointer="",
                parameter="after",
                code="invalid_cursor",
                message=f"query parameter after: {cursor[:40]!r} is not a cursor of this list",
                hint="leave `after` out for the first page, then pass `next_cursor` as it came",
            )
        ],
        code="invalid_cursor",
    )
