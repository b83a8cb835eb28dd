"""What is asked of an uploaded file: how a dataset is like, what layers a model has."""

from __future__ import annotations

import json
from typing import Any, Final

from api.checks import checked, fault
from api.dependencies import Visit
from api.inputs import INPUT_IDS
from api.inspections import ReportOptions
from api.references import resolve_named
from jobs import tables
from jobs.formats import InputKind
from jobs.input_errors import InputNotFound
from jobs.inspections import Question
from jobs.references import path_of, references_of
from kdcore.looked import Looked

_KIND_OF: Final = {
    "zip": "image_folder",
    "csv": "table",
    "jsonl": "table",
    "parquet": "table",
    "npz": "arrays",
    "safetensors": "arrays",
}
"""What a dataset is read as by its suffix, where nothing else is asked for."""
IMAGE_SIZE: Final = 64
"""What images of a folder are brought to, where nothing else is asked for."""


def subject(visit: Visit, kind: InputKind, input_id: str) -> tables.Input:
    """Return an uploaded file by its id.

    Raises:
        InputNotFound: there is none.
        InputDeleted: there was one.
    """
    if not INPUT_IDS[kind].fullmatch(input_id):
        raise InputNotFound(kind, input_id)
    with visit.reading() as repository:
        return repository.input(kind, input_id)


def read_as(name: str) -> str | None:
    """Return what a dataset of this name is read as; None where it holds no samples."""
    return _KIND_OF.get(name.rpartition(".")[2].lower())


def report_question(visit: Visit, input_id: str, options: ReportOptions) -> Question:
    """Return what a worker is to find out of a dataset.

    Raises:
        PayloadProblem: it holds no samples, or cannot be read as the options say.
    """
    row = subject(visit, "dataset", input_id)
    own = f"dataset:{row.id}"
    if (path := options.data.get("path", own)) != own:
        raise fault(
            "wrong_path",
            f"found data.path {str(path)[:80]!r}; expected none, since the dataset is named",
            parameter="data.path",
            hint="leave it out",
        )
    kind = read_as(row.name)
    if kind is None:
        raise fault(
            "no_samples",
            f"found {row.name!r}, a tokenizer; expected a file of samples",
            parameter="input_id",
            hint=f'POST the report of texts, with {{"data": {{"tokenizer": "{own}"}}}} and more',
        )
    data: dict[str, Any] = {"name": kind, **options.data, "path": own}
    is_untold = data == {"name": "table", "path": own} and options.task == "classification"
    if is_untold and kind == "table":
        return Question("dataset_report", {"table": path_of(row.sha256, row.name)}, (row.id,))
    if data["name"] == "image_folder":
        data.setdefault("image_size", IMAGE_SIZE)
    looked = checked(Looked, {"data": data, "task": options.task})
    named = resolve_named(visit, references_of(looked, Looked.model_fields), looked)
    return Question("dataset_report", json.loads(named.recipe or "{}"), named.inputs, named.files)


def layers_question(visit: Visit, input_id: str) -> Question:
    """Return what a worker is to find out of a model."""
    row = subject(visit, "model", input_id)
    said = {"name": row.name, "path": path_of(row.sha256, row.name)}
    return Question("model_layers", said, (row.id,))
