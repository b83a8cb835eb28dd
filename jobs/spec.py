"""What a client posts: a recipe, plus what a service needs to run it for somebody."""

from functools import cached_property
from typing import Annotated, Any, Final, LiteralString, Self, cast

from pydantic import Field, ValidationInfo, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from jobs.documents import DocumentTooLarge, Flaw, find_flaws
from jobs.projects import PROJECT_NAME
from jobs.references import Named, references_of
from jobs.tenants import DEFAULT_QUEUE
from kdcore.entry import Record
from kdcore.extent import Extent, extent_of
from kdcore.recipe import Recipe

MAX_LABELS = 16

LOOKED_THROUGH: Final = object()
"""Context of a validation whose caller has found no flaws in the document already."""

ProjectName = Annotated[str, Field(pattern=PROJECT_NAME.pattern)]
QueueName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
LabelKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$")]
LabelValue = Annotated[str, Field(max_length=256)]
RuntimeLimit = Annotated[int, Field(ge=1, le=31_536_000)]


class Resources(Record):
    """What the job takes of the machine that it runs on."""

    gpus: Annotated[int, Field(ge=0, le=64)] | None = None
    """GPUs that share each step, which has a batch of per_device_train_batch_size for each of them;
    0 stays on the CPU. It writes `runtime.device` and `runtime.processes`, and where it is not
    given these stand for themselves."""
    queue: QueueName = DEFAULT_QUEUE
    """Only workers that look into this queue take the job; see STILLHOUSE_QUEUES."""

    def runtime(self) -> dict[str, Any]:
        """Return what it says of the recipe's runtime."""
        if self.gpus is None:
            return {}
        return {"device": "cuda", "processes": self.gpus} if self.gpus else {"device": "cpu"}


class JobSpec(Recipe):
    """A recipe with labels, a priority and limits."""

    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=MAX_LABELS)] = {}
    """Words to find the job by."""
    priority: Annotated[int, Field(ge=0, le=100)] = 50
    """Higher is claimed first."""
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """Attempts that may crash or be lost before the job fails."""
    max_runtime_seconds: RuntimeLimit | None = None
    """Time that all attempts together may run; none is no limit."""
    resources: Resources = Resources()
    """What the job takes of the machine."""

    @cached_property
    def extent(self) -> Extent:
        """How large the run is."""
        return extent_of(self)

    @cached_property
    def references(self) -> tuple[Named, ...]:
        """The uploaded files that it names."""
        return references_of(self)

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

    @model_validator(mode="before")
    @classmethod
    def _write_runtime(cls, document: Any) -> Any:
        """Let the resources write what the recipe leaves open."""
        if not isinstance(document, dict):
            return document
        fields = cast("dict[str, Any]", document)
        runtime = fields.get("runtime", {})
        try:
            written = Resources.model_validate(fields.get("resources", {})).runtime()
        except ValidationError:
            return fields  # the field itself reports it
        if not written or not isinstance(runtime, dict):
            return fields
        return {**fields, "runtime": {**written, **cast("dict[str, Any]", runtime)}}

    @model_validator(mode="after")
    def _runtime_agrees(self) -> Self:
        written = self.resources.runtime()
        for field, wanted in written.items():
            if (found := getattr(self.runtime, field)) != wanted:
                raise PydanticCustomError(
                    "resources",
                    "found resources.gpus {gpus} and runtime.{field} {found}; expected {wanted}",
                    {
                        "gpus": self.resources.gpus,
                        "field": field,
                        "found": found,
                        "wanted": wanted,
                        "pointer": f"/runtime/{field}",
                        "hint": "leave one of them out",
                    },
                )
        return self

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
