"""Which data set a training file is: its format says the kind, the spec's `data` the options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from api.facade.draft import DISTILLATION, Draft, refused, twice
from jobs.ids import DATASET_ID, MODEL_ID
from kdcore.datasets import DATASETS

_OPTIONS: Final = f"{DISTILLATION}/data"
_KIND: Final = "dataset:"
_BY_SUFFIX: Final = {
    "zip": "image_folder",
    "npz": "arrays",
    "safetensors": "arrays",
    "csv": "table",
    "jsonl": "table",
    "parquet": "table",
}
WITHOUT_FILE: Final = tuple(
    name
    for name, entry in DATASETS.items()
    if not any(field.is_required() for field in entry.model_fields.values())
)
"""Data sets that are named, and not uploaded."""


def name_data(
    draft: Draft, training: str, validation: str | None, file_name: Callable[[str], str]
) -> None:
    """Fill in the data of a spec; `file_name` tells what an uploaded data set is called.

    Raises:
        PayloadProblem: a file can be no data set, or the options say something else.
    """
    options = draft.fields.pop("data", {})
    draft.places.setdefault("/data", _OPTIONS)
    if isinstance(options, str):
        options = {"name": options}
    if not isinstance(options, dict):
        draft.fields["data"] = options  # the spec's own check says what is wrong with it
        return
    data = cast("dict[str, Any]", options)
    draft.fields["data"] = data
    if training in WITHOUT_FILE:
        if data.get("name", training) != training:
            raise twice("/training_file", draft.place_of("/data/name"))
        data["name"] = training
        draft.places["/data/name"] = "/training_file"
    else:
        reference = _reference(training, "/training_file")
        if data.get("path", reference) != reference:
            raise twice("/training_file", draft.place_of("/data/path"))
        if "name" not in data:
            data["name"] = _kind_of(file_name(reference), "tokenizer" in data)
            draft.places["/data/name"] = "/training_file"
        data["path"] = reference
        draft.places["/data/path"] = "/training_file"
    if validation is not None:
        _hold_out(draft, data, _reference(validation, "/validation_file"))


def _reference(file: str, place: str) -> str:
    bare = file.removeprefix(_KIND)
    if DATASET_ID.fullmatch(bare):
        return _KIND + bare
    if MODEL_ID.fullmatch(file.removeprefix("model:")):
        raise refused(
            place,
            "wrong_kind",
            f"found {file}, a model; expected a data set",
            "upload it with purpose='fine-tune'",
        )
    raise refused(
        place,
        "file_not_found",
        f"found {file[:80]!r}; expected the id of an uploaded file (ds_…), or one of"
        f" {', '.join(WITHOUT_FILE)}",
        "client.files.create(file=…, purpose='fine-tune') returns an id",
    )


def _kind_of(name: str, has_tokenizer: bool) -> str:
    kind = _BY_SUFFIX.get(name.rpartition(".")[2].lower())
    if kind is None:
        raise refused(
            "/training_file",
            "wrong_format",
            f"found {name!r}; expected a file that ends in"
            f" {', '.join(f'.{suffix}' for suffix in _BY_SUFFIX)}",
            f"a tokenizer is named in {_OPTIONS}/tokenizer",
        )
    return "text" if kind == "table" and has_tokenizer else kind


def _hold_out(draft: Draft, data: dict[str, Any], reference: str) -> None:
    """Name a file that is not learned from."""
    name = str(data["name"])
    field = "validation_path" if "test_path" in data else "test_path"
    entry = DATASETS.get(name)
    if entry is not None and field not in entry.model_fields:
        raise refused(
            "/validation_file",
            "no_validation_file",
            f"found a validation_file beside data of the kind {name}; expected none",
            "hold a part out inside of the training file: docs/data.md says how for each kind",
        )
    if field in data:
        raise twice("/validation_file", draft.place_of(f"/data/{field}"))
    data[field] = reference
    draft.places[f"/data/{field}"] = "/validation_file"
