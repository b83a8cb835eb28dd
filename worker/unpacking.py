"""Zips of folders, unpacked for one attempt: a model's, or data that is read as a folder."""

from collections.abc import Callable, Mapping
from pathlib import Path

from jobs import data_folder, model_folder
from jobs.artifacts import CHUNK_BYTES
from kdcore.reading.zip_files import ZipTree


def unpack_model(packed: Path, folder: Path, shown: str, go_on: Callable[[], None]) -> None:
    """Write the files of a zip into a new folder; `go_on` is asked again and again, and may raise.

    Raises:
        DataError: it is no zip of one model's folder, or is damaged.
        OSError: the disk refuses.
    """
    with ZipTree(packed, shown, of_arrays=True) as tree:
        _write(tree, model_folder.files_of(tree, shown), folder, go_on)


def unpack_data(packed: Path, folder: Path, shown: str, go_on: Callable[[], None]) -> bool:
    """Write the files of a zip of saved data, or of shards, into a new folder, as `unpack_model`.

    Return whether it is one; others are read where they are.

    Raises:
        DataError: it holds more than one such folder, or is damaged.
        OSError: the disk refuses.
    """
    with ZipTree(packed, shown, is_folder=data_folder.is_data_folder) as tree:
        if tree.is_folder:
            _write(tree, data_folder.files_of(tree, shown), folder, go_on)
        return tree.is_folder


def _write(
    tree: ZipTree, files: Mapping[str, str], folder: Path, go_on: Callable[[], None]
) -> None:
    folder.mkdir()
    for name, entry in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        with (folder / name).open("wb") as file:
            for block in tree.blocks(entry, CHUNK_BYTES):
                go_on()
                file.write(block)
