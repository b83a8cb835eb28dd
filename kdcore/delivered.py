"""What the `config.json` of a delivered folder says: it is read as data, whoever has written it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, cast

from pydantic import TypeAdapter, ValidationError

from kdcore.entry import OneOf, discover
from kdcore.errors import RecipeError
from kdcore.model import Model
from kdcore.tokens import read_ids

OURS: Final = "stillhouse"
"""Where our description stands in a `config.json` that is another library's."""
CONFIG: Final = "config.json"
_BYTES: Final = 2**22
_WAY_OUT: Final = "name a folder with all files of a finished job, as `stillhouse download` writes"


@dataclass(frozen=True, slots=True)
class Delivered:
    """One network of a delivered folder."""

    model: Model
    input_shape: tuple[int, ...]
    num_classes: int
    class_names: tuple[str, ...]
    preprocessing: Mapping[str, Any]
    """How a sample became its input."""


def read_delivered(
    folder: Path, file: str, *, shown: str, models: Mapping[str, type[Model]]
) -> Delivered:
    """Return what a folder tells of its network `file`: `student`, `teacher`, `assistant-1`.

    Its model is one of `models`, or of those that objectives make.

    Raises:
        RecipeError: nothing of the kind is there, or it is not to be understood.
    """
    config = _read(folder / CONFIG, f"{shown}/{CONFIG}")
    described = config.get("networks")
    networks: dict[str, object] = {"student": config.get("model")}
    if isinstance(described, dict):
        networks |= cast("dict[str, object]", described)
    if networks.get(file) is None:
        known = ", ".join(name for name, one in networks.items() if one is not None) or "none"
        raise RecipeError(
            f"{shown}/{CONFIG}: found no network {file!r}; expected one of {known}",
            hint="name another file: a teacher that a job was given is not among its files",
        )
    try:
        return Delivered(
            _adapter(models).validate_python(networks[file]),
            _shape(config),
            int(config["num_classes"]),
            tuple(str(name) for name in config.get("class_names", ())),
            dict(config.get("preprocessing") or {}),
        )
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        told = str(error)
        if isinstance(error, ValidationError):
            told = re.sub(r"\s+", " ", error.errors()[0]["msg"])
        raise RecipeError(
            f"{shown}/{CONFIG}: found no description of a delivered network ({told[:200]})",
            hint=_WAY_OUT,
        ) from None


def _shape(config: Mapping[str, Any]) -> tuple[int, ...]:
    shape = [int(side) for side in config["input_shape"]]
    return read_ids(shape, config["ids"]) if config.get("ids") else tuple(shape)


def _adapter(models: Mapping[str, type[Model]]) -> TypeAdapter[Model]:
    # A delivered network is described by itself, and by no other folder.
    known = {name: one for name, one in models.items() if not one.names_a_folder}
    made = discover("kdcore.objectives", contract=Model)
    return TypeAdapter(Annotated[Model, OneOf({**known, **made})])


def _read(file: Path, shown: str) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            content = stream.read(_BYTES + 1)
        config = json.loads(content) if len(content) <= _BYTES else None
    except FileNotFoundError:
        raise RecipeError(f"{shown}: no such file in the inputs folder", hint=_WAY_OUT) from None
    except (OSError, ValueError, RecursionError) as error:
        raise RecipeError(f"{shown}: not readable ({error})", hint=_WAY_OUT) from None
    if not isinstance(config, dict):
        raise RecipeError(f"{shown}: expected an object of at most {_BYTES:,} bytes", hint=_WAY_OUT)
    read = cast("dict[str, Any]", config)
    return cast("dict[str, Any]", read.get(OURS, read))
