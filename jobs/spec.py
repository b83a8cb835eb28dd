"""What a client posts: a recipe, plus what a service needs to run it for somebody."""

import math
from collections.abc import Iterator
from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Self, cast

from pydantic import Field, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from kdcore.recipe import Recipe

MAX_DEPTH = 32
MAX_LABELS = 16

LabelKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$")]
LabelValue = Annotated[str, Field(max_length=256)]


class JobSpec(Recipe):
    """A recipe with labels, a priority and limits."""

    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=MAX_LABELS)] = {}
    """Words to find the job by."""
    priority: Annotated[int, Field(ge=0, le=100)] = 50
    """Higher is claimed first."""
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """Attempts that may crash or be lost before the job fails."""
    max_runtime_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """Time that all attempts together may run; none is no limit."""

    @model_validator(mode="before")
    @classmethod
    def _can_be_stored(cls, document: Any) -> Any:
        """Refuse what no database keeps faithfully, before any field reads it."""
        problems = list(_unstorable(document))
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        return document

    @model_validator(mode="after")
    def _reads_only_inputs(self) -> Self:
        """Refuse paths that lead out of the inputs folder."""
        named = {
            "/data/path": getattr(self.data, "path", None),
            "/teacher/weights": self.teacher.weights,
        }
        for pointer, path in named.items():
            if isinstance(path, str) and _leads_out(path):
                raise PydanticCustomError(
                    "path_outside_inputs",
                    "found the path {path}; expected a relative path inside the inputs folder",
                    {"pointer": pointer, "path": repr(path)},
                )
        return self

    def recipe(self) -> Recipe:
        """Return the run alone, without what the service adds."""
        return Recipe.model_validate(self.model_dump(mode="json", include=set(Recipe.model_fields)))


def _leads_out(path: str) -> bool:
    # Windows separators and drives count on every system: the file may be opened elsewhere.
    parts = {*PurePosixPath(path).parts, *PureWindowsPath(path).parts}
    return path.startswith(("/", "\\", "~")) or ".." in parts or ":" in path


def _unstorable(document: object) -> Iterator[InitErrorDetails]:
    """Walk without recursion: a hostile document must not exhaust the stack."""
    waiting: list[tuple[tuple[int | str, ...], object]] = [((), document)]
    while waiting:
        place, value = waiting.pop()
        if len(place) > MAX_DEPTH:
            error = PydanticCustomError(
                "too_deep",
                "found more than {limit} levels; expected a flatter document",
                {"limit": MAX_DEPTH},
            )
            yield InitErrorDetails(type=error, loc=place[:1], input=None)
            return
        if isinstance(value, dict):
            fields = cast("dict[object, object]", value)
            waiting += [((*place, str(key)), inner) for key, inner in fields.items()]
            waiting += [(place, key) for key in fields if isinstance(key, str)]
        elif isinstance(value, list):
            items = cast("list[object]", value)
            waiting += [((*place, index), inner) for index, inner in enumerate(items)]
        elif isinstance(value, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value):
            error = PydanticCustomError(
                "text_not_storable",
                "found a NUL character or half a surrogate pair; expected plain Unicode text",
            )
            yield InitErrorDetails(type=error, loc=_printable(place), input=ascii(value))
        elif isinstance(value, float) and not math.isfinite(value):
            error = PydanticCustomError(
                "finite_number", "found {value}; expected a finite number", {"value": str(value)}
            )
            yield InitErrorDetails(type=error, loc=place, input=None)


def _printable(place: tuple[int | str, ...]) -> tuple[int | str, ...]:
    # The place itself may be made of the very text that cannot be stored.
    return tuple(part if isinstance(part, int) else ascii(part)[1:-1] for part in place)
