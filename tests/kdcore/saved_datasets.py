"""Folders as `save_to_disk` of Hugging Face's `datasets` 5.2 writes them, made by pyarrow alone."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
Features = dict[str, dict[str, Any]]
Rows = list[dict[str, Any]]


def classes(*names: str) -> dict[str, Any]:
    return {"names": list(names), "_type": "ClassLabel"}


def value(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "_type": "Value"}


def _type(feature: dict[str, Any]) -> Any:
    if feature["_type"] == "Image":
        return IMAGE
    return pa.int64() if feature["_type"] == "ClassLabel" else pa.type_for_alias(feature["dtype"])


def saved(
    folder: Path, rows: Rows, features: Features, *, files: int = 1, options: Any = None
) -> Path:
    """Write one split; each of its files holds batches of five rows."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = pa.schema(
        [(name, _type(one)) for name, one in features.items()],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    names = [f"data-{number:05}-of-{files:05}.arrow" for number in range(files)]
    for number, name in enumerate(names):
        table = pa.Table.from_pylist(rows[number::files], schema=schema)
        with pa.ipc.new_stream(folder / name, schema, options=options) as stream:
            stream.write_table(table, max_chunksize=5)
    info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "08c122e3c6f71ee6",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    (folder / "state.json").write_text(json.dumps(state))
    return folder


def saved_splits(folder: Path, splits: dict[str, Rows], features: Features) -> Path:
    """Write a `DatasetDict`."""
    for name, rows in splits.items():
        saved(folder / name, rows, features)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return folder
