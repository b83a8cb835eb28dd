"""What a recipe says of the teacher cache: whether what teachers say is kept, and in what form."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from kdcore.entry import Record

Stored: TypeAlias = Literal["float16", "bfloat16", "float32"]


class Caching(Record):
    """What a frozen teacher says of a training image is computed once, and kept for every job."""

    use: Literal["auto", "always", "never"] = "auto"
    """auto keeps answers where the run that makes them is not slower for it; always keeps them for
    later runs as well; never asks the teacher in every step."""
    dtype: Stored = "float16"
    """How the numbers are kept. float32 trains the very same student as a teacher that is asked."""
    top_k: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """Keep so many of the highest logits; all others then share equally what is left of the
    probability. For data with very many classes."""
    features: bool = True
    """Also keep the feature maps that the objectives read, as far as the disk budget allows."""
