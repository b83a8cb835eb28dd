"""The shapes of what the API answers about uploads."""

from __future__ import annotations

from typing import Literal, TypedDict

InputKind = Literal["dataset", "model"]


class Input(TypedDict):
    """A file that was uploaded."""

    id: str
    object: InputKind
    name: str
    size_bytes: int
    sha256: str
    media_type: str
    reference: str
    """What a spec writes where it takes a path: `dataset:ds_…` or `model:mdl_…`."""
    created_at: str
    created_by: str | None


class InputPage(TypedDict):
    """One page of them."""

    object: Literal["list"]
    data: list[Input]
    has_more: bool
    next_cursor: str | None
