"""From a fine-tuning job as it is asked for to a spec, and back from its faults to their places."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

from pydantic import JsonValue

from api.facade.asking import Hyperparameters, NewFineTuningJob
from api.facade.networks import called, network_of
from api.problems import PayloadProblem
from api.schemas import FieldError
from jobs.ids import DATASET_ID, JOB_ID, MODEL_ID
from kdcore.training import Training

DISTILLATION: Final = "/method/distillation"
_SINGLE: Final = frozenset({"/model", "/seed", "/suffix", "/training_file", "/validation_file"})
"""Places that stand for a part of the spec which has parts itself."""


class Draft:
    """A spec that is being put together; it knows where in the request each part stands."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.fields: dict[str, Any] = {}
        self.places: dict[str, str] = {}
        """Pointers into the request, by pointers into the spec."""

    def put(self, name: str, value: object, place: str) -> None:
        """Fill in a field.

        Raises:
            PayloadProblem: it stands elsewhere in the request already.
        """
        pointer = f"/{_escaped(name)}"
        if name in self.fields:
            raise twice(place, self.places[pointer])
        self.fields[name] = value
        self.places[pointer] = place

    def place_of(self, pointer: str) -> str:
        """Return where in the request a place of the spec stands."""
        for known in sorted(self.places, key=len, reverse=True):
            if pointer == known or pointer.startswith(f"{known}/"):
                place = self.places[known]
                return place if place in _SINGLE else place + pointer.removeprefix(known)
        return f"{DISTILLATION}{pointer}" if pointer else ""

    @contextmanager
    def blaming(self) -> Generator[None]:
        """Have faults of the spec point into the request.

        Raises:
            PayloadProblem: there are some.
        """
        try:
            yield
        except PayloadProblem as problem:
            errors = [
                one.model_copy(update={"pointer": self.place_of(one.pointer)})
                for one in problem.errors
            ]
            raise PayloadProblem(errors, code=problem.code) from None


def refused(pointer: str, code: str, message: str, hint: str | None = None) -> PayloadProblem:
    """Return the refusal of one place of a request."""
    error = FieldError(pointer=pointer, code=code, message=message, hint=hint)
    return PayloadProblem([error], code=code)


def twice(place: str, other: str) -> PayloadProblem:
    """Return the refusal of what is said in two places."""
    return refused(place, "given_twice", f"found the same beside {other}; expected it in one place")


def drafted(asked: NewFineTuningJob) -> Draft:
    """Return the spec that a request asks for, without its data.

    Raises:
        PayloadProblem: parts of the request contradict each other.
    """
    draft = Draft()
    for name, value in (asked.method.distillation.model_extra or {}).items():
        draft.put(name, referring(value), f"{DISTILLATION}/{_escaped(name)}")
    for name, value in (asked.model_extra or {}).items():
        draft.put(name, referring(value), f"/{_escaped(name)}")
    if asked.suffix is not None:
        draft.put("name", asked.suffix, "/suffix")
    if asked.metadata is not None:
        draft.put("labels", asked.metadata, "/metadata")
    if asked.seed is not None:
        draft.put("seeds", [asked.seed], "/seed")
    if "teacher" in draft.fields:
        draft.fields["teacher"] = network_of(draft.fields["teacher"])
    _student(draft, asked.model)
    _training(draft, asked)
    return draft


def _student(draft: Draft, model: str) -> None:
    if "student" not in draft.fields:
        draft.put("student", network_of(referring(model)), "/model")
        return
    draft.fields["student"] = network_of(draft.fields["student"])
    name = called(draft.fields["student"])
    if name != called(network_of(referring(model))):
        raise refused(
            "/model",
            "model_differs",
            f"found the model {model[:80]!r} and a student of the model {name[:80]!r}; expected"
            " the same name",
        )


def _training(draft: Draft, asked: NewFineTuningJob) -> None:
    own = asked.method.distillation.hyperparameters
    if own and asked.hyperparameters:
        raise twice("/hyperparameters", f"{DISTILLATION}/hyperparameters")
    wanted, place = own, f"{DISTILLATION}/hyperparameters"
    if asked.hyperparameters:
        wanted, place = asked.hyperparameters, "/hyperparameters"
    training = draft.fields.get("training", {})
    if wanted is None or not isinstance(training, dict):
        return
    written = _written(wanted, cast("dict[str, JsonValue]", training))
    for theirs, (ours, value) in written.items():
        if ours in training and theirs != "learning_rate_multiplier":
            raise twice(f"{place}/{theirs}", draft.place_of(f"/training/{ours}"))
        draft.places[f"/training/{ours}"] = f"{place}/{theirs}"
        training = {**cast("dict[str, JsonValue]", training), ours: value}
    if written:
        draft.fields["training"] = training
        draft.places.setdefault("/training", place)


def _written(
    wanted: Hyperparameters, training: Mapping[str, JsonValue]
) -> dict[str, tuple[str, JsonValue]]:
    """Return what hyperparameters write into a training."""
    written: dict[str, tuple[str, JsonValue]] = {}
    if wanted.n_epochs != "auto":
        written["n_epochs"] = "num_train_epochs", wanted.n_epochs
    if wanted.batch_size != "auto":
        written["batch_size"] = "per_device_train_batch_size", wanted.batch_size
    if wanted.learning_rate_multiplier != "auto":
        rate = training.get("learning_rate", Training().learning_rate)
        if isinstance(rate, int | float) and not isinstance(rate, bool):
            scaled = rate * wanted.learning_rate_multiplier
            written["learning_rate_multiplier"] = "learning_rate", scaled
    return written


def referring(value: Any) -> Any:
    """Return a part of a request with references where it names files and jobs by their ids."""
    match value:
        case str() if DATASET_ID.fullmatch(value):
            return f"dataset:{value}"
        case str() if MODEL_ID.fullmatch(value):
            return f"model:{value}"
        case str() if JOB_ID.fullmatch(value):
            return f"job:{value}"
        case dict():
            fields = cast("dict[str, Any]", value)
            return {name: referring(one) for name, one in fields.items()}
        case list():
            return [referring(one) for one in cast("list[Any]", value)]
        case _:
            return value


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
