"""Uploaded files, looked through once they are whole: is the format kept to the end of the file?

What is looked at are directories, headers and lengths, so it takes as long for a large file as for
a small one, and nothing is unpacked; a tokenizer alone is read to its end, and may not be large.
What a file means, the engine says when it reads it.
"""

import threading
from collections.abc import Callable
from typing import BinaryIO, Final

from jobs import data_folder
from jobs.array_header import HEAD_BYTES, check_array
from jobs.artifacts import ArtifactStore
from jobs.formats import Format, InputKind
from jobs.input_errors import ContentRefused
from jobs.model_folder import files_of
from jobs.onnx_file import check_onnx
from jobs.receiving import Received
from jobs.safetensors_file import check_safetensors
from jobs.stored_reader import open_stored
from jobs.tokenizer_file import check_tokenizer
from kdcore.errors import DataError
from kdcore.reading.zip_files import ZipTree

_PARQUET_END: Final = 8
_PARQUET_LEAST: Final = 12
_MOST_ARRAYS: Final = 10_000
# The directory of one archive, or one tokenizer, may take some hundred megabytes of memory.
_turn = threading.Lock()


def look_through(
    store: ArtifactStore, received: Received, kind: InputKind, claimed: Format, name: str
) -> None:
    """Hold a file that lies in the store against the rules of its format.

    Raises:
        ContentRefused: it was cut short, is damaged, or means harm.
        StoreUnavailable: the store went away.
    """
    look = _LOOKS.get(claimed.suffix)
    if look is None:
        return
    if (kind, claimed.suffix) == ("model", "zip"):
        look = _model_folder
    with open_stored(store, received.location, received.size_bytes) as content:
        try:
            look(content, received.size_bytes, name)
        except DataError as error:
            raise ContentRefused(str(error), code="content_refused", hint=error.hint) from None


def _zip(content: BinaryIO, size_bytes: int, name: str) -> None:  # noqa: ARG001 - one signature
    with _turn, ZipTree(content, name, is_folder=data_folder.is_data_folder) as tree:
        if not tree.sizes:
            raise DataError(f"{name}: holds no files", hint="pack a folder with files in it")
        if tree.is_folder:
            data_folder.files_of(tree, name)


def _model_folder(content: BinaryIO, size_bytes: int, name: str) -> None:  # noqa: ARG001 - one signature
    with _turn, ZipTree(content, name, of_arrays=True) as tree:
        files_of(tree, name)


def _npz(content: BinaryIO, size_bytes: int, name: str) -> None:  # noqa: ARG001 - one signature
    with _turn, ZipTree(content, name, of_arrays=True) as tree:
        if len(tree.sizes) > _MOST_ARRAYS:
            raise DataError(
                f"{name}: holds {len(tree.sizes):,} arrays; expected at most {_MOST_ARRAYS:,}"
            )
        for entry, entry_bytes in tree.sizes.items():
            check_array(tree.head(entry, HEAD_BYTES), entry_bytes, f"{name}: {entry!r}")


def _parquet(content: BinaryIO, size_bytes: int, name: str) -> None:
    content.seek(max(size_bytes - _PARQUET_END, 0))
    end = content.read(_PARQUET_END)
    footer = int.from_bytes(end[:4], "little")
    if end[4:] != b"PAR1" or not 0 < footer <= size_bytes - _PARQUET_LEAST:
        raise DataError(
            f"{name}: has no end of a Parquet file; it is cut short", hint="upload the whole file"
        )


def _tokenizer(content: BinaryIO, size_bytes: int, name: str) -> None:
    with _turn:
        check_tokenizer(content, size_bytes, name)


_LOOKS: Final[dict[str, Callable[[BinaryIO, int, str], None]]] = {
    "zip": _zip,
    "npz": _npz,
    "json": _tokenizer,
    "parquet": _parquet,
    "safetensors": check_safetensors,
    "onnx": check_onnx,
}
