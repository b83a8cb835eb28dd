"""Zips of data that is read as a folder: what `datasets` saved to disk, or WebDataset's shards."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from kdcore.errors import DataError
from kdcore.reading.names import is_left_out, short
from kdcore.reading.zip_files import ZipTree

_STATE: Final = "state.json"
_SPLITS: Final = "dataset_dict.json"
_ARROW: Final = ".arrow"
_SHARD: Final = ".tar"
_SAVED: Final = frozenset({_ARROW, ".json"})
_MOST_FILES: Final = 10_000


def is_data_folder(names: Sequence[str]) -> bool:
    """Return whether a zip of files of these names is unpacked, and not read where it is."""
    files = [name for name in names if not name.endswith("/") and not is_left_out(name)]
    if all(name.endswith(_SHARD) for name in files):
        return bool(files)
    tells = any(PurePosixPath(name).name in {_STATE, _SPLITS} for name in files)
    return tells and any(name.endswith(_ARROW) for name in files)


def files_of(tree: ZipTree, shown: str) -> Mapping[str, str]:
    """Return what a zip calls the files of the folder that it holds, by their places in there.

    Raises:
        DataError: it holds more than one such folder, or what is never read.
    """
    names = list(tree.sizes)
    if all(name.endswith(_SHARD) for name in names):
        above, kinds, deepest = _around(names[0]), {_SHARD}, 1
    else:
        whole = [name for name in names if PurePosixPath(name).name == _SPLITS]
        parts = [name for name in names if PurePosixPath(name).name == _STATE]
        above, kinds = _around((whole or parts)[0]), _SAVED
        deepest = 2 if whole else 1
    found: dict[str, str] = {}
    for name in names:
        own = name.removeprefix(above)
        if above.count("/") > 1 or not name.startswith(above) or own.count("/") >= deepest:
            raise DataError(
                f"{shown}: holds {short(name)!r} outside of the folder {above or 'at the top'!r}; "
                "expected one folder that save_to_disk wrote, or one of shards",
                hint="pack the one folder without others; bring another part as a zip of its own",
            )
        if PurePosixPath(own).suffix not in kinds:
            raise DataError(
                f"{shown}: holds {short(name)!r}; expected files that end in "
                f"{', '.join(sorted(kinds))}",
                hint="pack the folder as it was written, without other files",
            )
        found[own] = name
    if len(found) > _MOST_FILES:
        raise DataError(
            f"{shown}: holds {len(found):,} files; expected at most {_MOST_FILES:,}",
            hint="write larger shards",
        )
    return found


def _around(name: str) -> str:
    """Return the folder of a file as it stands in front of the names in it."""
    return name[: name.rfind("/") + 1]
