"""What a `spec.lock` holds beside its recipe: all that must be alike for the same weights."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kdcore.entry import Record

_Name = Annotated[str, Field(max_length=1024)]
_Question = Annotated[str, Field(max_length=65_536)]
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Lock(Record):
    """What a run was made with, so that another one makes the same: written by the engine."""

    versions: Annotated[dict[_Name, _Name], Field(max_length=100)]
    """Of Python and of the libraries that compute."""
    digests: Annotated[dict[_Name, _Digest], Field(max_length=100)]
    """sha256 of the `recipe`, the `data`, the teacher's `weights` and other files."""
    device: Literal["cpu", "cuda"]
    processor: _Name
    """Another one may round otherwise: that is warned of, and the weights are compared."""
    threads: Annotated[int, Field(ge=1, le=1024)]
    """CPU threads, which the run begins with again."""
    choices: Annotated[dict[_Question, _Name], Field(max_length=10_000)] = {}
    """What was measured and decided on the way, such as the numbers that networks multiply in."""
    weights: Annotated[dict[_Name, _Digest], Field(max_length=10_000)] = {}
    """sha256 of the weights of every training, by stage."""
    differences: Literal["refuse", "warn"] = "refuse"
    """What is done where versions, digests, device or threads are others."""
