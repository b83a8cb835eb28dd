"""What a client posts for a fine-tuning job, in OpenAI's form."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from api.checks import Sent

_THEIRS: Final = ("supervised", "dpo", "reinforcement")
_WANTED: Final = (
    "ask for a student of a teacher: method={'type': 'distillation', 'distillation': {'teacher':"
    " …}}; GET /v1/methods lists methods"
)
_EXAMPLE: Final[dict[str, JsonValue]] = {
    "model": "mlp",
    "training_file": "digits",
    "method": {"type": "distillation", "distillation": {"teacher": "plain_cnn", "method": "dkd"}},
    "hyperparameters": {"n_epochs": 5},
    "suffix": "digits-small",
}


class Hyperparameters(Sent):
    """How the student is trained; `auto` is what the service does by itself."""

    n_epochs: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    batch_size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    learning_rate_multiplier: (
        Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["auto"]
    ) = "auto"
    """Of the learning rate that the spec says, or else of the default one."""


class Distillation(BaseModel):
    """Fields of a spec, as `POST /v1/jobs` takes them, but for those that stand beside `method`."""

    model_config = ConfigDict(extra="allow", strict=True, use_attribute_docstrings=True)

    hyperparameters: Hyperparameters | None = None


class AskedMethod(Sent):
    """Who teaches, and how."""

    type: Literal["distillation"]
    distillation: Distillation

    @model_validator(mode="before")
    @classmethod
    def _is_ours(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        fields = cast("dict[str, Any]", document)
        if (kind := fields.get("type")) in _THEIRS:
            raise PydanticCustomError(
                "method_not_supported",
                "found the method type {kind}; expected 'distillation'",
                {"kind": repr(kind), "pointer": "/method/type", "hint": _WANTED},
            )
        return fields


class NewFineTuningJob(BaseModel):
    """A fine-tuning job that is not stored yet; further fields are those of a spec."""

    model_config = ConfigDict(
        extra="allow",
        strict=True,
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [_EXAMPLE]},
    )

    model: Annotated[str, Field(min_length=1, max_length=200)]
    """The student: an architecture by its name, or `job:job_…` for an earlier job's student."""
    training_file: Annotated[str, Field(min_length=1, max_length=200)]
    """Id of an uploaded data set, or the name of one that needs no file, such as `digits`."""
    method: AskedMethod
    validation_file: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Id of an uploaded data set that is held out: the data's `test_path`, or where that is given
    its `validation_path`."""
    hyperparameters: Hyperparameters | None = None
    seed: int | None = None
    """The one seed to run; without it `seeds` of the spec, or 0."""
    suffix: str | None = None
    """The job's name."""
    metadata: dict[str, str] | None = None
    """The job's labels."""
    integrations: Annotated[list[JsonValue], Field(max_length=0)] | None = None
    """None are there."""

    @model_validator(mode="before")
    @classmethod
    def _can_be_meant(cls, document: Any) -> Any:
        if not isinstance(document, dict):
            return document
        fields = cast("dict[str, Any]", document)
        if fields.get("method") is None:
            raise PydanticCustomError(
                "method_missing",
                "found no method; expected one of the type 'distillation'",
                {"pointer": "/method", "hint": _WANTED},
            )
        if fields.get("integrations"):
            raise PydanticCustomError(
                "integrations_not_supported",
                "found integrations; expected none",
                {
                    "pointer": "/integrations",
                    "hint": "events, curves and files can be had of this API: GET /v1/jobs/{id}",
                },
            )
        return fields
