"""Zips of one model's folder, as transformers save it or a job delivers it."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from kdcore.errors import DataError
from kdcore.reading.names import short
from kdcore.reading.zip_files import ZipTree

_CONFIG: Final = "config.json"
_WEIGHTS: Final = ".safetensors"
_READ: Final = frozenset({".json", _WEIGHTS, ".txt", ".model", ".md", ".lock", ".html", ".onnx"})
"""Endings of what lies in such folders and runs no code when it is read."""
_MOST_FILES: Final = 100


def files_of(tree: ZipTree, shown: str) -> Mapping[str, str]:
    """Return what a zip calls the files of the folder that it holds, by their own names.

    Raises:
        DataError: it holds no folder of a model, more than one, or what is never read.
    """
    configs = [name for name in tree.sizes if PurePosixPath(name).name == _CONFIG]
    if len(configs) != 1 or configs[0].count("/") > 1:
        raise DataError(
            f"{shown}: holds {len(configs)} files {_CONFIG}; expected one, in a model's folder",
            hint=f"pack the one folder with {_CONFIG} and the {_WEIGHTS} of the model in it",
        )
    above = configs[0].removesuffix(_CONFIG)
    found: dict[str, str] = {}
    for name in tree.sizes:
        own = name.removeprefix(above)
        if not name.startswith(above) or "/" in own:
            raise DataError(
                f"{shown}: holds {short(name)!r} outside of the model's folder",
                hint="pack the folder without others, and without folders in it",
            )
        if PurePosixPath(own).suffix.lower() not in _READ:
            raise DataError(
                f"{shown}: holds {short(name)!r}; expected files that end in "
                f"{', '.join(sorted(_READ))}",
                hint="save the weights as safetensors, and leave programs and pickles out",
            )
        found[own] = name
    if len(found) > _MOST_FILES or not any(name.endswith(_WEIGHTS) for name in found):
        raise DataError(
            f"{shown}: holds {len(found)} files; expected up to {_MOST_FILES} with at least one "
            f"{_WEIGHTS} among them",
            hint="save the model with save_pretrained, or take the files of a finished job",
        )
    return found
