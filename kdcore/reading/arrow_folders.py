"""Folders that Hugging Face's `datasets` saved with `save_to_disk`: JSON beside Arrow streams.

They are read by pyarrow, mapped into memory and not copied; `datasets` itself is not needed.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from kdcore.errors import DataError, ExtraMissingError

MAX_ROWS: Final = 50_000_000
_MAX_JSON_BYTES: Final = 2**24
_SHORT: Final = 120
_SAVE: Final = "save it anew with the save_to_disk of `datasets`"


@dataclass(frozen=True, slots=True)
class Saved:
    """One split: columns of equal length."""

    shown: str
    """What people call the folder."""
    features: Mapping[str, Mapping[str, Any]]
    """What `datasets` says of each column."""
    batches: Sequence[Any]
    """Arrow record batches, mapped into memory."""
    starts: Sequence[int]
    """The row with which each batch begins."""
    rows: int

    def names_of(self, column: str) -> list[str] | None:
        """Return the classes of a column, where they have names."""
        told = self.features[column]
        if told.get("_type") != "ClassLabel" or told.get("names") is None:
            return None
        names = [str(name) for name in told["names"]]
        if len(set(names)) < len(names):
            raise DataError(f"{self.shown}: {column!r} has two classes of one name")
        return names

    def column(self, name: str) -> Iterator[Any]:
        """Yield the values of a column, in plain Python; classes are called by their names."""
        names = self.names_of(name)
        for batch in self.batches:
            values = batch.column(name).to_pylist()
            yield from values if names is None else (_class(one, names) for one in values)

    def cell(self, name: str, row: int) -> Any:
        """Return one value of a column, as Arrow holds it."""
        batch = bisect_right(self.starts, row) - 1
        return self.batches[batch].column(name)[row - self.starts[batch]]

    def check(self, columns: Sequence[str]) -> None:
        """Refuse a folder that has not all of these columns."""
        if absent := [name for name in columns if name not in self.features]:
            raise DataError(
                f"{self.shown}: no column {', '.join(map(repr, absent))}; found "
                f"{', '.join(map(repr, self.features))}",
                hint="name the columns as `datasets` does; capitals count",
            )


def open_saved(inputs: Path, path: str, held: ExitStack) -> dict[str, Saved]:
    """Open what was saved under `path`; one split is called `train`, several as they were.

    The files stay mapped until `held` is closed.

    Raises:
        DataError: it is no such folder, or a file in it is missing or damaged.
        ExtraMissingError: pyarrow is not installed.
    """
    folder = inputs / path
    if (folder / "dataset_dict.json").is_file():
        told = _json(folder / "dataset_dict.json", path)
        names = told.get("splits")
        if not isinstance(names, list) or not names:
            raise DataError(f"{path}: dataset_dict.json names no splits", hint=_SAVE)
        splits = [_plain_name(name, path) for name in cast("list[object]", names)]
        return {name: _opened(folder / name, f"{path}/{name}", held) for name in splits}
    if (folder / "state.json").is_file():
        return {"train": _opened(folder, path, held)}
    found = "a folder without state.json and dataset_dict.json" if folder.is_dir() else "no folder"
    raise DataError(
        f"{path}: found {found}; expected one that save_to_disk of `datasets` has written",
        hint="put the whole folder into the inputs folder, or upload a zip of it",
    )


def _opened(folder: Path, shown: str, held: ExitStack) -> Saved:
    state, info = _json(folder / "state.json", shown), _json(folder / "dataset_info.json", shown)
    if state.get("_indices_data_files"):
        raise DataError(
            f"{shown}: is a selection of rows, as old versions of `datasets` wrote", hint=_SAVE
        )
    files, features = state.get("_data_files"), info.get("features")
    if not isinstance(files, list) or not isinstance(features, dict):
        raise DataError(f"{shown}: state.json or dataset_info.json is incomplete", hint=_SAVE)
    batches: list[Any] = []
    starts: list[int] = []
    rows = 0
    for one in cast("list[object]", files):
        told = cast("dict[str, object]", one) if isinstance(one, dict) else {}
        name = _plain_name(told.get("filename"), shown)
        for batch in _batches(folder / name, f"{shown}/{name}", held):
            batches.append(batch)
            starts.append(rows)
            rows += batch.num_rows
            if rows > MAX_ROWS:
                raise DataError(f"{shown}: has more than {MAX_ROWS:,} rows")
    if not rows:
        raise DataError(f"{shown}: has no rows; at least one is needed")
    known = cast("dict[str, Any]", features)
    if any(set(batch.schema.names) != set(known) for batch in batches):
        raise DataError(f"{shown}: the columns are not those of dataset_info.json", hint=_SAVE)
    plain: dict[str, dict[str, Any]] = {
        name: one if isinstance(one, dict) else {} for name, one in known.items()
    }
    return Saved(shown, plain, batches, starts, rows)


def _batches(file: Path, shown: str, held: ExitStack) -> Iterator[Any]:
    """Yield the batches of one file, every offset in them looked at."""
    pa = _pyarrow(shown)
    try:
        size = file.stat().st_size
        mapped = held.enter_context(pa.memory_map(str(file)))
        taken = 0
        for batch in held.enter_context(pa.ipc.open_stream(mapped)):
            # Nothing in a file that anybody may have made is trusted: offsets may lead anywhere.
            batch.validate(full=True)
            taken += batch.nbytes
            if taken > size:
                raise DataError(
                    f"{shown}: holds packed columns; expected them as `datasets` writes them",
                    hint=_SAVE,
                )
            yield batch
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        lines = str(error).replace(str(file), file.name).splitlines() or [type(error).__name__]
        raise DataError(
            f"{shown}: is no readable Arrow stream ({lines[0][:_SHORT]})",
            hint=_SAVE,
        ) from None


def _pyarrow(shown: str) -> Any:
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise ExtraMissingError(
            f"{shown}: Arrow files are read by pyarrow, which is not installed",
            hint="pip install 'stillhouse-server[data]'",
        ) from None
    return pa


def _json(file: Path, shown: str) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MAX_JSON_BYTES:
            raise DataError(f"{shown}: {file.name} has more than {_MAX_JSON_BYTES:,} bytes")
        told: object = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)[:_SHORT]
        raise DataError(f"{shown}: {file.name} cannot be read ({words})", hint=_SAVE) from None
    if not isinstance(told, dict):
        raise DataError(f"{shown}: {file.name} holds no object", hint=_SAVE)
    return cast("dict[str, Any]", told)


def _plain_name(name: object, shown: str) -> str:
    """Return a name that leads nowhere else."""
    plain = isinstance(name, str) and name not in {"", ".", ".."}
    if not plain or any(one in str(name) for one in "/\\:\0"):
        raise DataError(f"{shown}: found {str(name)[:_SHORT]!r}; expected a plain name", hint=_SAVE)
    return str(name)


def _class(value: Any, names: Sequence[str]) -> Any:
    """Return the name of a class; None for -1, which `datasets` takes for none."""
    if isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    return None if value is None or value == -1 else value
