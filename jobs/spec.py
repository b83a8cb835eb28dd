"""What a client posts: a recipe, plus what a service needs to run it for somebody."""

from typing import Annotated, Any, Final, LiteralString, cast

from pydantic import Field, ValidationInfo, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from jobs.documents import DocumentTooLarge, Flaw, find_flaws
from kdcore.recipe import Recipe

MAX_LABELS = 16

LOOKED_THROUGH: Final = object()
"""Context of a validation whose caller has found no flaws in the document already."""

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
    def _can_be_stored(cls, document: Any, info: ValidationInfo) -> Any:
        """Refuse what no database keeps faithfully, before any field reads it."""
        if info.context is LOOKED_THROUGH:
            return document
        if flaws := _unstorable(document):
            details = [_detail(flaw) for flaw in flaws]
            raise ValidationError.from_exception_data(cls.__name__, details)
        return document

    def recipe(self) -> Recipe:
        """Return the run alone, without what the service adds."""
        return Recipe.model_validate(self.model_dump(mode="json", include=set(Recipe.model_fields)))


def _unstorable(document: object) -> list[Flaw]:
    try:
        return list(find_flaws(document))
    except DocumentTooLarge as error:
        return [Flaw(error.code, str(error))]


def _detail(flaw: Flaw) -> InitErrorDetails:
    # No template of ours: the text may hold braces, and stands for itself.
    code, text = cast("LiteralString", flaw.code), cast("LiteralString", flaw.message)
    return InitErrorDetails(type=PydanticCustomError(code, text), loc=flaw.path, input=None)
