"""The shapes of what the API answers about looks at data, models and specs."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class InspectionFailure(TypedDict):
    """Why nothing could be found out."""

    code: str
    message: str
    hint: str | None


class Inspection(TypedDict):
    """One look of a worker."""

    id: str
    kind: Literal["dataset_report", "model_layers", "preflight"]
    state: Literal["queued", "running", "done", "failed"]
    result: dict[str, Any] | None
    """What was found, once it is done."""
    failure: InspectionFailure | None
    seconds: dict[str, float] | None
    """Of a preflight that is done: `lowest`, `median` and `highest`, as of earlier `jobs`."""
    created_at: str
    finished_at: str | None
