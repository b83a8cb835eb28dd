"""The zip of a model's folder, unpacked for one attempt."""

from collections.abc import Callable
from pathlib import Path

from jobs.artifacts import CHUNK_BYTES
from jobs.model_folder import files_of
from kdcore.reading.zip_files import ZipTree


def unpack(packed: Path, folder: Path, shown: str, go_on: Callable[[], None]) -> None:
    """Write the files of a zip into a new folder; `go_on` is asked again and again, and may raise.

    Raises:
        DataError: it is no zip of one model's folder, or is damaged.
        OSError: the disk refuses.
    """
    folder.mkdir()
    with ZipTree(packed, shown, of_arrays=True) as tree:
        for name, entry in files_of(tree, shown).items():
            with (folder / name).open("wb") as file:
                for block in tree.blocks(entry, CHUNK_BYTES):
                    go_on()
                    file.write(block)
